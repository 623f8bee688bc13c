"""A client's answers to 401 and 407 (RFC 3261 section 22, RFC 7616, RFC 8760). Loaded at the first challenge.

qop is auth, auth-int where nothing else is offered, or none (RFC 2069); Basic is never answered. A realm, nonce or
opaque with escapes is hashed and sent back as it stands between its quotes. A user's name is hashed as the user writes
it and gets escapes on the wire alone; it is UTF-8, which SIP's quoted strings may hold, so username* isn't needed.
Authentication-Info is ignored: servers get it wrong, and all it could save is a round trip after the nonce's end.
"""

from binascii import hexlify

from ..changed import changed
from ..compat import const
from ..errors import ParseError
from ..message import Message
from ..peers import Peers
from ..request import Request
from .digest import hexhash, is_supported, parse_parameters, quote, response, secret, unquote

_MAX_REALMS = const(4)  # that one field of a response may ask for


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Take up the challenges we have credentials for (RFC 3261 section 22): each realm once, again only when stale.

    Returns the request to send again, None when it would not help; see agent.recovery.amend(). A proxy that forks puts
    the challenges of all branches in one response, so that both fields may be in either status (section 16.7, step 7).

    Anybody can write any realm and nonce. Credentials for any realm are for the servers that we were told of: where a
    request is away, at a host that a redirect or a stranger has led to, an answer would let its owner guess the
    password, or log in with it elsewhere.
    """
    credentials = peers.settings.get("credentials")
    if credentials and getattr(request, "is_away", False):
        credentials = [one for one in credentials if one[0]]
    if not credentials or response is None:
        return None
    challenges = list(peers.known(request))
    tried = request.tried
    found = choose(response.all(b"www-authenticate"), b"Authorization")
    for challenge in found + choose(response.all(b"proxy-authenticate"), b"Proxy-Authorization"):
        mark = challenge.field + b" " + challenge.realm
        if mark in tried and not (challenge.stale and tried.count(mark) < 2):
            continue
        if challenge.is_for(credentials):
            challenge = _counted(challenge, peers)
            challenge.cnonce = challenge.cnonce or hexlify(peers.random_bytes(4))  # type: ignore[operator]
            for known in challenges:
                if (known.field, known.realm) == (challenge.field, challenge.realm):
                    challenges.remove(known)
                    break
            challenges.append(challenge)
            tried = tried + (mark,)
    if tried == request.tried:  # the next request begins without credentials that are no good
        challenges = []
    peers.challenged(request, challenges)
    return changed(request, tried=tried) if challenges else None


def _counted(challenge: "Challenge", peers: Peers) -> "Challenge":
    """Return the one that counts this nonce already, for whatever method (RFC 7616 section 3.4), or the challenge."""
    for known in peers.challenges.values():
        for one in known:
            if one.words == challenge.words:
                return one  # type: ignore[no-any-return]
    return challenge


class Challenge:
    """One challenge that we can answer, and how often its nonce has been used.

    user, password: to be set before answer(). cnonce: random, no quotes in it; one for all requests, since the key of a
    -sess algorithm is made from it. count: requests that were sent with it.
    """

    user = password = cnonce = b""
    count = 0
    _before = b""  # what stands in an answer before the Request-URI

    def __init__(self, params: dict[bytes, bytes], field: bytes, qop: bytes) -> None:
        self.realm = params[b"realm"]
        self.nonce = params[b"nonce"]
        self.algorithm = params.get(b"algorithm", b"")
        self.opaque = params.get(b"opaque")
        self.stale = params.get(b"stale", b"").lower() == b"true"
        self.hides_user = params.get(b"userhash", b"").lower() == b"true"
        self.field = field  # the header field that takes the answer
        self.qop = qop
        self.words = (field, self.realm, self.nonce, self.algorithm, qop)

    def is_for(self, credentials: tuple) -> bool:
        """Take user and password of the first credentials for this realm; False when there are none."""
        for realm, user, password in credentials:
            if not realm or realm == unquote(self.realm):
                self.user = user
                self.password = password
                return True
        return False

    def answer(self, method: bytes, uri: bytes, body: bytes) -> bytes:
        """Return the header line with credentials for the next request; nothing is counted yet.

        uri: the Request-URI as sent.
        """
        params = {b"nonce": self.nonce, b"cnonce": self.cnonce}
        count = b""
        if self.qop:
            params[b"qop"] = self.qop
            params[b"nc"] = count = b"%08x" % (self.count + 1)
        if not self._before:
            self._prepare()
        digest = response(self.algorithm, self._ha1, params, method, uri, body)
        return b"".join((self._before, uri, b'", response="', digest, self._behind, count, b"\r\n"))

    def _prepare(self) -> None:
        """Make what is the same in all answers."""
        name = self.algorithm.lower() or b"md5"
        is_session = name[-5:] == b"-sess"
        if is_session:
            name = name[:-5]
        self._ha1 = secret(name, self.user, self.realm, self.password)
        user = hexhash(name, self.user + b":" + self.realm) if self.hides_user else quote(self.user)
        behind = b'"'
        if self.algorithm:
            behind += b", algorithm=" + self.algorithm
        if self.opaque is not None:
            behind += b', opaque="' + self.opaque + b'"'
        if self.hides_user:
            behind += b", userhash=true"
        if self.qop or is_session:
            behind += b', cnonce="' + self.cnonce + b'"'
        if self.qop:
            behind += b", qop=" + self.qop + b", nc="
        self._behind = behind
        before = (self.field, b': Digest username="', user, b'", realm="', self.realm, b'", nonce="', self.nonce)
        self._before = b"".join(before + (b'", uri="',))


def choose(values: list[bytes], field: bytes) -> list[Challenge]:
    """Return for each realm the topmost challenge that we can answer (RFC 8760 section 2.4).

    values: the WWW-Authenticate or Proxy-Authenticate values of a response, in order; what we don't understand among
    them is skipped. field: b"Authorization" or b"Proxy-Authorization".
    """
    chosen: list[Challenge] = []
    for value in values:
        if value.find(b"\r") >= 0 or value.find(b"\n") >= 0:  # some of it is sent back
            continue
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
            or len(chosen) >= _MAX_REALMS
        ):
            continue
        chosen.append(Challenge(params, field, qop))
    return chosen
