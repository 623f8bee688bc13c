"""R0-P20, R0-P13: the time comes from an NTP server without blocking; no answer, good or bad, ends or misleads a board.

The servers are sockets on loopback that answer as each test wants.
"""

import json
import socket
import struct
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.dns_server import DnsServer, closed_port
from tests.host_tools.peers import header, until
from tests.host_tools.virtual import started
from tests.mote.test_outbox import desk_at
from tests.sip_peer import Peer
from tests.vm import run_program

_2026 = 1_790_000_000  # Unix seconds
_2033 = 2_000_000_000  # after the build of what is deployed
_1900 = 2_208_988_800

Answer = Callable[[bytes], list[bytes]]  # a query -> what is sent back


def answer(query: bytes, unix: int = _2026, first: int = 0x24, stratum: int = 2, reference: bytes = b"GPS\0") -> bytes:
    """Return what a server says; first: leap indicator, version and mode."""
    stamp = struct.pack(">II", (unix + _1900) % 2**32, 5)
    return bytes((first, stratum, 6, 236)) + bytes(8) + reference + stamp + query[40:48] + stamp + stamp


class NtpServer:
    """Answers each query; asked: the queries in their order."""

    def __init__(self, answers: Answer, family: socket.AddressFamily = socket.AF_INET) -> None:
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self._answers = answers
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.bind((host, 0))
        self.port = self._sock.getsockname()[1]
        self.place = f"{host}:{self.port}" if family == socket.AF_INET else f"[{host}]:{self.port}"
        self.asked: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, address = self._sock.recvfrom(512)
            if not query:
                return
            self.asked.append(query)
            self.client = address
            for data in self._answers(query):
                self._sock.sendto(data, address)

    def __enter__(self) -> "NtpServer":
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(self._sock.family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._sock.getsockname())
        self._thread.join()
        self._sock.close()


_PROGRAM = """
import asyncio, json, sys
from agent.wall_clock import WallClock
from mote.net.sockets import now

asked = json.loads(sys.argv[1])
records = []
rtc = []
turns = 0
class machine:
    class RTC:
        def datetime(self, date):
            rtc.append(date)
sys.modules["machine"] = machine
class mote:
    outbox = None
    settings = asked
    class agent:
        clock = WallClock()
    class shell:
        def failed(error):
            records.append(repr(error))
            return asyncio.sleep_ms(0)
    def log(level, event, **fields):
        records.append([event, fields])

patience = []  # ms
wait_for_ms = asyncio.wait_for_ms
def wait(awaited, ms):
    patience.append(ms)
    return wait_for_ms(awaited, min(ms, asked.get("patience", ms)))
asyncio.wait_for_ms = wait

async def tick():
    global turns
    while True:
        await asyncio.sleep_ms(10)
        turns += 1

async def main():
    asyncio.create_task(tick())
    times = []
    for _ in range(asked.get("times", 1)):
        from mote.net.ntp import keep_time

        await keep_time(mote)
        times.append(mote.agent.clock.unix(now()))
    found = {"records": records, "times": times, "quality": mote.agent.clock.quality, "rtc": rtc}
    found.update({"turns": turns, "patience": patience})
    found["loaded"] = [name for name in sys.modules if name in ("mote.net.ntp", "mote.net.names")]
    print(json.dumps(found))

asyncio.run(main())
"""


def _ask(bits: int = 32, **settings: Any) -> dict[str, Any]:
    """Ask on a VM as the settings say, times times."""
    found: dict[str, Any] = json.loads(run_program(_PROGRAM, json.dumps(settings), "128k", bits).stdout)
    return found


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_answer_sets_both_clocks(family: socket.AddressFamily, bits: int) -> None:
    with NtpServer(lambda query: [answer(query)], family) as server:
        seen = _ask(bits, ntp=server.place)
        assert len(server.asked) == 1 and len(server.asked[0]) == 48 and server.asked[0][0] == 0x23
    assert (seen["records"], seen["times"], seen["quality"]) == ([], [_2026], 4)
    assert seen["rtc"] == [[2026, 9, 21, 1, 14, 13, 20, 0]]  # a Monday
    assert seen["loaded"] == []  # an address needs no names, and what has asked is freed


@pytest.mark.parametrize("bits", [32, 64])
def test_seconds_that_have_wrapped_in_2036_are_a_date_behind_it(bits: int) -> None:
    in_2037 = 2_120_000_000
    with NtpServer(lambda query: [answer(query, in_2037)]) as server:
        assert _ask(bits, ntp=server.place)["times"] == [in_2037]


