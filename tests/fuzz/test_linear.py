"""R3261-18-13, R0-P8: what a peer's octets cost is linear in their number, whatever they are.

Counted are lines of Python run, and octets that bytes' methods look at or copy; no clock is asked. Twice the octets
may cost twice as much, and no octet more than a few hundred. FUZZ=1 takes larger ones.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.auth.server import Authenticator
from agent.headers.values import parse_address
from agent.stream import Framer
from agent.uri import parse_uri
from agent.user_agent import UserAgent
from tests.helpers import MESSAGE, NOW, TCP, UDP, changed, desk, with_body

# octets of the smaller one of two: both below the limit of a header section, both beyond it
SIZES = (3500, 30_000 if "FUZZ" in os.environ else 10_000)
MOST = 1000  # units of work that an octet may cost
NAMES = (
    *(b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Require", b"Content-Type", b"Content-Length", b"Content-Encoding"),
    *(b"Content-Disposition", b"Authorization", b"Timestamp", b"Date", b"Expires", b"Subject"),
)
VALUES = (
    *(b",", b'"', b"\\", b";", b"<", b">", b"%", b"=", b"/", b":", b"0", b" ", b"a", b"@", b"\t", b"&"),
    *(
        b"a,",
        b'""',
        b'"\\"',
        b'\\"',
        b"a;",
        b";a",
        b"a=1;",
        b"<>",
        b"%41",
        b"a,b=c,",
        b'a="b",',
        b"<a>,",
        b"\r\n ",
        b"a ",
    ),
)
FIRST = {  # so that what follows is looked at
    b"Via": b"SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse;x=",
    b"From": b"<sip:boiler@example.org>;tag=1;x=",
    b"To": b"<sip:desk@example.org>;x=",
    b"Authorization": b"Digest realm=",
    b"CSeq": b"1",
}
LINES = (
    *(b"v\r\n", b"X: y\r\n", b"v: SIP/2.0/UDP a\r\n", b"f\r\n", b"X\r\n", b":\r\n", b"t: a\r\n", b"X:\r\n \r\n"),
    *(b"Require: a\r\n", b"Authorization: Digest a=b\r\n", b"i: 1\r\n", b"\r\n \r\n", b"Max-Forwards: 1\r\n", b"l\r\n"),
)


class Tally(bytes):
    """Octets that count what is done with them."""

    octets = 0

    def __getitem__(self, key: Any) -> Any:
        found = bytes.__getitem__(self, key)
        if isinstance(found, int):
            return found
        return counted(found)

    def __add__(self, other: Any) -> "Tally":
        return counted(bytes.__add__(self, other))

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        end = len(self) if end is None else end
        found = bytes.find(self, sub, start, end)
        Tally.octets += max(0, (end if found < 0 else found) - start)
        return found

    def count(self, *arguments: Any) -> int:
        Tally.octets += len(self)
        return bytes.count(self, *arguments)

    def split(self, *arguments: Any) -> Any:
        Tally.octets += len(self)
        return [Tally(part) for part in bytes.split(self, *arguments)]

    def __radd__(self, other: Any) -> "Tally":
        return counted(bytes(other) + bytes(self))


def _copying(name: str) -> Any:
    def method(self: bytes, *arguments: Any) -> Tally:
        Tally.octets += len(self)
        return Tally(getattr(bytes, name)(self, *arguments))

    return method


for _name in ("strip", "lstrip", "rstrip", "lower", "upper", "replace"):
    setattr(Tally, _name, _copying(_name))


def counted(octets: bytes) -> Tally:
    Tally.octets += len(octets)
    return Tally(octets)


@contextmanager
def counting_lines() -> Iterator[list[int]]:
    lines = [0]

    def trace(frame: Any, event: str, argument: Any) -> Any:
        lines[0] += event == "line"
        return trace if "/agent/" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


@contextmanager
def counting_joins() -> Iterator[list[int]]:
    """Count the calls of bytes.join, which asks nothing of a Tally."""
    joins = [0]

    def profile(frame: Any, event: str, function: Any) -> None:
        joins[0] += event == "c_call" and function.__name__ == "join"

    sys.setprofile(profile)
    try:
        yield joins
    finally:
        sys.setprofile(None)


def work(run: Callable[[bytes], object], data: bytes) -> int:
    octets = Tally(data)
    Tally.octets = 0
    with counting_lines() as lines:
        run(octets)
    return Tally.octets + 10 * lines[0]


def assert_linear(run: Callable[[bytes], object], made: Callable[[int], bytes], what: object) -> None:
    for size in SIZES:
        small, large = work(run, made(size)), work(run, made(2 * size))
        assert large <= MOST * 2 * size, what
        assert large <= 2.2 * small + 10_000, (what, size, small, large)


def strict() -> UserAgent:
    """A user agent that looks at everything: it has users, hosts and an authenticator."""
    users = {b"alice": {b"sha-256": b"0" * 64}}
    authenticator = Authenticator(b"example.org", users, os.urandom)
    return desk(users=(b"desk",), hosts=(b"example.org",), authenticator=authenticator)


@pytest.mark.parametrize("make", [desk, strict])
@pytest.mark.parametrize("name", NAMES)
def test_a_long_value_costs_no_more_than_its_octets(name: bytes, make: Callable[[], UserAgent]) -> None:
    for value in VALUES:
        for first in (b"", FIRST.get(name, b"x")):

            def request(octets: int, value: bytes = value, first: bytes = first) -> bytes:
                line = name + b": " + first + value * (octets // len(value)) + b"\r\n"
                lines = MESSAGE.split(b"\r\n")
                kept = [one + b"\r\n" for one in lines[1:-2] if not one.startswith(name + b":")]
                return lines[0] + b"\r\n" + line + b"".join(kept) + b"\r\n"

            assert_linear(lambda data: make().receive(data, UDP, NOW), request, (name, first, value))


@pytest.mark.parametrize("pattern", [b"a%d=1,", b'a%d="\\"b",', b";a%d", b';a%d="b"', b"<sip:a%d>,", b"a%d "])
def test_many_different_parameters_cost_no_more_than_their_octets(pattern: bytes) -> None:
    for name in NAMES:
        first = FIRST.get(name, b"x") if name != b"Authorization" else b"Digest "

        def request(octets: int, name: bytes = name, first: bytes = first) -> bytes:
            value = b"".join([pattern % i for i in range(octets // len(pattern))])[:octets]
            return changed(MESSAGE, b"Via:", name + b": " + first + value + b"\r\nVia:")

        assert_linear(lambda data: strict().receive(data, UDP, NOW), request, (name, pattern))


@pytest.mark.parametrize("make", [desk, strict])
def test_many_lines_cost_no_more_than_their_octets(make: Callable[[], UserAgent]) -> None:
    for line in LINES:

        def request(octets: int, line: bytes = line) -> bytes:
            return changed(MESSAGE, b"Content-Length", line * (octets // len(line)) + b"Content-Length")

        assert_linear(lambda data: make().receive(data, UDP, NOW), request, line)


def test_a_long_uri_costs_no_more_than_its_octets() -> None:
    for value in VALUES:
        for first in (b"sip:", b"sip:desk", b"sip:desk@example.org;x=", b"sip:desk@example.org?a=", b"tel:1"):
            if b" " in value or b"\r" in value:
                continue

            def request(octets: int, value: bytes = value, first: bytes = first) -> bytes:
                return changed(MESSAGE, b"sip:desk@example.org SIP", first + value * (octets // len(value)) + b" SIP")

            assert_linear(lambda data: strict().receive(data, UDP, NOW), request, (first, value))


def test_a_long_address_and_a_long_uri_are_read_in_one_way_through() -> None:
    for value in VALUES:
        for first in (b"", b'"', b"<sip:a@b>;a=", b"sip:a@b;", b"sip:"):

            def made(octets: int, value: bytes = value, first: bytes = first) -> bytes:
                return first + value * (octets // len(value))

            for read in (parse_address, lambda text: parse_uri(text).key()):
                assert_linear(lambda text, read=read: _tried(read, text), made, (first, value))  # type: ignore[misc]


def _tried(read: Callable[[bytes], object], text: bytes) -> None:
    try:
        read(text)
    except Exception as error:
        assert type(error).__name__ == "ParseError"


@pytest.mark.parametrize("piece", [1, 3, 100, 1000])
def test_a_stream_costs_no_more_than_its_octets_however_it_is_cut(piece: int) -> None:
    """R3261-18-12: a long body, a long header section, one that never ends, and many small messages"""

    def feed(data: bytes) -> None:
        framer, agent = Framer(), desk()
        for at in range(0, len(data), piece):
            whole = framer.pending + piece
            with counting_joins() as joins:
                found = framer.feed(Tally(data[at : at + piece]))
            Tally.octets += joins[0] * whole
            for item in found:
                agent.receive(item, TCP, NOW)

    for made in (
        lambda octets: with_body(b"x" * octets),
        lambda octets: changed(MESSAGE, b"Content-Length", b"X: " + b"y" * octets + b"\r\nContent-Length"),
        lambda octets: changed(MESSAGE, b"Content-Length", b"X: y\r\n" * (octets // 6) + b"Content-Length"),
        lambda octets: b"y" * octets,
        lambda octets: b"\r\n" * (octets // 2),
        lambda octets: MESSAGE * (octets // len(MESSAGE)),
    ):
        assert_linear(feed, made, piece)
