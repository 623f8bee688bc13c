"""Digest access authentication for SIP (RFC 3261 section 22, RFC 7616, RFC 8760). Loaded at the first challenge.

Algorithms: SHA-256 and MD5 and their -sess forms, as far as this interpreter's hashlib has them; qop auth, auth-int or
none (RFC 2069). Basic is never answered. A realm, nonce or opaque with escapes is hashed and sent back as it stands
between its quotes. A user's name is hashed as the user writes it and gets escapes on the wire alone; it is UTF-8, which
SIP's quoted strings may hold, so username* isn't needed. Authentication-Info is ignored: servers get it wrong, and all
it could save is a round trip after the nonce's end.
"""

import hashlib
from binascii import hexlify

from agent.errors import ParseError
from agent.headers import find_outside_quotes

_HASHES = {b"sha-256": "sha256", b"md5": "md5"}


def parse_parameters(value: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Split a challenge or credentials into (lower-case scheme, {lower-case name: value}).

    Values keep the escapes that they have between their quotes. A repeated name raises ParseError.
    Source: RFC 3261 section 25.1 (challenge, credentials).
    """
    words = value.split(None, 1)
    if len(words) != 2:
        raise ParseError("a scheme and its parameters were expected")
    rest = words[1]
    found: dict[bytes, bytes] = {}
    at = 0
    while at >= 0:
        comma = find_outside_quotes(rest, b",", at)
        part = (rest[at:] if comma < 0 else rest[at:comma]).strip()
        at = comma if comma < 0 else comma + 1
        if not part:
            continue
        equals = part.find(b"=")
        name = part[:equals].rstrip().lower()
        content = part[equals + 1 :].lstrip()
        if content[:1] == b'"':
            if content[-1:] != b'"':
                raise ParseError("a comma after a quoted string was expected")
            content = content[1:-1]
        if equals < 1 or name in found:
            raise ParseError("parameters, each of them once, were expected")
        found[name] = content
    return words[0].lower(), found


def quote(text: bytes) -> bytes:
    """Return what stands for text between quotes (RFC 3261 section 25.1, quoted-pair)."""
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def unquote(text: bytes) -> bytes:
    """Return the text that stands between quotes, its escapes taken away."""
    parts = text.split(b"\\\\")
    return b"\\".join([part.replace(b"\\", b"") for part in parts])


def hexhash(algorithm: bytes, data: bytes) -> bytes:
    """Return the lower-case hexadecimal digest of data; algorithm: b"md5" or b"sha-256"."""
    return hexlify(getattr(hashlib, _HASHES[algorithm])(data).digest())


def is_supported(algorithm: bytes) -> bool:
    """Can we compute this algorithm, given as in a challenge? Firmware built without TLS has no hashlib.md5."""
    name = algorithm.lower()
    if name[-5:] == b"-sess":
        name = name[:-5]
    return name in _HASHES and hasattr(hashlib, _HASHES[name])


def secret(algorithm: bytes, user: bytes, realm: bytes, password: bytes) -> bytes:
    """Return H(user:realm:password), what a server stores in place of a password."""
    return hexhash(algorithm, b"%s:%s:%s" % (user, realm, password))


def response(algorithm: bytes, ha1: bytes, params: dict[bytes, bytes], method: bytes, uri: bytes, body: bytes) -> bytes:
    """Return the `response` value for these parameters (RFC 7616 section 3.4.1).

    algorithm: as in the challenge, b"" for none. ha1: from secret(). params: nonce and, with a qop, cnonce, nc, qop.
    """
    name = algorithm.lower() or b"md5"
    qop = params.get(b"qop", b"")
    if name[-5:] == b"-sess":
        name = name[:-5]
        ha1 = hexhash(name, b"%s:%s:%s" % (ha1, params[b"nonce"], params.get(b"cnonce", b"")))
    a2 = b"%s:%s" % (method, uri)
    if qop.lower() == b"auth-int":
        a2 += b":" + hexhash(name, body)
    middle = params[b"nonce"]
    if qop:
        middle += b":%s:%s:%s" % (params[b"nc"], params[b"cnonce"], qop)
    return hexhash(name, b"%s:%s:%s" % (ha1, middle, hexhash(name, a2)))


class Challenge:
    """One challenge that we can answer, and how often its nonce has been used."""

    def __init__(self, params: dict[bytes, bytes], field: bytes, qop: bytes) -> None:
        self.user = self.password = b""  # to be set before answer()
        self.realm = params[b"realm"]
        self.nonce = params[b"nonce"]
        self.algorithm = params.get(b"algorithm", b"")
        self.opaque = params.get(b"opaque")
        self.stale = params.get(b"stale", b"").lower() == b"true"
        self.hides_user = params.get(b"userhash", b"").lower() == b"true"
        self.field = field  # the header field that takes the answer
        self.qop = qop
        self.cnonce = b""
        self.count = 0  # requests that were sent with it; Uac.start counts

    def answer(self, method: bytes, uri: bytes, body: bytes, cnonce: bytes) -> bytes:
        """Return the header line with credentials for one request, the next one to be sent.

        uri: the Request-URI as sent. cnonce: random, no quotes in it; the first one serves for all requests, since
        the key of a -sess algorithm is made from it.
        """
        self.cnonce = cnonce = self.cnonce or cnonce
        params = {b"nonce": self.nonce, b"cnonce": cnonce}
        if self.qop:
            params[b"qop"] = self.qop
            params[b"nc"] = b"%08x" % (self.count + 1)
        name = self.algorithm.lower() or b"md5"
        sess = name[-5:] == b"-sess"
        if sess:
            name = name[:-5]
        user = quote(self.user)
        if self.hides_user:
            user = hexhash(name, b"%s:%s" % (self.user, self.realm))
        line = b'%s: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"' % (
            self.field,
            user,
            self.realm,
            self.nonce,
            uri,
            response(self.algorithm, secret(name, self.user, self.realm, self.password), params, method, uri, body),
        )
        if self.algorithm:
            line += b", algorithm=" + self.algorithm
        if self.qop:
            line += b', cnonce="%s", qop=%s, nc=%s' % (cnonce, self.qop, params[b"nc"])
        elif sess:
            line += b', cnonce="%s"' % cnonce
        if self.opaque is not None:
            line += b', opaque="%s"' % self.opaque
        if self.hides_user:
            line += b", userhash=true"
        return line + b"\r\n"


def choose(values: list[bytes], field: bytes) -> list[Challenge]:
    """Return for each realm the topmost challenge that we can answer (RFC 8760 section 2.4).

    values: the WWW-Authenticate or Proxy-Authenticate values of a response, in order; what we don't understand among
    them is skipped. field: b"Authorization" or b"Proxy-Authorization".
    """
    chosen: list[Challenge] = []
    for value in values:
        try:
            scheme, params = parse_parameters(value)
        except ParseError:
            continue
        qops = [word.strip() for word in params.get(b"qop", b"").lower().split(b",")]
        qop = b"auth" if b"auth" in qops else b"auth-int" if b"auth-int" in qops else b""
        if (
            scheme != b"digest"
            or b"realm" not in params
            or b"nonce" not in params
            or (params.get(b"qop") and not qop)
            or not is_supported(params.get(b"algorithm", b"md5"))
            or params[b"realm"] in [known.realm for known in chosen]
        ):
            continue
        chosen.append(Challenge(params, field, qop))
    return chosen