_BAD: dict[str, tuple[Answer, str]] = {
    "kiss of death": (lambda q: [answer(q, stratum=0, reference=b"RATE")], "does not want to be asked: RATE"),
    "zero": (lambda q: [answer(q)[:40] + bytes(8)], "does not know the time itself"),
    "zero seconds": (lambda q: [answer(q, -_1900)], "does not know the time itself"),
    "unsynchronized": (lambda q: [answer(q, first=0xE4)], "does not know the time itself"),
    "stratum 16": (lambda q: [answer(q, stratum=16)], "does not know the time itself"),
    "a client": (lambda q: [answer(q, first=0x23)], "that is no NTP server: it answers with mode 3"),
    "2019": (lambda q: [answer(q, 1_550_000_000)], "a date that can't be: 1550000000"),
    "2050": (lambda q: [answer(q, 2_530_000_000)], "a date that can't be: 2530000000"),
}


@pytest.mark.parametrize("name", _BAD)
def test_answer_that_tells_no_time_is_told_and_changes_nothing(name: str) -> None:
    answers, reason = _BAD[name]
    with NtpServer(answers) as server:
        seen = _ask(ntp=server.place)
        assert len(server.asked) == 1  # who says no isn't asked again at once
    ((event, fields),) = seen["records"]
    assert (event, fields["server"]) == ("ntp_failed", server.place) and reason in fields["reason"]
    assert (seen["quality"], seen["times"], seen["rtc"]) == (0, [None], [])


@pytest.mark.parametrize(
    "answers",
    [
        lambda query: [],
        lambda query: [answer(query)[:47]],
        lambda query: [answer(bytes(48))],  # the answer to somebody else's question, or a forged one
        lambda query: [b"\0"],
    ],
)
def test_silence_is_told_after_three_attempts_while_others_work_on(answers: Answer) -> None:
    with NtpServer(answers) as server:
        seen = _ask(ntp=server.place, patience=200)
        assert len({query[40:] for query in server.asked}) == 3
    assert seen["records"] == [["ntp_silent", {"server": server.place}]]
    assert (seen["quality"], seen["rtc"]) == (0, []) and seen["turns"] > 10
    assert seen["patience"] == [2000] * 3


def test_forged_answer_is_passed_over_for_the_true_one() -> None:
    with NtpServer(lambda query: [answer(bytes(48), _2026 + 86400), answer(query)]) as server:
        assert _ask(ntp=server.place)["times"] == [_2026]


def test_answer_from_another_socket_is_not_read() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def answers(query: bytes) -> list[bytes]:
            stranger.sendto(answer(query), server.client)
            return []

        with NtpServer(answers) as server:
            seen = _ask(ntp=server.place, patience=200)
    assert (seen["quality"], seen["records"][0][0]) == (0, "ntp_silent")


def test_name_is_looked_up_by_our_own_resolver_and_another_server_asked_when_one_is_not_there() -> None:
    zone = {("time.example.org", "A"): ["127.0.0.2", "127.0.0.1"]}  # nobody listens at the first
    with DnsServer(zone) as names, NtpServer(lambda query: [answer(query)]) as server:
        seen = _ask(ntp=f"time.example.org:{server.port}", dns=names.place)
        assert names.asked == [("time.example.org", "A")]
    assert (seen["times"], seen["records"]) == ([_2026], [])


def test_name_that_leads_nowhere_is_told() -> None:
    with DnsServer() as names:
        seen = _ask(ntp="time.example.org", dns=names.place)
    assert seen["records"][0][1]["reason"] == "no address found for time.example.org"
    reason = _ask(ntp="time.example.org")["records"][0][1]["reason"]
    assert reason == "no DNS server: sipmote deploy --set dns=ADDRESS"


def test_clock_follows_steps_both_ways() -> None:
    dates = [_2026, _2026 - 30 * 86400, _2026 + 365 * 86400]
    with NtpServer(lambda query: [answer(query, dates[len(server.asked) - 1])]) as server:
        seen = _ask(ntp=server.place, times=3)
    assert (seen["times"], seen["records"]) == (dates, [])


_ONLINE = """
import asyncio, json, sys
from agent.qualities import RTC
from agent.wall_clock import WallClock
from mote import online
from mote.net.sockets import now

asked = json.loads(sys.argv[1])
went = []
pauses = []
class Enough(BaseException):
    pass
class mote:
    outbox = None
    settings = {"ntp": asked["ntp"], "register": 600}
    class agent:
        clock = WallClock()
        def move_to(sent_by):
            went.append("moved")
        def register(*arguments, **options):
            if asked["short"]:
                asked["short"] = False
                raise MemoryError
            went.append("registered")
    class shell:
        def failed(error):
            went.append(repr(error))
            return asyncio.sleep_ms(0)
        def carry_out(events):
            pass
    def log(level, event, **fields):
        went.append(event)
    def uptime_ms():
        went.append("an hour" if pauses[-1] == 3600000 else "sooner")
        if asked["house"] == 0:
            raise Enough
        asked["house"] -= 1

async def main():
    if asked["known"]:
        mote.agent.clock.set(1790000000, RTC, now())
    if "house" in asked:
        sleep_ms = asyncio.sleep_ms
        def sleep(ms):
            pauses.append(ms)
            return sleep_ms(0)
        asyncio.sleep_ms = sleep
        await online.keep_house(mote)
    online.online(mote, "192.0.2.7")
    went.append("goes on")
    while "registered" not in went or not ("ntp_failed" in went or mote.agent.clock.quality == 4):
        await asyncio.sleep_ms(10)

try:
    asyncio.run(main())
except Enough:
    pass
print(json.dumps([went, pauses]))
"""


