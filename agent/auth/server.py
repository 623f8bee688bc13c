"""Digest as a server: who sent this request? (RFC 3261 section 22, RFC 7616, RFC 8760)

Loaded by a user agent that is to know. A nonce carries the time of its issue and a keyed hash of itself, so that a
challenge costs no memory; remembered is, for the latest nonces that somebody has used well, the highest nonce count.
What can't be remembered any more counts as used up, so credentials serve once each, whatever is sent again.

qop is offered as "auth,auth-int": a client that can protects the body, too; `auth` stands first because proxies on the
way may alter bodies and most clients know nothing else. RFC 2069's form, without qop, is taken once for each nonce.
"""

import hashlib
from binascii import crc32, hexlify

from ..clock import until
from ..compat import const
from ..errors import ParseError, UsageError
from ..escapes import unescape
from ..headers.values import parse_address
from ..message import Message
from ..uri import parse_uri
from .digest import hexhash, is_supported, parse_parameters, response, unquote

_ALGORITHMS = (b"SHA-256", b"MD5")  # the most preferred first
_DAY_MS = const(86400000)  # life of the key: long before `now` wraps and an old instant looks young again
_REPEATED_MS = const(32000)  # 64*T1: so long a request may come again
_HEX = b"0123456789abcdef"
_NOBODY = b"0" * 64


