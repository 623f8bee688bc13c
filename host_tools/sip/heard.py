"""What was heard while a message or a REGISTER was under way: for who has to say why nothing came of it."""

from collections import Counter
from typing import Any

from sipmote.agent.auth.client import choose
from sipmote.agent.auth.digest import parse_parameters
from sipmote.agent.errors import ParseError
from sipmote.agent.headers.values import media_type
from sipmote.agent.message import Message
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.uri import parse_uri
from sipmote.sip.places import Flow, place

_MOST = 16  # reasons that are told apart
_NO_MESSAGE = "octets that are no SIP message"
_BY_LF = "their lines end with LF alone, where SIP has CR and LF"
_ANSWERED_BY = {b"www-authenticate": b"Authorization", b"proxy-authenticate": b"Proxy-Authorization"}
_DIGEST = "Digest with SHA-256, SHA-512-256 or MD5"
_LONGEST_OFFER = 64  # characters of what a server writes there
_REWRITTEN = "something between rewrites SIP: switch the router's SIP ALG off, or add --proxy sip:HOST;transport=tcp"


class Heard:
    """Sees what goes over the wire, and remembers of one request after the other what its end leaves to tell."""

    def __init__(self, method: bytes = b"") -> None:
        """method: of the requests to watch, and of what comes from where they went; b"" for all there is."""
        self._start = method + b" " if method else b""
        self._requests: dict[bytes, tuple[Message, Flow]] = {}  # of the last Call-ID, by branch, the last one last
        self._call_id: bytes | None = None
        self._last: tuple[bytes, Flow] = (b"", (b"", b"", 0))  # what came, and from where
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget all requests and what was heard of them."""
        self._requests.clear()
        self.final = Message(b"")  # the last final response to the last one of them
        self._redirected = 0  # requests until the last 3xx came, 0 without one
        self._provisional: dict[str, Any] | None = None
        self._strays: Counter[tuple[str, str]] = Counter()  # (why it is no answer, from where)
        self._troubles: dict[str, str] = {}  # place: what was wrong there

    # What the shell tells

    def sent(self, data: bytes, flow: Flow) -> None:
        """We have sent this."""
        if not data.startswith(self._start):
            return
        message = Message(data)
        if message.method:
            if message.get(b"call-id") != self._call_id:
                self._call_id = message.get(b"call-id")
                self.begin_anew()
            self._requests[_branch(message)] = message, flow

    def came(self, data: bytes, flow: Flow) -> None:
        """This has come."""
        self._last = data, flow
        if data.startswith(b"SIP/2.0 ") and self._concerns(flow):
            message = Message(data)
            if message.status >= 200 and list(self._requests)[-1:] == [_branch(message)]:
                self.final = message
                if 300 <= message.status < 400:
                    self._redirected = len(self._requests)

    def failed(self, flow: Flow, text: str) -> None:
        """A flow has failed, and why; the message may go on by another one."""
        if self._concerns(flow):
            self._troubles[_place(flow)] = text

    def told(self, event: Provisional | Dropped) -> None:
        """The core has made this of what came last."""
        data, flow = self._last
        if type(event) is Provisional:
            if event.call_id == self._call_id:
                reason = event.reason.decode("utf-8", "backslashreplace")
                self._provisional = {"status": event.status, "reason": reason, "from": _place(flow)}
        elif self._concerns(flow):
            message = Message(data)
            if message.status or not message.method:
                key = (self._why(message), _place(flow))
                is_known = key in self._strays or len(self._strays) < _MOST
                self._strays[key if is_known else ("other reasons", "others")] += 1

    def _concerns(self, flow: Flow) -> bool:
        """Is a flow one that is watched?"""
        return not self._start or any(flow[:3] == went[:3] for _, went in self._requests.values())

    # What can be said of it

    def sent_as(self) -> bytes:
        """Return the type and subtype that the last request went out with."""
        *_, (request, _) = self._requests.values()
        return media_type(request.get(b"content-type") or b"")

    def head_octets(self) -> int:
        """Return the octets of the last request, without its body."""
        *_, (request, _) = self._requests.values()
        return request.body_at

    def targets(self) -> list[bytes]:
        """Return the Request-URIs of the requests of the last Call-ID."""
        return [request.uri for request, _ in self._requests.values()]

    def flows(self) -> list[Flow]:
        """Return where they went."""
        return [flow for _, flow in self._requests.values()]

    def event(self) -> dict[str, Any]:
        """Return what a timeout adds to its event: what was heard all the same."""
        strays = [{"count": count, "reason": why, "from": where} for (why, where), count in self._strays.items()]
        troubles = [{"place": where, "reason": why} for where, why in self._troubles.items()]
        heard = {"provisional": self._provisional, "strays": strays, "troubles": troubles}
        return {"heard": {name: value for name, value in heard.items() if value}} if any(heard.values()) else {}

    def redirection(self) -> dict[str, Any]:
        """Return whom the last 3xx led to: the next request's URI, or for a 305 its flow, or what led to no request."""
        if not self._redirected:
            return {}
        requests = list(self._requests.values())
        (first, _), (last, flow) = requests[0], requests[-1]
        if self._redirected == len(self._requests):
            contacts = b", ".join(self.final.all(b"contact"))
            return {"redirected_to": contacts.decode("utf-8", "backslashreplace")}
        next_hop = f"{flow[0].decode().lower()}:{_place(flow)}"
        uri = last.uri.decode("utf-8", "backslashreplace")
        return {"redirected_to": next_hop if last.uri == first.uri else uri, "next_hop": next_hop}

    def login_remedy(self, has_login: bool) -> str:
        """Return what a person can do about the 401 or 407 that came last. has_login: have we name and password?"""
        values = {name: self.final.all(name) for name in _ANSWERED_BY}
        challenges = [one for name in values for one in choose(values[name], _ANSWERED_BY[name])]
        offers = ", ".join(dict.fromkeys(_offer(value) for name in values for value in values[name]))
        if offers and not challenges:
            return f"the server offers only {offers}: it has to offer {_DIGEST}"
        if not has_login:
            return "add --user NAME"
        if not offers:
            return "the server doesn't say how to log in: it has sent no challenge"
        (first, first_flow), *_, (last, flow) = [*self._requests.values()] * 2
        is_answered = any(last.get(one.field.lower()) for one in challenges)
        if not is_answered and (_host(last), flow[1]) != (_host(first), first_flow[1]):
            return f"a redirect led to {_text(last.uri)} at {_place(flow)}, where a password is told to nobody"
        return "check the name and the password"

    def _why(self, message: Message) -> str:
        """Return why a message is no answer to a request of ours."""
        if not message.status:
            is_by_lf = message.data[:4].upper() == b"SIP/" and b"\r\n" not in message.data
            return _BY_LF if is_by_lf else _NO_MESSAGE
        if message.missing():
            return f"they lack {message.missing()} octets of what their Content-Length says"
        if message.fault:
            return f"they are malformed, {message.fault[0]}"
        vias = message.all(b"via")
        if len(vias) != 1 or b"," in vias[0]:
            return f"they have {len(vias) or 'no'} Via, where one was expected"
        request, _ = self._requests.get(_branch(message), (None, None))
        if request is None:
            return "the branch in their Via is none of ours"
        ours, theirs = _sent_by(request), _sent_by(message)
        if ours != theirs:
            return f"their Via names another host ({theirs}, where we wrote {ours})"
        method = (message.get(b"cseq") or b"").split()[-1:]
        return "their CSeq names another method" if method != [request.method] else "they came too late"