def _online(**asked: Any) -> list[list[Any]]:
    done = run_program(_ONLINE, json.dumps({"short": False, "known": False, **asked}), "128k")
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def _refuse(query: bytes) -> list[bytes]:
    return [answer(query, stratum=0)]


def test_board_registers_once_the_time_is_known_or_is_not_to_be_had() -> None:
    """TLS looks at dates; a board that knows the time registers at once."""
    with NtpServer(_refuse) as server:
        assert _online(ntp=server.place)[0] == ["moved", "goes on", "ntp_failed", "registered"]
        assert _online(ntp=server.place, known=True)[0] == ["moved", "registered", "goes on", "ntp_failed"]
        short = _online(ntp=server.place, short=True)[0]
        assert short == ["moved", "goes on", "ntp_failed", "MemoryError()", "registered"]
    with NtpServer(lambda query: [answer(query)]) as server:
        assert _online(ntp=server.place)[0] == ["moved", "goes on", "registered"]


def test_server_is_asked_again_soon_until_it_has_told_the_time_and_then_once_an_hour() -> None:
    with NtpServer(lambda query: _refuse(query) if len(server.asked) < 3 else [answer(query)]) as server:
        _, pauses = _online(ntp=server.place, house=4)
    assert pauses == [60_000, 120_000, 240_000, 3_600_000, 3_600_000]


_BOILER = """
import time
from mote import Mote
mote = Mote()
@mote.every(1)
async def boiler():
    print(await mote.alert("hot", expires=600), time.gmtime()[0])
mote.run()
"""


@pytest.mark.parametrize(("bits", "epoch"), [(32, 2000), (64, 1970)])
def test_deployed_board_without_a_clock_gets_one_and_alerts_go_out_before(
    bits: int, epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first question meets no answer; nothing waits for that, and a step of 26 years harms nothing."""
    begin = threading.Event()
    monkeypatch.setenv("VIRTUAL", str(bits))
    clockless = ("--no-clock", "--epoch", str(epoch))
    settings = {"aor": "sip:boiler@127.0.0.1", "bind": "127.0.0.1:0"}
    with (
        Peer(b"sip:desk@127.0.0.1") as desk,
        NtpServer(lambda query: [answer(query, _2033)] if begin.is_set() else []) as server,
    ):
        settings = {**settings, "to": f"sip:desk@127.0.0.1:{desk.port}", "ntp": server.place}
        with started(tmp_path / "flash", _BOILER, settings, "128k", *clockless) as (_, monitor):
            desk.answer(200)
            monitor.wait_for(event="console", text="delivered 2000")
            begin.set()  # within the three attempts
            for _ in range(20):
                desk.answer(200)
                if any(line.get("clock") == "ntp" for line in monitor.lines):
                    break
            record = monitor.wait_for(event="log", name="outcome", clock="ntp")
            assert record["date"].startswith("2033-05-18T") and 0 <= record["clock_age_s"] < 60
            monitor.wait_for(event="console", text="delivered 2033")


_STEPPED = """
import asyncio, machine, os

is_first = "stepped" not in os.listdir("/")
if is_first:
    machine.RTC().datetime((%d, 6, 1, 2, 0, 0, 0, 0))
from mote import Mote

mote = Mote()
if is_first:
    mote.alert("hot", expires=600)


@mote.every(1000)
async def step():
    while is_first and mote.agent.clock.quality < 4:
        await asyncio.sleep(0.01)
    if is_first:
        open("/stepped", "w").close()
        machine.reset()
    await asyncio.sleep(0.1)
    open("/again", "w").close()


mote.run()
"""


@pytest.mark.parametrize("year", [2027, 2039])
def test_alert_that_waits_while_the_clock_is_put_right_outlives_a_restart(tmp_path: Path, year: int) -> None:
    """R0-P5, R0-P20: it says when it was raised by the clock that is right; a step either way ends none"""
    left = [1]
    told = lambda query: [answer(query, _2033)] if left and left.pop() else []  # noqa: E731
    flash = tmp_path / "flash"
    port = closed_port()
    with NtpServer(told) as server:
        settings = {"aor": "sip:boiler@127.0.0.1", "to": f"sip:desk@127.0.0.1:{port}", "bind": "127.0.0.1:0"}
        with started(flash, _STEPPED % year, {**settings, "ntp": server.place}, "128k"):
            until(lambda: (flash / "again").exists())
            with desk_at(port) as desk:
                until(lambda: not (flash / "outbox").exists())
            assert list(desk.got) == ["hot"]
            assert abs(parsedate_to_datetime(header(desk.last, "Date")).timestamp() - _2033) < 30
