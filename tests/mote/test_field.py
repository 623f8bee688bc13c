"""A board in a simulated world, tests.simulated; whole under `make soak`."""

import pytest

from tests.simulated.on_host import simulated


@pytest.mark.parametrize("bits", [32, 64])
def test_what_a_board_has_accepted_arrives_wherever_power_is_cut(bits: int) -> None:
    """R0-P4: after each write to the flash, in each, and with one block's writes lost since the last sync; every 7th"""
    found = simulated("power_cuts.power_cuts", 7, bits=bits)
    assert found["faults"] == []
    assert found["cuts"] > 200 and found["accepted"] == 20


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("has_cut", [False, True], ids=["", "power cut"])
def test_a_night_without_the_desk_costs_what_has_expired_alone(bits: int, has_cut: bool) -> None:
    """R0-P5: 240 alerts in 12 hours in which the core's ticks wrap: each once, with the Date of when it was raised"""
    found = simulated("night.night", 12, 180, has_cut, bits=bits, heap="4m")
    assert found["faults"] == []
    assert found["came"] == 192 and "task_failed" not in found["records"]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("has_registrar", [False, True], ids=["", "registered"])
def test_a_network_that_fails_at_any_packet_costs_no_alert(has_registrar: bool, bits: int) -> None:
    """R0-P4: lost, nothing for 40 s, unreachable, link gone, back with another address, power cut; digest, Wi-Fi"""
    found = simulated("losses.losses", has_registrar, bits=bits, heap="8m")
    assert found["faults"] == []
    assert found["packets"] >= 10


_YEAR = 31557600
_UNSET = 946684800 - 1795780800  # 2000: nobody has set it


@pytest.mark.parametrize(
    ("ahead", "step_s", "has_server", "has_cut", "dates", "error"),
    [
        pytest.param(_UNSET, 0, False, False, True, 0, id="none, learned"),
        pytest.param(_UNSET, 0, False, True, True, None, id="none, power cut"),
        pytest.param(_UNSET, 0, False, False, False, None, id="none, nobody tells"),
        pytest.param(_UNSET, 0, True, False, True, 0, id="none, NTP"),
        pytest.param(_UNSET, 0, True, True, True, None, id="none, power cut, NTP"),
        pytest.param(0, 0, False, True, True, 0, id="right, power cut"),
        pytest.param(0, -3600, False, False, True, 0, id="stepped back"),
        pytest.param(0, -3600, False, True, True, 0, id="stepped back, power cut"),
        pytest.param(3 * _YEAR, 0, False, False, True, 3 * _YEAR, id="fast by years"),
        pytest.param(3 * _YEAR, 0, True, False, True, 0, id="fast, NTP"),
        pytest.param(-2 * _YEAR, 0, True, False, True, 0, id="slow, NTP"),
        pytest.param(-2 * _YEAR, 0, True, True, True, 0, id="slow, power cut, NTP"),
    ],
)
def test_whatever_its_clock_shows_a_board_sends_every_alert_and_knows_when_it_was_raised(
    ahead: int, step_s: int, has_server: bool, has_cut: bool, dates: bool, error: int | None
) -> None:
    """R0-P20: error: of each Date, None where nobody can know; the first is left out, see above"""
    found = simulated("clocks.late", ahead, step_s, has_server, has_cut, dates, heap="4m")
    assert not {"task_failed", "alert_failed"} & {*found["failed"]}
    assert set(found["came"]) == {"first", "second", "for ever", "third"}
    for text in ("second", "for ever", "third"):
        known = found["came"][text][0]
        assert known is None if error is None else abs(known - error) <= 1, (text, found)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_board_keeps_no_memory_of_what_it_has_done(bits: int) -> None:
    """400 alerts of the 10,000 of `make soak`: outages, other addresses, commands, digest, registration, TLS streams

    The TLS of this VM is none: what mbedtls keeps isn't here.
    """
    found = simulated("memory.memory", 400, 100, bits=bits, heap="2m")
    assert found["outcomes"] == {"delivered": 400} and found["came"] == 400 and found["answers"] == 40
    assert "task_failed" not in found["records"]
    assert found["free"][-1] >= found["free"][0] - 1024
