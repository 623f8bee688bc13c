"""The application of `sipmote send`: one message, or its parts one after the other, and what is said of them."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sipmote.agent.cpim import imdn
from sipmote.agent.errors import ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.console import Output
from sipmote.inbox.received import describe
from sipmote.people import user_name
from sipmote.send.content import Content, joins
from sipmote.sip.clock import wall_clock
from sipmote.sip.heard import Heard, in_words
from sipmote.sip.places import Bind, Wire, Zones
from sipmote.sip.reader import Message
from sipmote.sip.reasons import reason_of
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Event, Shell
from sipmote.sip.tls import Tls

DELIVERED, USAGE, ACCEPTED, REFUSED, UNANSWERED = 0, 2, 3, 4, 5  # exit codes
_CODES = {"delivered": DELIVERED, "accepted": ACCEPTED, "timeout": UNANSWERED}
_ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML)
_MORE_TO_COME = ("processed", "stored")  # of what a notification may say: on its way still
_OK: Answer = (200, b"")
_BAD_USE_OF_THE_SENDER: Answer = (480, b"")  # for a MESSAGE that comes here while we wait for our answer
_HINTS = {
    415: " (no S/MIME is read there)",
    493: " (--encrypt-to is not a certificate of the key there, or signer, date or type of what is inside is refused)",
}

_NO_CPIM = "the recipient takes no message/cpim, which is what asks for one"

Result = tuple[int, dict[str, Any]]  # exit code and event


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be sent, and how.

    target, sender, proxy: URIs; no sender: who is at this computer. display: his name, in its quotes. fields: further
    header lines. subject: of the header field. notifies: is content to ask for a notification? wait_s: seconds to wait
    for it. timeout_s: seconds for it all, None for those of the protocol. protects: is content S/MIME? wires: who sees
    the messages. zones: of link-local addresses. The others as UserAgent takes them.
    """

    target: bytes
    text: bytes
    content: Content
    sender: bytes | None
    display: bytes | None
    proxy: bytes | None
    transport: bytes
    expires: int | None
    subject: bytes | None
    fields: bytes
    budget: str
    notifies: bool
    wait_s: float
    timeout_s: float | None
    protects: bool
    binds: Sequence[Bind]
    credentials: tuple[tuple[bytes, bytes, bytes], ...]
    tls: Tls
    dns: tuple[str, int] | None
    wires: Sequence[Wire]
    zones: Zones


async def send(order: Order, output: Output) -> int:
    """Send a message and say what became of it; returns the exit code. Raises AgentError for what can't be sent."""
    resolver = Resolver(order.transport, order.dns)
    report = Report(order, output)
    try:
        server = await asyncio.wait_for(_im_server(order, resolver), order.timeout_s)
        sender = Sender(order, report, resolver, server)
        try:
            return await sender.send()
        finally:
            await sender.close()
    except OSError as error:
        return report.unreachable(error)


async def _im_server(order: Order, resolver: Resolver) -> bytes | None:
    """Return the SIP URI for an im: one that is the first hop, None for none and for other URIs."""
    first_hop = parse_uri(order.proxy or order.target)
    return await resolver.im_server(first_hop) if first_hop.scheme == b"im" else None


