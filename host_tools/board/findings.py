"""What was looked at and how it was found: a line for people with the remedy, an event for programs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sipmote.console import Output

OK, FAILED, NOT_TRIED = "ok", "failed", "not_tried"
_STYLES = {OK: "green", FAILED: "bold red", NOT_TRIED: "yellow"}


@dataclass(frozen=True)
class Finding:
    """One thing. about: what was looked at, e.g. "network". state: one of the three above. remedy: of what failed.

    side: of what is looked at from both ends, "board" or "here", which is this computer.
    """

    about: str
    state: str
    text: str
    remedy: str = ""
    side: str = ""

    def event(self, port: str | None) -> dict[str, Any]:
        """Return what programs read. port: of the board it is about, None for none."""
        event = {"event": "finding", "port": port, "about": self.about, "side": self.side or None}
        return {**event, "state": self.state, "text": self.text, "remedy": self.remedy or None}


Tell = Callable[[Finding], None]


def say(output: Output, finding: Finding, port: str | None) -> None:
    """Tell one finding."""
    state = (f"{finding.state.replace('_', ' '):10}", _STYLES[finding.state])
    remedy = f" -> {finding.remedy}" if finding.remedy else ""
    side = {"board": "from the board: ", "here": "from here: "}.get(finding.side, "")
    output.say(finding.event(port), state, f"{finding.about + ':':15}{side}{finding.text}{remedy}")


def well(findings: list[Finding]) -> bool:
    """Did nothing fail?"""
    return all(finding.state != FAILED for finding in findings)
