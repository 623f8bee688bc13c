"""R0-P8: any datagram costs an inbox a bounded number of instructions of Python, and what is refused has an answer.

Counted are bytecodes, from the octets to what is stored; no clock is asked. `python -m tests.bench hostile` tells the
CPU time, in which the work of bytes' methods counts, too.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from sipmote.agent.auth.server import Authenticator
from sipmote.agent.errors import ParseError
from sipmote.agent.events import Transmit
from sipmote.agent.message import MAX_HEAD
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.inbox.received import describe
from sipmote.sip.reader import Message
from tests.helpers import MESSAGE, NOW, UDP
from tests.hostile import datagrams

MOST = 100_000  # bytecodes for a datagram: some 3 ms
COPIED = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
_USERS = {b"alice": {b"sha-256": b"0" * 64}}


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """Count the bytecodes that are run."""
    count = [0]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count[0] += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def _agent(strict: bool) -> UserAgent:
    settings: dict[str, Any] = {"accept": (b"*/*",), "reader": Message}
    if strict:
        settings["authenticator"] = Authenticator(b"example.org", _USERS, os.urandom)
    return UserAgent(b"sip:desk@example.org", b"localhost", os.urandom, **settings)


def _take(agent: UserAgent, data: bytes) -> list[Any]:
    """Do with a datagram what an inbox does before it stores it; returns what the core says."""
    events = list(agent.receive(data, UDP, NOW))
    for event in events:
        if type(event) is MessageReceived:
            with contextlib.suppress(ParseError):
                describe(event, time.time(), None, None)
    return events


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("octets", [7000, 64_000])
def test_any_datagram_costs_a_bounded_number_of_instructions(octets: int, strict: bool) -> None:
    _take(_agent(strict), MESSAGE)  # what is imported for the first one isn't counted
    worst, which = 0, ""
    for what, data in datagrams(octets):
        agent = _agent(strict)
        _take(agent, data)
        agent = _agent(strict)
        with counting() as count:
            _take(agent, data)
        if count[0] > worst:
            worst, which = count[0], what
    assert worst <= MOST, which


@pytest.mark.parametrize("octets", [1000, 7000, 64_000])
def test_what_is_too_much_is_refused_with_an_answer(octets: int) -> None:
    """R0-P8: whatever has a topmost Via that leads back, and the fields that an answer copies once each"""
    silent = []
    for what, data in datagrams(octets):
        events = _take(_agent(False), data)
        if not [event for event in events if type(event) in (Transmit, MessageReceived)]:
            silent.append(what)
    unanswerable = ["a response", "no end", "nothing but", "b'Via' of", r"lines b'\r\n \r\n' first"]
    if octets > MAX_HEAD:  # folded over more lines than an answer has
        unanswerable += [
            f"{name!r}{how} b'\\r\\n" for name in COPIED for how in (" of", ", begun well, of", ", numbered, of")
        ]
    assert [what for what in silent if not what.startswith(tuple(unanswerable))] == []
