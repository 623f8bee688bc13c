"""The application of `sipmote send`: one message, or its parts one after the other, and what is said of them."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sipmote.agent.cms import mime
from sipmote.agent.cpim import imdn
from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.events import Outcome
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.request import BUDGET
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import parse_uri
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.inbox.received import describe
from sipmote.send.content import Content, joins
from sipmote.send.outcomes import ACCEPTED, DELIVERED, REFUSED, Result, as_text, read, remedy, unreachable
from sipmote.send.parts import Parts, which_of
from sipmote.send.way import Way
from sipmote.sip.heard import Heard
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Event
from sipmote.smime.guard import kept_reader

_ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML)
_MORE_TO_COME = ("processed", "stored")  # of what a notification may say: on its way still
_OK: Answer = (200, b"")
_BAD_USE_OF_THE_SENDER: Answer = (480, b"")  # for a MESSAGE that comes here while we wait for our answer
_NO_CPIM = "the recipient takes no message/cpim, which is what asks for one"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be sent, and how.

    display: the sender's name, in its quotes. fields: further header lines. subject: of the header field. notifies: is
    content to ask for a notification? wait_s: seconds to wait for it. protects: is content S/MIME? The others as
    UserAgent takes them.
    """

    way: Way
    text: bytes
    content: Content
    display: bytes | None
    expires: int | None
    subject: bytes | None
    fields: bytes
    budget: str
    notifies: bool
    wait_s: float
    protects: bool


async def send(order: Order, output: Output) -> int:
    """Send a message and say what became of it; returns the exit code. Raises AgentError for what can't be sent."""
    way = order.way
    resolver = Resolver(way.transport, way.dns)
    report = Report(order, output)
    try:
        server = await asyncio.wait_for(_im_server(way, resolver), way.timeout_s)
        sender = Sender(order, report, resolver, server)
        try:
            return await sender.send()
        finally:
            await sender.close()
    except OSError as error:
        return report.result(*unreachable(error))


async def _im_server(way: Way, resolver: Resolver) -> bytes | None:
    """Return the SIP URI for an im: one that is the first hop, None for none and for other URIs."""
    first_hop = parse_uri(way.proxy or way.target)
    return await resolver.im_server(first_hop) if first_hop.scheme == b"im" else None


class Report:
    """Says what became of a message, with a remedy where there is one."""

    def __init__(self, order: Order, output: Output) -> None:
        self._order = order
        self._output = output

    def provisional(self, event: Provisional) -> None:
        """Somebody has our request and works on it: what programs may show, and people need not read."""
        told = {"event": "provisional", "status": event.status}
        reason = event.reason.decode("utf-8", "backslashreplace")
        self._output.say({**told, "reason": reason, "call_id": event.call_id.decode()})

    def part(self, number: int, event: dict[str, Any]) -> None:
        """One of several parts has its outcome, which people need not read either."""
        self._output.say({**event, "event": "part", "outcome": event["event"], "part": number})

    def result(self, code: int, event: dict[str, Any], taken: str = "") -> int:
        """Say what came of it all; returns the exit code. taken: which of several parts were, for people."""
        order = self._order
        text = as_text(order.way, code, event)
        if "no_notification" in event:
            text += f"; no notification: {event['no_notification']}"
        if code in (DELIVERED, ACCEPTED):
            self._output.say(event, text)
        else:
            self._output.warn(text + remedy(order.way, event, order.protects) + (taken and f"; {taken}"), event)
        return code


