"""R0-P5: faults of a moment cost no accepted alert; see tests/simulated/mishaps.py."""

from typing import Any

import pytest

from tests.simulated.on_host import simulated


@pytest.mark.parametrize(
    ("mishap", "comes"),
    [
        ("unlike", ["first", "leaks"]),
        ("unread", [["first", "second", "third"], 0]),
        ("cut_short", True),
        ("scheduled", [f"loop {n}" for n in range(6)] + [f"scheduled {n}" for n in (1, 2, 3)]),
        ("not_removed", True),
        ("acknowledged_meanwhile", [3]),
        ("no_memory_for_a_task", [["delivered", "delivered"], ["hot", "hotter"]]),
        ("key_after_failed_write", ["first", "from memory", "new"]),
        ("interrupted", ["first", "second"]),
        ("waited_for", [False, "delivered"]),
        ("slept_behind", [0]),
    ],
)
def test_what_goes_wrong_once_costs_no_accepted_alert(mishap: str, comes: Any) -> None:
    """R0-P5, R0-P13: a read, a write, a removal, memory, Ctrl-C, a journal cut short, a function in between"""
    assert simulated(f"mishaps.{mishap}", heap="4m") == comes
