"""`sipmote fleet`: when boards raise alerts, how they behave, and what is said to be lost, doubled or shown wrongly."""

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sipmote.__main__ import main
from sipmote.errors import ToolError
from sipmote.fleet.boards import Fleet
from sipmote.fleet.desk import Desk
from sipmote.fleet.profile import Profile
from sipmote.fleet.report import Alert, Tally, spread
from sipmote.fleet.vms import Relay
from sipmote.sip.udp import bound_socket
from tests import virtual_time
from tests.host_tools.peers import answer, header
from tests.soak_fleet import faults, killed, simulated, way
from tests.tools import Tool
from tests.vm import command

NOW = 1_800_000_000.0


def test_steady_boards_raise_at_their_rate_and_the_same_seed_makes_the_same_moments() -> None:
    profile = Profile("steady", 50, 10.0, 600.0, seed="a")
    moments = [list(profile.alerts(board)) for board in range(50)]
    assert 5700 < sum(map(len, moments)) < 6300
    assert all(4.0 <= after - before <= 6.0 for each in moments for before, after in itertools.pairwise(each))
    assert moments == [list(profile.alerts(board)) for board in range(50)] and moments[0] != moments[1]
    assert profile.dark_s is None and not profile.is_dark(300)


def test_in_a_storm_all_boards_raise_at_once() -> None:
    profile = Profile("storm", 50, 10.0, 20.0)
    assert [list(profile.alerts(board)) for board in range(50)] == [[0.0, 5.0, 10.0, 15.0]] * 50


def test_a_blackout_is_the_middle_third_and_alerts_are_raised_in_it() -> None:
    profile = Profile("blackout", 5, 5.0, 90.0)
    assert [profile.is_dark(at) for at in (29.9, 30.0, 59.9, 60.0)] == [False, True, True, False]
    assert any(30 < at < 60 for at in profile.alerts(0))


def test_heartbeats_have_their_period_and_no_end() -> None:
    beats = Profile("steady", 1, 1.0, 1.0, heartbeat_s=30.0).heartbeats(0)
    moments = [next(beats) for _ in range(100)]
    assert moments[0] < 30 and 2400 < moments[-1] - moments[0] < 3600
    assert list(Profile("steady", 1, 1.0, 1.0).heartbeats(0)) == []