def in_words(heard: dict[str, Any], who: str = "the recipient") -> str:
    """Return for people what Heard.event() has; what they can do about it included. who: should have answered."""
    told = []
    if "provisional" in heard:
        found = heard["provisional"]
        answer = f"{found['status']} {found['reason']}".rstrip()
        told.append(f"the server at {found['from']} is there ({answer}), but {who} didn't answer")
    for found in heard.get("strays", ()):
        what = "1 answer" if found["count"] == 1 else f"{found['count']} answers"
        told.append(f"{what} from {found['from']} didn't answer our request: {found['reason']}")
    if any("Via" in found["reason"] for found in heard.get("strays", ())):
        told.append(_REWRITTEN)
    told += [f"{found['place']}: {found['reason']}" for found in heard.get("troubles", ())]
    return "; ".join(told)


def _offer(challenge: bytes) -> str:
    """Return for people the way to log in that a challenge stands for, e.g. "Basic" or "Digest with SHA-1"."""
    scheme = _text(challenge.split()[0] if challenge.strip() else b"nothing")[:_LONGEST_OFFER]
    if scheme.lower() != "digest":
        return scheme
    try:
        _, params = parse_parameters(challenge)
    except ParseError:
        return f"{scheme} that can't be read"
    if b"realm" not in params or b"nonce" not in params:
        return f"{scheme} without realm or nonce"
    algorithm = params.get(b"algorithm", b"MD5")
    is_known = choose([b'Digest realm="", nonce="", algorithm=' + algorithm], b"")
    return f"{scheme} with " + _text(b"qop=" + params.get(b"qop", b"") if is_known else algorithm)[:_LONGEST_OFFER]


def _host(request: Message) -> bytes:
    return parse_uri(request.uri).host


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _branch(message: Message) -> bytes:
    via = (message.get(b"via") or b"").lower()
    return via[via.find(b"z9hg4bk") :].partition(b";")[0].rstrip()


def _sent_by(message: Message) -> str:
    words = (message.get(b"via") or b"").lower().partition(b";")[0].split()
    return b"".join(words[-1:]).decode("utf-8", "backslashreplace")


def _place(flow: Flow) -> str:
    return place(flow[1].decode(), flow[2])
