"""The application of `sipmote ask`: one message, and the message that comes back."""

import asyncio
import os
import re
import time
from collections.abc import Sequence
from typing import Any

from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.escapes import unescape
from sipmote.agent.events import Outcome
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import parse_uri
from sipmote.console import Lines, Output, complain
from sipmote.errors import ToolError
from sipmote.inbox.received import Received, describe
from sipmote.inbox.screen import marks, proofs
from sipmote.send.content import Content
from sipmote.send.outcomes import ACCEPTED, DELIVERED, Result, as_text, read, remedy, unreachable
from sipmote.send.way import Way
from sipmote.sip.heard import Heard
from sipmote.sip.places import Flow, same_host
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Event
from sipmote.smime.guard import guard, kept_reader

_ACCEPT = (b"*/*",)
_PART = re.compile(r"\(\d+/(\d+)\) ")  # of a text that --budget split, or a board, has cut
_OK: Answer = (200, b"")
_NOBODY_HERE: Answer = (480, b"")
_UNSIGNED: Answer = (403, b"A Good Signature Is Needed")
_INCORRECT_DATE: Answer = (400, b"Incorrect Date or Time")
_UNDECIPHERABLE: Answer = (493, b"")
_MOST = 4  # others that are named


async def ask(way: Way, text: bytes, output: Output, is_clear: bool) -> int:
    """Ask, and say the answer or why there is none; returns the exit code. Raises AgentError for what can't be sent.

    is_clear: ask in clear, whatever keys there are.
    """
    asker = Asker(way, text, output, is_clear)
    try:
        return await asker.ask()
    except OSError as error:
        return asker.say_failure(*unreachable(error))
    finally:
        await asker.close()