class Authenticator:
    """Makes challenges and checks what answers them.

    realm: what users are asked a password for; no quotes, backslashes and colons in it.
    users: {user: {b"sha-256" or b"md5": H(user:realm:password) in lower-case hexadecimal}}, as auth.digest.secret.
    random_bytes: a function of n that returns n random octets. lifetime_ms: of a nonce, below a day.
    keep: how many used nonces are remembered.
    is_strict: refuse an nc of fewer digits than eight, which some clients send.
    Raises UsageError for such a realm.
    """

    is_strict = False

    def __init__(
        self,
        realm: bytes,
        users: dict[bytes, dict[bytes, bytes]],
        random_bytes: object,
        lifetime_ms: int = 300000,
        keep: int = 64,
    ) -> None:
        for c in realm:
            if c < 32 or c in b'"\\:':
                raise UsageError("realm: text without quotes, backslashes and colons was expected")
        self.realm = realm
        self._random = random_bytes
        self._lifetime_ms = lifetime_ms
        self._keep = keep
        self.set_users(users)
        self._key = b""
        self._key_at = 0
        self._counts: dict[bytes, int] = {}  # nonce -> the highest count that came with it
        self._used: list[bytes] = []  # the same nonces, oldest first
        self._issued: list[bytes] = []  # the latest nonces, so that a repeated request gets the same one
        self._forgotten_at: int | None = None  # issue of the youngest nonce whose count was forgotten

    def set_users(self, users: dict[bytes, dict[bytes, bytes]]) -> None:
        """Know these users from now on, as __init__() takes them; who is not among them is let in no more."""
        self._users = users
        self._offered = [
            name
            for name in _ALGORITHMS
            if is_supported(name) and [1 for hashes in users.values() if name.lower() in hashes]
        ]
        self._hashed: dict[bytes, bytes] = {}  # H(user:realm) -> user, made when the first client hides its name

    def may_try(self, user: bytes, flow: tuple) -> bool:
        """Are credentials of this user to be looked at, from where flow comes? For who slows down guessing."""
        return True

    def tried(self, user: bytes, flow: tuple, is_good: bool) -> None:
        """Credentials of this user have been looked at; the nonce they came with may still be used up."""

    def unanswered(self, flow: tuple) -> None:
        """A request came without credentials for our realm, and is challenged."""

    def check(self, message: Message, now: int, flow: tuple) -> tuple[bytes | None, bytes]:
        """Return (user, b"") for a request with good credentials, else (None, the header lines of our challenges).

        Lines for another realm or scheme, and those that can't be read at all, are as good as none. Raises
        ParseError(400) for ones of ours that lack something or are for another resource (RFC 7616 section 3.4).
        """
        if not 0 <= until(now, self._key_at) < _DAY_MS or not self._key:
            self._renew(now)
        params = self._credentials(message)
        if params is None:
            self.unanswered(flow)
            return None, self._challenges(message, False, now)
        user = self._user(params, message, flow)
        if user is None:
            return None, self._challenges(message, False, now)
        if not self._take(params, now):
            return None, self._challenges(message, True, now)
        return user, b""

    def _credentials(self, message: Message) -> dict[bytes, bytes] | None:
        """Return the parameters of the first Authorization line that is for us."""
        for value in message.all(b"authorization"):
            try:
                scheme, params = parse_parameters(value)
            except ParseError:
                continue
            if scheme == b"digest" and unquote(params.get(b"realm", b"")) == self.realm:
                return params
        return None

    def _user(self, params: dict[bytes, bytes], message: Message, flow: tuple) -> bytes | None:
        """Return whose these credentials are, None when nobody's. Raises ParseError for malformed ones."""
        uri = params.get(b"uri", b"")
        if b"nonce" not in params or b"response" not in params or not _is_about(uri, self.realm, message):
            raise ParseError("credentials for this Request-URI were expected")
        if b"qop" in params:
            count = params.get(b"nc", b"").lower()
            if params[b"qop"].lower() not in (b"auth", b"auth-int") or b"cnonce" not in params:
                raise ParseError("credentials with qop, cnonce and nc were expected")
            if not (8 if self.is_strict else 1) <= len(count) <= 8 or [c for c in count if c not in _HEX]:
                raise ParseError("nc of 8 hexadecimal digits was expected")
        algorithm = params.get(b"algorithm", b"MD5").upper()
        if algorithm not in self._offered:
            return None
        name = algorithm.lower()
        user = self._name(params, name)
        if not self.may_try(user, flow):
            return None
        ha1 = self._users.get(user, {}).get(name)
        # A stranger's credentials take as long to refuse as wrong ones of a user.
        good = response(name, ha1 or _NOBODY, params, message.method, uri, message.body)
        is_good = _are_equal(good, params[b"response"].lower()) and ha1 is not None
        self.tried(user, flow, is_good)
        return user if is_good else None

    def _name(self, params: dict[bytes, bytes], algorithm: bytes) -> bytes:
        """Return the user's name out of credentials, b"" when there is none (RFC 7616 section 3.4)."""
        encoded = params.get(b"username*")
        if encoded is not None:
            return unescape(encoded[7:]) if encoded[:7].upper() == b"UTF-8''" else b""
        name = unquote(params.get(b"username", b""))
        if params.get(b"userhash", b"").lower() != b"true":
            return name
        if not self._hashed:
            for user in self._users:
                for known in self._offered:
                    self._hashed[hexhash(known.lower(), b"%s:%s" % (user, self.realm))] = user
        return self._hashed.get(name.lower(), b"")

    def _take(self, params: dict[bytes, bytes], now: int) -> bool:
        """Count a nonce up; False when it isn't ours, too old, or has come with such a count before."""
        nonce = params[b"nonce"]
        if not _are_equal(self._sign(nonce[:16]), nonce):
            return False
        issued_at = _issue_of(nonce)
        if not 0 <= until(now, issued_at) <= self._lifetime_ms:
            return False
        count = int(params[b"nc"], 16) if b"qop" in params else 1
        known = self._counts.get(nonce)
        if known is None:
            if self._forgotten_at is not None and until(issued_at, self._forgotten_at) <= 0:
                return False
            if len(self._used) >= self._keep:
                self._forget()
            self._used.append(nonce)
        elif count <= known:
            return False
        self._counts[nonce] = count
        return True

    def _forget(self) -> None:
        """Make room for more nonces; from now on none that is as old as those forgotten counts as unused."""
        half = (len(self._used) + 1) // 2
        for nonce in self._used[:half]:
            del self._counts[nonce]
            issued_at = _issue_of(nonce)
            if self._forgotten_at is None or until(issued_at, self._forgotten_at) > 0:
                self._forgotten_at = issued_at
        self._used = self._used[half:]

    def _renew(self, now: int) -> None:
        """Begin with a new key; whoever has a nonce of the old one is told that it is stale."""
        self._key = self._random(16)  # type: ignore[operator]
        self._key_at = now
        self._counts = {}
        self._used = []
        self._issued = []
        self._forgotten_at = None

    def _challenges(self, message: Message, stale: bool, now: int) -> bytes:
        nonce = self._nonce(b"%08x" % (crc32(message.data) & 0xFFFFFFFF), now)
        lines = b""
        for name in self._offered:
            lines += b'WWW-Authenticate: Digest realm="%s", nonce="%s", algorithm=%s, qop="auth,auth-int"%s\r\n' % (
                self.realm,
                nonce,
                name,
                b", stale=true" if stale else b"",
            )
        return lines

    def _nonce(self, salt: bytes, now: int) -> bytes:
        """Return a fresh nonce; a request that is repeated (same salt) gets the same one."""
        for nonce in self._issued:
            if nonce[8:16] == salt and nonce not in self._counts and until(now, _issue_of(nonce)) < _REPEATED_MS:
                return nonce
        nonce = self._sign(b"%08x" % now + salt)
        self._issued = self._issued[-7:] + [nonce]
        return nonce

    def _sign(self, text: bytes) -> bytes:
        """Return the nonce that begins with these 16 digits."""
        return text + hexlify(hashlib.sha256(self._key + text).digest()[:8])


def _issue_of(nonce: bytes) -> int:
    """Return when a nonce of ours was issued."""
    return int(nonce[:8], 16)


def _is_about(uri: bytes, realm: bytes, message: Message) -> bool:
    """Is a digest-uri about the server that this request is for?

    It is to be the Request-URI. A proxy between, though, has put the contact there that it knows: then To still says
    what the client asked for. Many clients name the server alone, by its host or its realm; RFC 3261 section 22.4
    leaves it to the server what it takes, and against replays there is the nonce.
    """
    if uri == message.uri:
        return True
    try:
        asked = parse_uri(uri.strip(b"<>"))
        to = parse_uri(parse_address(message.get(b"to") or b"")[1])
        if not asked.host:  # tel:
            return asked.address_of_record() == to.address_of_record()
        return asked.host in (realm.lower(), to.host, parse_uri(message.uri).host)
    except ParseError:
        return False


def _are_equal(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    if len(one) != len(other):
        return False
    difference = 0
    for i in range(len(one)):
        difference |= one[i] ^ other[i]
    return difference == 0