class Report:
    """Says what became of a message, with a remedy where there is one."""

    def __init__(self, order: Order, output: Output) -> None:
        self._order = order
        self._output = output

    def read(self, outcome: Outcome, trouble: str, heard: Heard) -> Result:
        """Return what an outcome means; trouble: why its flow failed; heard: what came meanwhile."""
        code = UNANSWERED if trouble else _CODES.get(outcome.name, REFUSED)
        reason = trouble or outcome.reason.decode("utf-8", "backslashreplace")
        event = {"event": outcome.name, "status": outcome.status, "reason": reason}
        event |= {"call_id": outcome.call_id.decode(), **(heard.event() if outcome.name == "timeout" else {})}
        if outcome.status in (401, 407):
            event["remedy"] = heard.login_remedy(bool(self._order.credentials))
        if 300 <= outcome.status < 400 and heard.contacts():
            event["contact"] = heard.contacts()
        pause_s = retry_after_s(outcome.retry_after)
        return code, {**event, "retry_after": pause_s} if pause_s else event

    def provisional(self, event: Provisional) -> None:
        """Somebody has our request and works on it: what programs may show, and people need not read."""
        told = {"event": "provisional", "status": event.status}
        reason = event.reason.decode("utf-8", "backslashreplace")
        self._output.say({**told, "reason": reason, "call_id": event.call_id.decode()})

    def part(self, number: int, event: dict[str, Any]) -> None:
        """One of several parts has its outcome, which people need not read either."""
        self._output.say({**event, "event": "part", "outcome": event["event"], "part": number})

    def unreachable(self, error: OSError) -> int:
        """There is no way to the first hop; returns the exit code."""
        self.result(UNANSWERED, {"event": "failed", "status": 503, "reason": reason_of(error), "call_id": None})
        return UNANSWERED

    def result(self, code: int, event: dict[str, Any]) -> None:
        """Say what came of it all."""
        status = "" if code == UNANSWERED else f"{event['status']} "  # nobody has answered with it
        text = f"{event['event']}: {status}{event['reason']}"
        if "retry_after" in event:
            text += f", try again in {event['retry_after']} s"
        if "no_notification" in event:
            text += f"; no notification: {event['no_notification']}"
        if event["event"] in ("delivered", "accepted"):
            self._output.say(event, text)
        else:
            self._output.warn(f"{os.fsdecode(self._order.target)}: {text}{self._remedy(event)}", event)

    def _remedy(self, event: dict[str, Any]) -> str:
        """Return what a person can do about a failure that doesn't say so itself."""
        order = self._order
        first_hop = os.fsdecode(order.proxy or order.target)
        if "remedy" in event:
            return f" ({event['remedy']})"
        if event["status"] == 403:
            return " (a board takes commands from the addresses in its allow, or else its to: name one with --from)"
        if order.protects and event["status"] in _HINTS:
            return _HINTS[event["status"]]
        if event["reason"] == "Invalid argument" and "[fe80:" in first_hop.lower():
            return " (a link-local address needs its interface, as in [fe80::1%eth0])"
        if "contact" in event:
            return f" (it names {event['contact']}: try that yourself, or name a proxy that can with --proxy)"
        if "heard" in event:
            return f" ({in_words(event['heard'])})"
        if event["event"] == "timeout":
            return f" (check host, port and transport of {first_hop}, and that nothing between filters them)"
        if event["reason"] == "connection refused":
            return f" (nobody listens at {first_hop}: check port and transport, or start the server)"
        return ""


