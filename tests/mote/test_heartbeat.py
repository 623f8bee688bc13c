"""A board with heartbeat set tells that it lives, and no alert waits for that: simulated, see tests/simulated."""

from itertools import pairwise

import pytest

from sipmote.board.needed import needed
from sipmote.inbox.heartbeat import read_heartbeat
from tests.simulated.on_host import simulated

_ALL_RIGHT = {"boot", "wifi_up", "wifi_down", "wifi_failed"}


@pytest.mark.parametrize("bits", [32, 64])
def test_a_board_beats_soon_then_at_random_within_the_period_then_once_a_period(bits: int) -> None:
    """And not while Wi-Fi is away. The inbox can read all of it"""
    found = simulated("heartbeats.usual", bits=bits, heap="4m")
    times = [ms for ms, _ in found["seen"]]
    first, second, third = times[:3]
    assert 0 <= first <= 5100 and 8000 <= second - first <= 100_100 and 99_000 <= third - second <= 101_000
    assert found["tried"] == [] and 24 <= len(times) <= 27
    assert max(later - ms for ms, later in pairwise(times[1:]) if later < 1_000_000) < 101_000
    said = read_heartbeat(found["seen"][-1][1].encode())
    assert (said["every"], said["rssi"], said["clock"], said["waiting"]) == (100, -50, "rtc", 0)
    assert 3400 <= int(said["up"]) <= 3600 and int(said["free"]) > 1_000_000 and len(said) == 6
    assert set(found["records"]) <= _ALL_RIGHT


@pytest.mark.parametrize("status", ["415 Unsupported Media Type", "405 Method Not Allowed", "403 Forbidden"])
def test_who_refuses_heartbeats_is_logged_once_an_hour_and_gets_the_next_one(status: str) -> None:
    found = simulated("heartbeats.refused", status, heap="4m")
    assert 106 <= found["seen"] <= 109
    assert found["records"]["heartbeat_refused"] == 3 and set(found["records"]) <= {*_ALL_RIGHT, "heartbeat_refused"}


@pytest.mark.parametrize("outbox", [True, False])
def test_no_alert_waits_for_a_heartbeat_and_none_leaves_beside_one(outbox: bool) -> None:
    """R3428-8.4: the alert ends the heartbeat that nobody has answered; while it is under way there is none"""
    found = simulated("heartbeats.beside_an_alert", outbox, heap="4m")
    alerts = [ms for ms, _ in found["alerts"]]
    first, second = found["raised"]
    assert alerts[0] - first < 100 and alerts[1] - second < 100
    repeated = [ms for ms, _ in found["seen"] if first < ms < first + 3000]
    assert repeated == []
    assert not [ms for ms, _ in found["seen"] if second < ms < second + 32_000]
    assert [ms for ms in alerts if ms > second + 20_000]  # it is under way still
    assert all(ms - 9000 < 1000 * int(read_heartbeat(body.encode())["up"]) for ms, body in found["seen"])  # none waited
    assert not {"task_failed", "alert_failed"} & {*found["records"]}


@pytest.mark.parametrize("is_present", [True, False], ids=["", "nobody answers"])
def test_a_board_that_sleeps_says_for_how_long_and_waits_for_no_answer_for_ever(is_present: bool) -> None:
    found = simulated("heartbeats.asleep", is_present, heap="4m")
    ((slept_ms, ms),) = found["slept"]
    beats = [(at, read_heartbeat(body.encode())["every"]) for at, body in found["seen"]]
    last = next(at for at, every in beats if every == 3600)
    assert ms == 3_600_000 and beats[0][1] == 86400 and last > 20_000
    assert slept_ms - last < 1000 if is_present else 8000 <= slept_ms - last < 9000


def test_a_board_without_the_setting_has_no_module_of_it() -> None:
    config = {"aor": "sip:a@b", "to": "sip:c@d"}
    assert "/lib/mote/heartbeat.mpy" not in needed(config)
    assert "/lib/mote/heartbeat.mpy" in needed({**config, "heartbeat": 300})
