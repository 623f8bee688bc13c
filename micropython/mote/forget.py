"""Frees what a board needs only while it starts, itself included."""

import sys
from gc import collect


def forget() -> None:
    """Let go of these modules; who needs one of them again loads it again."""
    for name in (
        "mote.settings",
        "mote.further_settings",
        "mote.place",
        "mote.passwords",
        "mote.clock",
        "mote.cbor",
        "mote.identity",
        "mote.net.bind",
        "mote.net.ntp",
        "mote.rescue",
        "mote.safe",
        "mote.slept",
        "mote.intervals",
        "mote.durations",
        "mote.start",
        "mote.second_run",
        "mote.online",
        "agent.opening",
        "agent.target",
        "mote.forget",
    ):
        if sys.modules.pop(name, None) is not None:
            package, _, own = name.rpartition(".")
            delattr(sys.modules[package], own)
    collect()  # what comes next fills the gaps
