"""The application of `sipmote ask`: one message, and the message that comes back."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sipmote.agent.cpim import imdn
from sipmote.agent.errors import ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.console import Lines, Output
from sipmote.inbox.received import Received, describe
from sipmote.people import person, user_name
from sipmote.send.app import ACCEPTED, DELIVERED, REFUSED, UNANSWERED
from sipmote.sip.clock import wall_clock
from sipmote.sip.places import Bind, Flow, Wire, Zones, same_host
from sipmote.sip.reader import Message
from sipmote.sip.reasons import reason_of
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Event, Shell
from sipmote.sip.tls import Tls

_ACCEPT = (b"text/*", imdn.CPIM)
_OK: Answer = (200, b"")
_NOBODY_HERE: Answer = (480, b"")
_REMEDIES = {
    401: "check --user and the password",
    403: "a board takes commands from the addresses in its allow, or else its to: name one of them with --from",
    404: "check what stands before the @",
    407: "check --user and the password",
    408: "check host, port and transport, and that nothing between filters them",
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. target, sender, proxy: URIs; no sender: who is at this computer. timeout_s: seconds for it all.

    The others as UserAgent and Shell take them.
    """

    target: bytes
    text: bytes
    sender: bytes | None
    proxy: bytes | None
    transport: bytes
    timeout_s: float
    binds: Sequence[Bind]
    credentials: tuple[tuple[bytes, bytes, bytes], ...]
    tls: Tls
    dns: tuple[str, int] | None
    wires: Sequence[Wire]
    zones: Zones


async def ask(question: Question, output: Output) -> int:
    """Ask, and say the answer or why there is none; returns the exit code. Raises AgentError for what can't be sent."""
    asker = Asker(question, output)
    try:
        return await asker.ask()
    except OSError as error:
        return asker.say_failure("failed", 503, reason_of(error), UNANSWERED)
    finally:
        await asker.close()


class Asker:
    """The application behind the shell."""

    def __init__(self, question: Question, output: Output) -> None:
        """Open nothing yet, within the running loop. Raises AgentError for a URI that won't do."""
        self._question = question
        self._output = output
        self._resolver = Resolver(question.transport, question.dns)
        self._ua = UserAgent(
            question.sender or b"sip:%s@localhost" % user_name(),
            b"localhost",
            os.urandom,
            proxy=question.proxy,
            transport=question.transport,
            accept=_ACCEPT,
            clock=wall_clock(),
            credentials=question.credentials,
            reader=Message,
        )
        wires, zones = question.wires, question.zones
        self._shell = Shell(self._ua, self, question.tls, self._resolver, question.proxy, wires=wires, zones=zones)
        loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[tuple[Outcome, str]] = loop.create_future()
        self._answer: asyncio.Future[Received] = loop.create_future()
        self._flows: Sequence[Flow] = ()  # where the question may have gone

    async def ask(self) -> int:
        """Send the question and wait; returns the exit code. Raises OSError when there is no way to the first hop."""
        question = self._question
        first_hop = parse_uri(question.proxy or question.target)
        await self._shell.open(question.binds)
        self._flows = await self._resolver.flows(first_hop)
        host = await self._shell.reach(first_hop)
        sender = question.sender or b"sip:%s@%s" % (user_name(), bracketed(host.encode()))
        try:
            async with asyncio.timeout(question.timeout_s):
                await self._shell.send(self._ua.new_call_id(), question.target, question.text, sender=sender)
                return await self._wait()
        except TimeoutError:
            return self._say_silence()

    async def _wait(self) -> int:
        """Wait for the answer, which may come before the 200 does, or for why there will be none."""
        waited: list[asyncio.Future[Any]] = [self._outcome, self._answer]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not self._answer.done():
            outcome, trouble = self._outcome.result()
            if outcome.name not in ("delivered", "accepted"):
                reason = trouble or outcome.reason.decode("utf-8", "backslashreplace")
                code = UNANSWERED if trouble or outcome.name == "timeout" else REFUSED
                return self.say_failure(outcome.name, outcome.status, reason, code)
        one = await self._answer
        text, _ = one.text()
        self._output.say({**one.line(), "event": "answer"}, Lines(text if text is not None else repr(one.body)))
        return DELIVERED

    def say_failure(self, name: str, status: int, reason: str, code: int) -> int:
        """Say why there will be no answer, and what can be done; returns the exit code.

        name, status: as in an Outcome, a status of 408 or 503 with UNANSWERED being nobody's.
        """
        remedy = _REMEDIES.get(status, "") if code == REFUSED or status == 408 else ""
        if status in (401, 407) and not self._question.credentials:
            remedy = "add --user NAME"
        number = "" if code == UNANSWERED else f"{status} "
        text = f"{os.fsdecode(self._question.target)}: {name}: {number}{reason}{remedy and f' ({remedy})'}"
        self._output.warn(text, {"event": name, "status": status, "reason": reason})
        return code

    def _say_silence(self) -> int:
        """Say that nothing came in time; returns the exit code."""
        seconds = f"{self._question.timeout_s:g} s"
        if not self._outcome.done():
            return self.say_failure("timeout", 408, f"no response in {seconds}", UNANSWERED)
        outcome, _ = self._outcome.result()
        text = f"{os.fsdecode(self._question.target)}: {outcome.name}, but no answer came in {seconds}"
        remedy = "wait longer with --timeout; a board has none to a word that is no command of its: ask it for help"
        event = {"event": "unanswered", "outcome": outcome.name, "status": outcome.status}
        self._output.warn(f"{text} ({remedy})", event)
        return ACCEPTED

    async def close(self) -> None:
        """Answer what has come, and close what was opened."""
        await self._shell.close()

    # What the shell tells

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        """Take the answer: from where the question went, or by its addressee; nobody else is heard here."""
        return [self._take(event) for event in batch]

    def _take(self, event: MessageReceived) -> Answer:
        is_there = any(same_host(flow[1], event.flow[1]) for flow in self._flows)
        target = os.fsdecode(self._question.target)
        if self._answer.done() or not (is_there or person(event.sender.decode("latin-1")) == person(target)):
            return _NOBODY_HERE
        try:
            one = describe(event, time.time())
            if one.notice() is not None:
                return _OK  # it is typing, or has been told of something
        except ParseError as error:
            return error.status, b""
        self._answer.set_result(one)
        return _OK

    def happened(self, event: Event, trouble: str) -> None:
        """The question has come to something."""
        if type(event) is Outcome and not self._outcome.done():
            self._outcome.set_result((event, trouble))
