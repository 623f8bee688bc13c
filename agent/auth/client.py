"""A client's answers to 401 and 407 (RFC 3261 section 22, RFC 7616, RFC 8760). Loaded at the first challenge.

qop is auth, auth-int where nothing else is offered, or none (RFC 2069); Basic is never answered. A realm, nonce or
opaque with escapes is hashed and sent back as it stands between its quotes. A user's name is hashed as the user writes
it and gets escapes on the wire alone; it is UTF-8, which SIP's quoted strings may hold, so username* isn't needed.
Authentication-Info is ignored: servers get it wrong, and all it could save is a round trip after the nonce's end.
"""

from ..compat import const
from ..errors import ParseError
from ..message import Message
from ..uac import BUDGET, Draft, Uac
from .digest import hexhash, is_supported, parse_parameters, quote, response, secret, unquote

_MAX_FLOWS = const(16)  # with challenges that are remembered


def answer(uac: Uac, draft: Draft, message: Message) -> bool:
    """Take up the challenges we have credentials for (RFC 3261 section 22): each realm once, again only when stale.

    A proxy that forks puts the challenges of all branches in one response, so that both fields may be in either status
    (RFC 3261 section 16.7, step 7).
    """
    if not uac.credentials:
        return False
    challenges = list(draft.challenges)
    changed = False
    found = choose(message.all(b"www-authenticate"), b"Authorization")
    for challenge in found + choose(message.all(b"proxy-authenticate"), b"Proxy-Authorization"):
        mark = b"%s %s" % (challenge.field, challenge.realm)
        if mark in draft.tried and not (challenge.stale and draft.tried.count(mark) < 2):
            continue
        for realm, user, password in uac.credentials:
            if realm in (b"", unquote(challenge.realm)):
                challenge.user = user
                challenge.password = password
                for known in challenges:
                    if known.field == challenge.field and known.realm == challenge.realm:
                        challenges.remove(known)
                        break
                challenges.append(challenge)
                draft.tried.append(mark)
                changed = True
                break
    if changed:
        if len(uac.challenges) >= _MAX_FLOWS:
            uac.challenges.clear()
        draft.challenges = uac.challenges[(draft.method, draft.flow[:3])] = challenges
        if len(challenges) > 1:  # a proxy's and the recipient's, say: room for two takes a third of everybody's budget
            uac.rooms = 2
    else:  # the next request begins without credentials that are no good
        uac.challenges.pop((draft.method, draft.flow[:3]), None)
    return changed


def recall(uac: Uac, draft: Draft, now: int) -> None:
    """Let a request that had to wait take up the challenges met meanwhile where it goes, if the budget allows."""
    known = uac.challenges.get((draft.method, draft.flow[:3]), draft.challenges)
    for challenges in (known, draft.challenges):
        draft.challenges = challenges
        draft.cseq -= 1  # it was built before, and not sent
        uac.build(draft, now)
        if len(draft.request) <= BUDGET:
            break


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
        tail = b", algorithm=" + self.algorithm if self.algorithm else b""
        if self.qop or sess:
            tail += b', cnonce="%s"' % cnonce
        if self.qop:
            tail += b", qop=%s, nc=%s" % (self.qop, params[b"nc"])
        if self.opaque is not None:
            tail += b', opaque="%s"' % self.opaque
        if self.hides_user:
            tail += b", userhash=true"
        return b'%s: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"%s\r\n' % (
            self.field,
            user,
            self.realm,
            self.nonce,
            uri,
            response(self.algorithm, secret(name, self.user, self.realm, self.password), params, method, uri, body),
            tail,
        )


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
        ):
            continue
        chosen.append(Challenge(params, field, qop))
    return chosen
