"""A board in a simulated world, tests.simulated; whole under `make soak`."""

import pytest

from tests.simulated.on_host import simulated

_UNDATED = "the alert that was under way when the desk went has no Date when it comes hours later"


@pytest.mark.parametrize("bits", [32, 64])
def test_what_a_board_has_accepted_arrives_wherever_power_is_cut(bits: int) -> None:
    """R0-P4: after each write to the flash, in each, and with one block's writes lost since the last sync; every 7th"""
    found = simulated("power_cuts.power_cuts", 7, bits=bits)
    assert found["faults"] == []
    assert found["cuts"] > 200 and found["accepted"] == 20


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(
    "has_cut", [pytest.param(False, marks=pytest.mark.xfail(strict=True, reason=_UNDATED)), True], ids=["", "power cut"]
)
def test_a_night_without_the_desk_costs_what_has_expired_alone(bits: int, has_cut: bool) -> None:
    """R0-P5: 240 alerts in 12 hours in which the core's ticks wrap: each once, with the Date of when it was raised"""
    found = simulated("night.night", 12, 180, has_cut, bits=bits, heap="4m")
    assert found["faults"] == []
    assert found["came"] == 192 and "task_failed" not in found["records"]
