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
from sipmote.agent.notices import Provisional
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.console import Output
from sipmote.inbox.received import describe
from sipmote.people import user_name
from sipmote.send.content import Content
from sipmote.sip.clock import wall_clock
from sipmote.sip.places import Bind
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
    493: " (--encrypt-to is not a certificate of the key there)",
}

Result = tuple[int, dict[str, Any]]  # exit code and event


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be sent, and how.

    target, sender, proxy: URIs; no sender: who is at this computer. subject: of the header field. wait_s: seconds to
    wait for a notification. protects: is content S/MIME? The others as UserAgent takes them.
    """

    target: bytes
    text: bytes
    content: Content
    sender: bytes | None
    proxy: bytes | None
    transport: bytes
    expires: int | None
    subject: bytes | None
    budget: str
    wait_s: float
    protects: bool
    binds: Sequence[Bind]
    credentials: tuple[tuple[bytes, bytes, bytes], ...]
    tls: Tls
    dns: tuple[str, int] | None


async def send(order: Order, output: Output) -> int:
    """Send a message and say what became of it; returns the exit code. Raises AgentError for what can't be sent."""
    resolver = Resolver(order.transport, order.dns)
    report = Report(order, output)
    try:
        server = await _im_server(order, resolver)
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

    def read(self, outcome: Outcome, trouble: str) -> Result:
        """Return what an outcome means; trouble: why its flow failed."""
        code = UNANSWERED if trouble else _CODES.get(outcome.name, REFUSED)
        reason = trouble or outcome.reason.decode("utf-8", "backslashreplace")
        event = {"event": outcome.name, "status": outcome.status, "reason": reason}
        event["call_id"] = outcome.call_id.decode()
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
        if event["event"] in ("delivered", "accepted"):
            self._output.say(event, text)
        else:
            self._output.warn(f"{os.fsdecode(self._order.target)}: {text}{self._remedy(event)}", event)

    def _remedy(self, event: dict[str, Any]) -> str:
        """Return what a person can do about a failure that doesn't say so itself."""
        order = self._order
        first_hop = os.fsdecode(order.proxy or order.target)
        if event["status"] in (401, 407):
            return " (check the name and the password)" if order.credentials else " (add --user NAME)"
        if order.protects and event["status"] in _HINTS:
            return _HINTS[event["status"]]
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
        self._fit(b"", "refuse", self._ua.aor)  # says what is wrong before anything is opened
        self._shell = Shell(self._ua, self, order.tls, resolver, im_server or order.proxy)
        self._outcome: asyncio.Future[tuple[Outcome, str]]
        # by Call-ID, which is the Message-ID, too: what a notification said
        self._told: dict[str | None, asyncio.Future[str]] = {}

    async def send(self) -> int:
        """Send it; returns the exit code. Raises AgentError, and OSError when there is no way to the first hop."""
        order = self._order
        await self._shell.open(order.binds)
        host = await self._shell.reach(self._first_hop)
        sender = order.sender or b"sip:%s@%s" % (user_name(), bracketed(host.encode()))
        text = order.content.prepare(order.text)
        bodies, compact = self._fit(text, order.budget, sender, order.content.reserve(sender))
        results = await self._send_parts(bodies, compact, sender)
        if not self._ua.has_refused(order.target, imdn.CPIM):
            results = await self._wait(results)
        worst = max(code for code, _ in results)
        self._report.result(worst, next(event for code, event in reversed(results) if code == worst))
        return worst

    async def close(self) -> None:
        """Close what was opened."""
        await self._shell.close()

    def _fit(self, text: bytes, policy: str, sender: bytes, reserve: int = 0) -> tuple[list[bytes], bool]:
        content_type = self._order.content.of(b"", sender, b"")["content_type"]
        options = {**self._options, "content_type": content_type, "sender": sender, "reserve": reserve}
        return self._ua.fit(self._order.target, text, policy, **options)

    async def _send_parts(self, bodies: Sequence[bytes], compact: bool, sender: bytes) -> list[Result]:
        """Send the parts until one isn't taken."""
        order, loop = self._order, asyncio.get_running_loop()
        results: list[Result] = []
        for number, text in enumerate(bodies, 1):
            call_id = self._ua.new_call_id()
            self._outcome = loop.create_future()
            self._told[call_id.decode()] = loop.create_future()
            options = {**self._options, "compact": compact, **order.content.of(text, sender, call_id)}
            await self._shell.send(call_id, order.target, sender=sender, **options)
            code, event = self._report.read(*await self._outcome)
            if len(bodies) > 1:
                event["parts"] = len(bodies)
                self._report.part(number, event)
            results.append((code, event))
            if code not in (DELIVERED, ACCEPTED):
                break
        return results

    async def _wait(self, results: list[Result]) -> list[Result]:
        """Give those who will get what was only accepted the time to tell of it; returns what is known then."""
        waiting = [self._told[event["call_id"]] for code, event in results if code == ACCEPTED]
        if not waiting or not self._order.wait_s:
            return results
        self._report.result(*results[-1])
        await asyncio.wait(waiting, timeout=self._order.wait_s)
        return [self._as_told(code, event) if code == ACCEPTED else (code, event) for code, event in results]

    def _as_told(self, code: int, event: dict[str, Any]) -> Result:
        told = self._told[event["call_id"]]
        if not told.done():
            return code, {**event, "notification": None}
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
        if type(event) is Outcome:
            self._outcome.set_result((event, trouble))
        elif type(event) is Provisional:
            self._report.provisional(event)