class Sender:
    """The application behind the shell."""

    def __init__(self, order: Order, report: Report, resolver: Resolver, im_server: bytes | None) -> None:
        """Open nothing yet, within the running loop. Raises AgentError for what can't be sent as it is."""
        self._order = order
        self._report = report
        self._first_hop = parse_uri(im_server or order.proxy or order.target)
        self._ua = UserAgent(
            order.sender or b"sip:%s@localhost" % user_name(),
            b"localhost",
            os.urandom,
            proxy=order.proxy,
            transport=order.transport,
            accept=_ACCEPT,
            clock=wall_clock(),
            credentials=order.credentials,
            reader=Message,
            resolve_im={order.target: im_server}.get,
        )
        self._options = {"expires": order.expires, "subject": order.subject}
        self._options |= {"display": order.display, "fields": order.fields}
        self._fit(b"", "refuse", self._ua.aor)  # says what is wrong before anything is opened
        self._heard = Heard()
        wires = (self._heard, *order.wires)
        self._shell = Shell(
            self._ua, self, order.tls, resolver, im_server or order.proxy, wires=wires, zones=order.zones
        )
        self._until = None if order.timeout_s is None else asyncio.get_running_loop().time() + order.timeout_s
        self._outcome: asyncio.Future[tuple[Outcome, str]]
        # by Call-ID, which is the Message-ID, too: what a notification said
        self._told: dict[str | None, asyncio.Future[str]] = {}

    async def send(self) -> int:
        """Send it; returns the exit code. Raises AgentError, and OSError when there is no way to the first hop."""
        order = self._order
        await self._shell.open(order.binds)
        host = await asyncio.wait_for(self._shell.reach(self._first_hop), self._left())
        sender = order.sender or b"sip:%s@%s" % (user_name(), bracketed(host.encode()))
        text = order.content.prepare(order.text)
        bodies, compact = self._fit(text, order.budget, sender, order.content.reserve(sender))
        results = await self._wait(await self._send_parts(bodies, compact, sender), sender)
        worst = max(code for code, _ in results)
        self._report.result(worst, next(event for code, event in reversed(results) if code == worst))
        return worst

    async def close(self) -> None:
        """Close what was opened."""
        await self._shell.close()

    def _left(self) -> float | None:
        """Return the seconds that are left, None without a limit."""
        return None if self._until is None else max(self._until - asyncio.get_running_loop().time(), 0.0)

    def _fit(self, text: bytes, policy: str, sender: bytes, reserve: int = 0) -> tuple[list[bytes], bool]:
        content_type = self._order.content.of(b"", sender, b"")["content_type"]
        options = {**self._options, "content_type": content_type, "sender": sender, "reserve": reserve}
        return self._ua.fit(self._order.target, text, policy, joins=joins, **options)

    async def _send_parts(self, bodies: Sequence[bytes], compact: bool, sender: bytes) -> list[Result]:
        """Send the parts until one isn't taken."""
        results: list[Result] = []
        for number, text in enumerate(bodies, 1):
            code, event = await self._send_part(text, compact, sender)
            if len(bodies) > 1:
                event["parts"] = len(bodies)
                self._report.part(number, event)
            results.append((code, event))
            if code not in (DELIVERED, ACCEPTED):
                break
        return results

    async def _send_part(self, text: bytes, compact: bool, sender: bytes) -> Result:
        order, loop = self._order, asyncio.get_running_loop()
        call_id = self._ua.new_call_id()
        self._outcome = loop.create_future()
        self._told[call_id.decode()] = loop.create_future()
        options = {**self._options, "compact": compact, **order.content.of(text, sender, call_id)}
        send = self._shell.send(call_id, order.target, sender=sender, **options)
        await asyncio.wait_for(send, self._left())
        await asyncio.wait((self._outcome,), timeout=self._left())
        if not self._outcome.done():
            reason = f"no final response in {order.timeout_s:g} s".encode()
            self._outcome.set_result((Outcome(call_id, "timeout", 408, reason, None), ""))
        code, event = self._report.read(*self._outcome.result(), self._heard)
        if code == ACCEPTED and order.notifies and not order.protects and self._heard.sent_as() != imdn.CPIM:
            event |= {"notification": None, "no_notification": _NO_CPIM}
        return code, event

    async def _wait(self, results: list[Result], sender: bytes) -> list[Result]:
        """Give those who will get what was only accepted the time to tell of it; returns what is known then."""
        asked = [event["call_id"] for code, event in results if code == ACCEPTED and "no_notification" not in event]
        if not asked or not self._order.wait_s:
            return results
        self._report.result(*results[-1])
        left_s = self._left()
        wait_s = self._order.wait_s if left_s is None else min(self._order.wait_s, left_s)
        await asyncio.wait([self._told[call_id] for call_id in asked], timeout=wait_s)
        silence = (
            f"none came in {wait_s:g} s: the recipient sends none, a server in between passes none on, or it went to "
            f"{os.fsdecode(sender)} and that is elsewhere"
        )
        return [self._as_told(*result, silence) if result[1]["call_id"] in asked else result for result in results]

    def _as_told(self, code: int, event: dict[str, Any], silence: str) -> Result:
        told = self._told[event["call_id"]]
        if not told.done():
            return code, {**event, "notification": None, "no_notification": silence}
        event = {**event, "notification": told.result()}
        if told.result() in ("delivered", "displayed"):
            return DELIVERED, {**event, "event": "delivered"}
        if told.result() == "failed":
            return REFUSED, {**event, "event": "failed"}
        return code, event  # forbidden or error: we are not to know, or nobody knows

    # What the shell tells

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        """Nobody is here to read messages; notifications of ours are taken."""
        return [self._answer(event) for event in batch]

    def _answer(self, event: MessageReceived) -> Answer:
        try:
            notice = describe(event, time.time()).notice() or {}
        except ParseError:
            return _BAD_USE_OF_THE_SENDER
        told = self._told.get(notice.get("message_id"))
        if told is None:
            return _BAD_USE_OF_THE_SENDER
        if not told.done() and notice["status"] not in _MORE_TO_COME:
            told.set_result(notice["status"])
        return _OK

    def happened(self, event: Event, trouble: str) -> None:
        """What send() waits for has come, or a sign that it will."""
        if type(event) is Outcome and not self._outcome.done():
            self._outcome.set_result((event, trouble))
        elif type(event) is Provisional:
            self._heard.told(event)
            self._report.provisional(event)
        elif type(event) is Dropped:
            self._heard.told(event)
