"""What was heard while a message was under way: for who has to say why nothing came of it."""

from collections import Counter
from typing import Any

from sipmote.agent.events import Outcome
from sipmote.agent.headers.values import media_type
from sipmote.agent.message import Message
from sipmote.agent.notices import Dropped, Provisional
from sipmote.sip.places import Flow, place

_MOST = 16  # reasons that are told apart
_NO_MESSAGE = "octets that are no SIP message"
_BY_LF = "their lines end with LF alone, where SIP has CR and LF"
_REWRITTEN = "something between rewrites SIP: switch the router's SIP ALG off, or use --transport tcp or tls"


class Heard:
    """Sees what goes over the wire, and remembers of one message after the other what a timeout leaves to tell."""

    def __init__(self) -> None:
        self._requests: dict[bytes, tuple[Message, Flow]] = {}  # of the last Call-ID, by branch, the last one last
        self._call_id: bytes | None = None
        self._came = (Message(b""), "")  # the last that came, and from where
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._requests.clear()
        self.final = Message(b"")  # the last final response to the last one of them
        self._redirected = 0  # requests until the last 3xx came, 0 without one
        self._provisional: dict[str, Any] | None = None
        self._strays: Counter[tuple[str, str]] = Counter()  # (why it is no answer, from where)
        self._troubles: dict[str, str] = {}  # place: what was wrong there

    # What the shell tells

    def sent(self, data: bytes, flow: Flow) -> None:
        """We have sent this."""
        message = Message(data)
        if message.method:
            if message.get(b"call-id") != self._call_id:
                self._call_id = message.get(b"call-id")
                self._begin_anew()
            self._requests[_branch(message)] = message, flow

    def came(self, data: bytes, flow: Flow) -> None:
        """This has come."""
        message = Message(data)
        self._came = (message, _place(flow))
        if message.status >= 200 and list(self._requests)[-1:] == [_branch(message)]:
            self.final = message
            if 300 <= message.status < 400:
                self._redirected = len(self._requests)

    def failed(self, flow: Flow, text: str) -> None:
        """A flow has failed, and why; the message may go on by another one."""
        self._troubles[_place(flow)] = text

    def told(self, event: Provisional | Dropped) -> None:
        """The core has made this of what came last."""
        message, where = self._came
        if type(event) is Provisional:
            reason = event.reason.decode("utf-8", "backslashreplace")
            self._provisional = {"status": event.status, "reason": reason, "from": where}
        elif message.status or not message.method:
            key = (self._why(message), where)
            self._strays[key if key in self._strays or len(self._strays) < _MOST else ("other reasons", "others")] += 1

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

    def event(self, outcome: Outcome) -> dict[str, Any]:
        """Return what is added to the event of a failure: whom a redirect led to, and what a timeout leaves to tell."""
        event = self._redirection() if self._redirected and not 200 <= outcome.status < 400 else {}
        if outcome.name != "timeout":
            return event
        strays = [{"count": count, "reason": why, "from": where} for (why, where), count in self._strays.items()]
        troubles = [{"place": where, "reason": why} for where, why in self._troubles.items()]
        heard = {"provisional": self._provisional, "strays": strays, "troubles": troubles}
        heard = {name: value for name, value in heard.items() if value}
        return {**event, "heard": heard} if heard else event

    def _redirection(self) -> dict[str, Any]:
        """Return whom the last 3xx led to: the next request's URI, or for a 305 its flow, or what led to no request."""
        requests = list(self._requests.values())
        (first, _), (last, flow) = requests[0], requests[-1]
        if self._redirected == len(self._requests):
            contacts = b", ".join(self.final.all(b"contact"))
            return {"redirected_to": contacts.decode("utf-8", "backslashreplace")}
        next_hop = f"{flow[0].decode().lower()}:{_place(flow)}"
        uri = last.uri.decode("utf-8", "backslashreplace")
        return {"redirected_to": next_hop if last.uri == first.uri else uri, "next_hop": next_hop}

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
        request = self._requests.get(_branch(message))
        if request is None:
            return "the branch in their Via is none of ours"
        ours, theirs = _sent_by(request[0]), _sent_by(message)
        if ours != theirs:
            return f"their Via names another host ({theirs}, where we wrote {ours})"
        method = (message.get(b"cseq") or b"").split()[-1:]
        return "their CSeq names another method" if method != [request[0].method] else "they came too late"


def in_words(heard: dict[str, Any]) -> str:
    """Return for people what Heard.event() has; what they can do about it included."""
    told = []
    if "provisional" in heard:
        found = heard["provisional"]
        answer = f"{found['status']} {found['reason']}".rstrip()
        told.append(f"the server at {found['from']} is there ({answer}), but the recipient didn't answer")
    for found in heard.get("strays", ()):
        what = "1 answer" if found["count"] == 1 else f"{found['count']} answers"
        told.append(f"{what} from {found['from']} didn't answer our request: {found['reason']}")
    if any("Via" in found["reason"] for found in heard.get("strays", ())):
        told.append(_REWRITTEN)
    told += [f"{found['place']}: {found['reason']}" for found in heard.get("troubles", ())]
    return "; ".join(told)


def _branch(message: Message) -> bytes:
    via = (message.get(b"via") or b"").lower()
    return via[via.find(b"z9hg4bk") :].partition(b";")[0].rstrip()


def _sent_by(message: Message) -> str:
    words = (message.get(b"via") or b"").lower().partition(b";")[0].split()
    return b"".join(words[-1:]).decode("utf-8", "backslashreplace")


def _place(flow: Flow) -> str:
    return place(flow[1].decode(), flow[2])