class Asker:
    """The application behind the shell."""

    def __init__(self, way: Way, text: bytes, output: Output, is_clear: bool) -> None:
        """Open nothing yet, within the running loop. Raises AgentError for a URI that won't do."""
        self._way = way
        self._guard, self._reader = guard(), kept_reader()
        self._is_clear = is_clear
        self._protects = False
        self._text = text
        self._output = output
        self._resolver = Resolver(way.transport, way.dns)
        self._ua = way.user_agent(_ACCEPT)
        self._heard = Heard()
        self._shell = way.shell(self._ua, self, self._resolver, way.proxy, self._heard)
        loop = asyncio.get_running_loop()
        self._call_id = self._ua.new_call_id()
        self._outcome: asyncio.Future[tuple[Outcome, str]] = loop.create_future()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._parts: list[tuple[Received, Flow]] = []  # of the answer
        self._flows: Sequence[Flow] = ()  # where the question may have gone
        self._others: dict[str, None] = {}  # who wrote meanwhile, and not in answer

    async def ask(self) -> int:
        """Send the question and wait; returns the exit code. Raises OSError when there is no way to the first hop."""
        way = self._way
        first_hop = parse_uri(way.proxy or way.target)
        await self._shell.open(way.binds)
        try:
            async with asyncio.timeout(way.timeout_s):
                self._flows = await self._resolver.flows(first_hop)
                host = await self._shell.reach(first_hop)
                sender = way.sender_at(host)
                await self._send(sender)
                return await self._wait()
        except TimeoutError:
            return self._say_silence()

    async def _send(self, sender: bytes) -> None:
        """Send the question, protected if there are keys. Raises AgentError."""
        target = self._way.target
        writer = None if self._guard is None or self._is_clear else self._guard.writer(sender, target)
        self._protects = writer is not None
        vouches = writer is not None and writer.vouches
        content = Content(target, b"text/plain", None, None, False, False, vouches, writer)
        options = content.of(content.prepare(self._text), sender, self._call_id)
        try:
            await self._shell.send(self._call_id, target, sender=sender, **options)
        except UsageError as error:
            raise UsageError(f"{error}{content.advice(sender)}") from None

    async def _wait(self) -> int:
        """Wait for the answer, which may come before the 200 does, or for why there will be none."""
        waited: list[asyncio.Future[Any]] = [self._outcome, self._answered]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not self._parts:
            code, event = self._result()
            if code not in (DELIVERED, ACCEPTED):
                return self.say_failure(code, event)
        await self._answered
        return self._say_answer()

    def _say_answer(self) -> int:
        """Print what has come of it; returns the exit code."""
        for one, flow in self._parts:
            self._say_part(one, flow)
        return DELIVERED if self._answered.done() else ACCEPTED

    def _say_part(self, one: Received, flow: Flow) -> None:
        text, _ = one.text()
        lines = text if text is not None else repr(one.body)
        who = [] if _user_and_host(os.fsencode(one.sender)) == _user_and_host(self._way.target) else [one.sender]
        if not self._is_there(flow):  # anybody can write this From
            who.append(f"from {one.source}, which was not asked")
        who += [word for word, _ in proofs(one)] + marks(one)
        if who:
            lines = f"{', '.join(who)}:\n{lines}"
        self._output.say({**one.line(), "event": "answer"}, Lines(lines))

    def _result(self) -> Result:
        return read(*self._outcome.result(), self._heard, bool(self._way.credentials))

    def say_failure(self, code: int, event: dict[str, Any]) -> int:
        """Say why there will be no answer, and what can be done; returns the exit code."""
        self._output.warn(as_text(self._way, code, event) + remedy(self._way, event, self._protects), event)
        return code

    def _say_silence(self) -> int:
        """Say that nothing came in time; returns the exit code."""
        seconds = f"{self._way.timeout_s:g} s"
        if self._parts:
            text = f"{len(self._parts)} parts of the answer came in {seconds}, and not all (wait longer with --timeout)"
            self._output.warn(text, {"event": "incomplete", "parts": len(self._parts)})
            return self._say_answer()
        if not self._outcome.done():
            reason = f"no final response in {seconds}".encode()
            self._outcome.set_result((Outcome(self._call_id, "timeout", 408, reason, None), ""))
        code, event = self._result()
        if code not in (DELIVERED, ACCEPTED):
            return self.say_failure(code, event)
        text = f"{os.fsdecode(self._way.target)}: {event['event']}, but no answer came in {seconds}"
        help_text = "wait longer with --timeout; a board has none to a word that is no command of its: ask it for help"
        event = {"event": "unanswered", "outcome": event["event"], "status": event["status"]}
        if self._others:
            event["others"] = list(self._others)
            help_text = f"{', '.join(self._others)} wrote meanwhile, and was not asked"
        self._output.warn(f"{text} ({help_text})", event)
        return ACCEPTED

    async def close(self) -> None:
        """Answer what has come, and close what was opened."""
        await self._shell.close()

    # What the shell tells

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        """Take the answer of who was asked; nobody else is heard here."""
        return [self._take(event) for event in batch]

    def _take(self, event: MessageReceived) -> Answer:
        if self._answered.done() or not self._heard.flows() or not self._is_asked(event.sender, event.flow):
            self._note(event.sender.decode("utf-8", "backslashreplace"))
            return _NOBODY_HERE
        try:
            one = describe(event, time.time(), reader=self._reader)
            if one.notice() is not None:
                return _OK  # it is typing, or has been told of something
            asked = os.fsdecode(self._way.target)  # he may answer by another name, and nobody by that in his place
            has_to_sign = self._guard is not None and self._guard.has_to_sign(asked, one.sender, one.author)
        except ParseError as error:
            return error.status, b""
        except ToolError as error:
            complain(str(error))
            return _NOBODY_HERE
        if one.verdict is not None and one.stale:
            return _UNDECIPHERABLE if one.encrypted else _INCORRECT_DATE  # an answer of another time, sent once more
        if has_to_sign and not one.is_by_sender:
            self._note(f"somebody who hasn't signed as {one.sender}")
            return _UNDECIPHERABLE if one.encrypted else _UNSIGNED
        self._parts.append((one, event.flow))
        part = _PART.match(one.text()[0] or "")
        if part is None or len(self._parts) >= int(part[1]):
            self._answered.set_result(None)
        return _OK

    def _note(self, other: str) -> None:
        """Somebody writes whose message is no answer."""
        if not self._answered.done() and len(self._others) < _MOST:
            self._others[other] = None

    def _is_there(self, flow: Flow) -> bool:
        """Does a flow come from where the question went?"""
        return any(same_host(one[1], flow[1]) for one in (*self._flows, *self._heard.flows()))

    def _is_asked(self, sender: bytes, flow: Flow) -> bool:
        """Is sender who was asked, or, at the host that the question went to, somebody who may be known as that there?

        A board calls itself by its own address-of-record, whose host may be another name than the one that was asked;
        its user part is what was asked for, or it would have answered 404. A server brings messages of many users. A
        redirect asks somebody else.
        """
        try:
            theirs = _user_and_host(sender)
        except ParseError:
            return False
        asked = [_user_and_host(uri) for uri in (self._way.target, *self._heard.targets())]
        if theirs in asked:
            return True
        return self._is_there(flow) and (theirs[0] is None or any(user in (None, theirs[0]) for user, _ in asked))

    def happened(self, event: Event, trouble: str) -> None:
        """The question has come to something, or to a sign that it will."""
        if type(event) is Outcome and not self._outcome.done():
            self._outcome.set_result((event, trouble))
        elif type(event) in (Provisional, Dropped):
            self._heard.told(event)


def _user_and_host(uri: bytes) -> tuple[bytes | None, bytes]:
    """Return what says who a URI is of, to be compared as RFC 3261 section 19.1.4 does; no user: None."""
    parsed = parse_uri(uri)
    return None if parsed.user is None else unescape(parsed.user), parsed.host