class Sender:
    """The application behind the shell."""

    def __init__(self, order: Order, report: Report, resolver: Resolver, im_server: bytes | None) -> None:
        """Open nothing yet, within the running loop. Raises AgentError for what can't be sent as it is."""
        self._order = order
        self._report = report
        way = order.way
        self._reader = kept_reader() if order.protects else None
        self._first_hop = parse_uri(im_server or way.proxy or way.target)
        accept = _ACCEPT + ((mime.PKCS7, mime.MULTIPART) if self._reader else ())
        self._ua = way.user_agent(accept, resolve_im={way.target: im_server}.get)
        self._options = {"expires": order.expires, "subject": order.subject}
        self._options |= {"display": order.display, "fields": order.fields}
        self._fit(b"", "refuse", self._ua.aor)  # says what is wrong before anything is opened
        self._heard = Heard()
        self._shell = way.shell(self._ua, self, resolver, im_server or way.proxy, self._heard)
        self._until = None if way.timeout_s is None else asyncio.get_running_loop().time() + way.timeout_s
        self._outcome: asyncio.Future[tuple[Outcome, str]]
        # by Call-ID, which is the Message-ID, too: what a notification said
        self._told: dict[str | None, asyncio.Future[str]] = {}

    async def send(self) -> int:
        """Send it; returns the exit code. Raises AgentError, and OSError when there is no way to the first hop."""
        way = self._order.way
        await self._shell.open(way.binds)
        host = await asyncio.wait_for(self._shell.reach(self._first_hop), self._left())
        sender = way.sender_at(host)
        results = await self._wait(await self._send_parts(sender), sender)
        worst = max(code for code, _ in results)
        event = next(event for code, event in reversed(results) if code == worst)
        return self._report.result(worst, event, _taken([code for code, _ in results], event.get("parts", 1)))

    async def close(self) -> None:
        """Close what was opened."""
        await self._shell.close()

    def _left(self) -> float | None:
        """Return the seconds that are left, None without a limit."""
        return None if self._until is None else max(self._until - asyncio.get_running_loop().time(), 0.0)

    def _fit(self, text: bytes, policy: str, sender: bytes, reserve: int = 0) -> tuple[list[bytes], bool]:
        content_type = self._order.content.of(b"", sender, b"")["content_type"]
        options = {**self._options, "content_type": content_type, "sender": sender, "reserve": reserve}
        return self._ua.fit(self._order.way.target, text, policy, joins=joins, **options)

    async def _send_parts(self, sender: bytes) -> list[Result]:
        """Send the parts until one isn't taken.

        The text is cut with a guess of how long the answer to a challenge gets. What turns out not to fit is cut anew.
        """
        order = self._order
        text = order.content.prepare(order.text)
        try:
            bodies, compact = self._fit(text, order.budget, sender, order.content.reserve(sender))
        except UsageError as error:
            raise UsageError(f"{error}{order.content.advice(sender)}") from None
        parts = Parts(text, bodies, order.budget)
        results: list[Result] = []
        while parts.left:
            body = parts.left[0]
            code, event = await self._send_part(body, compact, sender)
            if "over" in event and parts.recut(len(body) - event["over"]):
                continue
            results.append((code, event))
            if code in (DELIVERED, ACCEPTED):
                parts.taken += 1
                room = BUDGET - self._heard.head_octets() - order.content.around(sender)
                if any(len(body) > room for body in parts.left):
                    parts.recut(room)
            if len(parts.bodies) > 1:
                event["parts"] = len(parts.bodies)
                self._report.part(len(results), event)
            if code not in (DELIVERED, ACCEPTED):
                break
        return results

    async def _send_part(self, text: bytes, compact: bool, sender: bytes) -> Result:
        order, loop = self._order, asyncio.get_running_loop()
        call_id = self._ua.new_call_id()
        self._outcome = loop.create_future()
        self._told[call_id.decode()] = loop.create_future()
        options = {**self._options, "compact": compact, **order.content.of(text, sender, call_id)}
        send = self._shell.send(call_id, order.way.target, sender=sender, **options)
        try:
            await asyncio.wait_for(send, self._left())
        except OSError as error:
            return unreachable(error)
        await asyncio.wait((self._outcome,), timeout=self._left())
        if not self._outcome.done():
            reason = f"no final response in {order.way.timeout_s:g} s".encode()
            self._outcome.set_result((Outcome(call_id, "timeout", 408, reason, None), ""))
        code, event = read(*self._outcome.result(), self._heard, bool(order.way.credentials))
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
            notice = describe(event, time.time(), reader=self._reader).notice() or {}
        except (ParseError, ToolError):  # ToolError: of keys that can't be read
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


def _taken(codes: Sequence[int], parts: int) -> str:
    """Return for people which of several parts were taken, given the exit codes of those that were tried."""
    numbers = [number for number, code in enumerate(codes, 1) if code in (DELIVERED, ACCEPTED)]
    verb = "went to a server" if any(codes[number - 1] == ACCEPTED for number in numbers) else "arrived"
    return f"{which_of(numbers, parts)} {verb}" if parts > 1 else ""