def test_the_times_of_a_report_are_those_of_the_nearest_rank() -> None:
    assert spread([float(n) for n in range(1, 101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert spread([2.0]) == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0} and spread([]) is None


def _tally(*outcomes: str) -> Tally:
    tally = Tally(is_watched=True)
    for number, outcome in enumerate(outcomes, 1):
        alert = Alert(0, number, f"alert {number}", NOW, NOW + 60)
        tally.begin(alert)
        if outcome:
            tally.end(alert, outcome, NOW + 1)
    return tally


def _message(number: int, **more: Any) -> dict[str, Any]:
    facts = {"id": number, "body": f"alert {number}", "duplicate": False, "expired": False}
    return {**facts, "received_at": NOW + 1, "valid_until": NOW + 60, **more}


def test_what_a_real_board_tells_of_later_than_the_desk_shows_it_has_its_time() -> None:
    tally = Tally(own="alert ", is_watched=True)
    tally.show(_message(1), NOW + 2)
    tally.show({**_message(2), "body": "somebody else's"}, NOW + 2)
    tally.begin(Alert(0, 1, "alert 1", NOW, NOW + 60))
    assert list(tally.seen_s) == [2.0] and not tally.early


def test_what_is_answered_and_not_shown_is_lost_and_nothing_else() -> None:
    tally = _tally("delivered", "accepted", "delivered", "expired", "failed", "")
    tally.show(_message(3), NOW + 2)
    tally.show({**_message(9), "body": None}, NOW + 2)  # somebody else's
    assert [alert.number for alert in tally.lost()] == [1, 2] and not tally.is_good()
    line = tally.line()
    assert (line["delivered"], line["expired"], line["failed"], line["waiting"], line["shown"]) == (3, 1, 1, 1, 1)
    assert line["delivery_s"]["max"] == 1.0 and line["shown_s"]["max"] == 2.0


@pytest.mark.parametrize(
    ("second", "doubled", "shown_valid"),
    [
        ({}, 0, 0),  # told once more
        ({"id": 2}, 1, 0),
        ({"id": 2, "duplicate": True}, 0, 0),
        ({"received_at": NOW + 62}, 0, 1),
        ({"received_at": NOW + 62, "expired": True}, 0, 0),
        ({"valid_until": None}, 0, 1),
        ({"valid_until": NOW + 62}, 0, 1),
    ],
)
def test_what_is_shown_twice_or_longer_than_it_is_valid_is_wrong(
    second: dict[str, Any], doubled: int, shown_valid: int
) -> None:
    tally = _tally("delivered")
    tally.show(_message(1), NOW + 1)
    tally.show(_message(1, **second), NOW + 1)
    assert (len(tally.doubled), len(tally.shown_valid)) == (doubled, shown_valid)
    assert tally.is_good() == (not doubled and not shown_valid)


def test_each_alert_of_a_fleet_is_stored_and_shown_once_over_udp_and_tcp(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    binds = ["--bind", "udp:127.0.0.1:0", "--bind", "tcp:127.0.0.1:0"]
    with Tool("inbox", *binds, "--db", str(tmp_path / "inbox.db"), "--http", "127.0.0.1:0") as inbox:
        place = inbox.wait_for(event="ready")["bind"][0].removeprefix("udp:")
        url = inbox.wait_for(event="page")["url"]
        for transport in ("udp", "tcp"):
            arguments = ["--to", f"sip:desk@{place}", "--boards", "5", "--rate", "20", "--duration", "1"]
            arguments += ["--transport", transport, "--desk", url, "--heartbeat", "1"]
            assert main(["fleet", *arguments, "--json"]) == 0
            lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            assert lines[0]["event"] == "progress" and lines[-1]["event"] == "report"
            report = lines[-1]
            assert 15 <= report["raised"] == report["delivered"] == report["shown"]
            assert report["delivery_s"]["p50"] > 0 and report["shown_s"]["p50"] > 0
            assert (report["lost"], report["doubled"], report["expired_shown_as_valid"]) == (0, 0, 0)
            deadline = time.monotonic() + 20  # for what is still to be read of its lines
            while len(_told(inbox, transport)) < report["raised"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert len(_told(inbox, transport)) == report["raised"]


def _told(inbox: Tool, transport: str) -> set[str]:
    messages = [line for line in inbox.lines if line["event"] == "message"]
    return {line["body"] for line in messages if line["transport"] == transport}


def test_real_boards_raise_alerts_beside_the_others_and_are_cut_off_in_a_blackout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(32)  # or there is no VM
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:") as inbox:
        place = inbox.wait_for(event="ready")["bind"][0].removeprefix("udp:")
        arguments = ["--to", f"sip:desk@{place}", "--boards", "3", "--real", "2", "--rate", "6", "--duration", "4.5"]
        assert main(["fleet", *arguments, "--profile", "blackout", "--drain", "20", "--json"]) == 0
        report = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert 12 <= report["raised"] == report["delivered"] and report["retransmissions"] > 0
        inbox.wait_for(source=lambda source: True)
        come = [line["body"] for line in inbox.lines if line["event"] == "message" and not line["duplicate"]]
        assert len(set(come)) == report["raised"]
        real = [int(body.split()[3]) for body in come if body.endswith("of board 0")]
        assert real == list(range(1, len(real) + 1)) and len(real) >= 6  # in their order


def test_the_way_of_a_real_board_carries_nothing_while_it_is_dark() -> None:
    async def run() -> list[tuple[str, bytes]]:
        loop, come = asyncio.get_running_loop(), []
        hop, board = (bound_socket(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) for _ in range(2))
        with hop, board:
            flow = (b"UDP", b"127.0.0.1", hop.getsockname()[1])
            fleet = Fleet(way(0, flow=flow), Profile("blackout", 1, 1.0, 3000.0), Tally(), first=1)
            relay = Relay(fleet)
            for text, at_s in ((b"1", 0.0), (b"2", 1500.0), (b"3", 2500.0)):
                fleet.began = loop.time() - at_s
                await loop.sock_sendto(board, text, ("127.0.0.1", int(relay.uri.rpartition(":")[2])))
                with contextlib.suppress(TimeoutError):
                    data, place = await asyncio.wait_for(loop.sock_recvfrom(hop, 99), 0.2 if fleet.is_dark() else 20)
                    come.append(("hop", data))
                    await loop.sock_sendto(hop, b"to " + data, place)
                    come.append(("board", await asyncio.wait_for(loop.sock_recv(board, 99), 20)))
            relay.close()
        return come

    assert asyncio.run(run()) == [("hop", b"1"), ("board", b"to 1"), ("hop", b"3"), ("board", b"to 3")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--to sip:desk@192.0.2.1", "192.0.2.1:5060 isn't this computer: add --really to send it 1 alerts a second"),
        ("--to sip:desk@127.0.0.1 --proxy sip:192.0.2.1:5070", "192.0.2.1:5070 isn't this computer"),
        ("--to sip:desk@127.0.0.1 --rate 2000 --duration 1h", "1,000,000 alerts at most"),
        ("--to sip:desk@127.0.0.1 --rate 0", "--rate and --duration: more than 0"),
        ("--to sip:desk@127.0.0.1 --boards 20001", "--boards: 20000 at most"),
        ("--to sip:desk@127.0.0.1 --boards 5 --real 6", "--real: 5 boards at most"),
        ("--to sip:desk@127.0.0.1 --boards 50 --real 49", "--real: 48 boards at most"),
        ("--to sip:desk@127.0.0.1 --desk 127.0.0.1:80", "http://HOST:PORT was expected"),
        ("--to sip:desk@127.0.0.1 --desk http://127.0.0.1:1", "no desk at http://127.0.0.1:1"),
    ],
)
def test_a_slip_loads_nobody(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", *line.split()]) == 1
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and said.out == ""


@contextlib.asynccontextmanager
async def _desk(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    """A desk that tells of its last message as it comes, and has all in its list, two on a page."""

    async def listed(request: web.Request) -> web.Response:
        after = int(request.query.get("after", 0))
        found = [message for message in messages if message["id"] > after]
        page = found[:2] if "after" in request.query else []
        return web.json_response({"messages": page, "next": page[-1]["id"] if page and len(found) > 2 else None})

    async def events(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(f"id: 1\nevent: message\ndata: {json.dumps(messages[-1])}\n\n".encode())
        await asyncio.Event().wait()
        return answer

    app = web.Application()
    app.add_routes([web.get("/api/messages", listed), web.get("/api/events", events)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_the_desk_is_heard_as_it_speaks_and_counted_in_the_end() -> None:
    tally = _tally(*["delivered"] * 6)
    messages = [_message(number) for number in (1, 2, 3, 5)] + [_message(3, id=7)]

    async def watch() -> None:
        async with _desk(messages) as url:
            desk = Desk(url, tally)
            await desk.open()
            try:
                while not tally.seen_s:
                    await asyncio.sleep(0.01)
                await desk.count(0)
            finally:
                await desk.close()

    asyncio.run(asyncio.wait_for(watch(), 20))
    assert [alert.number for alert in tally.lost()] == [4, 6] and tally.doubled == {"alert 3"}
    assert len(tally.seen_s) == 1


def test_a_desk_that_is_none_is_said_so() -> None:
    async def watch() -> None:
        await Desk("http://127.0.0.1:1", Tally()).open()

    with pytest.raises(ToolError, match="start sipmote inbox --http"):
        asyncio.run(watch())


def test_an_hour_of_a_fleet_is_stored_whole() -> None:
    found = simulated(Profile("steady", 10, 10 / 300, 3600.0, 60.0))
    line = found.tally.line()
    assert faults(found) == []
    assert 100 <= line["raised"] == line["delivered"] == line["shown"]
    assert line["heartbeats"]["answered"] >= 500 and line["heartbeats"]["unanswered"] == 0


def test_the_storm_after_a_blackout_drains_at_its_rate_and_nothing_expired_is_shown_as_valid() -> None:
    found = simulated(Profile("blackout", 10, 1.0, 720.0), expires_s=118, per_minute=7)
    line = found.tally.line()
    assert faults(found, 7) == []
    assert line["expired"] > 50 and line["retransmissions"] > 50
    assert found.busiest > 8  # of one that raises 6 in a minute: the storm


class _Deaf(asyncio.DatagramProtocol):
    """A desk that hears nothing for 40 s. attempts: (CSeq and branch, Call-ID, body) of all requests, since when."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[str, str, str], float] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._begun = time.time()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        at = time.time() - self._begun
        self.attempts.setdefault((header(data, "Via"), header(data, "Call-ID"), data.decode().split("\r\n\r\n")[1]), at)
        if at > 40:
            self._transport.sendto(answer(data, "200 OK"), address)  # type: ignore[attr-defined]


def test_what_is_not_answered_is_sent_again_as_itself_and_the_next_one_waits() -> None:
    """R0-P2: one Call-ID over all attempts"""

    async def run() -> tuple[_Deaf, Tally]:
        loop, tally = asyncio.get_running_loop(), Tally()
        transport, deaf = await loop.create_datagram_endpoint(_Deaf, ("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        fleet = Fleet(way(port), Profile("storm", 1, 0.1, 20.0), tally)
        fleet.open()
        fleet.begin()
        await asyncio.sleep(80)
        fleet.close()
        transport.close()
        return deaf, tally

    deaf, tally = virtual_time.run(run())
    assert tally.outcomes == {"delivered": 2}
    assert [round(at) for at in deaf.attempts.values()] == [0, 34, 42]  # 32 s of Timer F, and the pause
    first, again, second = [(call_id, text) for _, call_id, text in deaf.attempts]
    assert first == again and "alert 1 of" in first[1] and "alert 2 of" in second[1] and first[0] != second[0]


def test_an_inbox_that_is_killed_under_a_fleet_loses_and_doubles_nothing() -> None:
    found = killed(2, boards=10, rate=50.0)
    line = found.tally.line()
    assert faults(found) == []
    assert 100 <= line["delivered"] == line["shown"] and line["retransmissions"] > 0
