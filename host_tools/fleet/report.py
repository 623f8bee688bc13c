"""What became of the alerts of a fleet: counts, times, and what is wrong."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sipmote.console import Output

_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
_DATE_S = 1.0  # that a Date may be early: it has whole seconds


@dataclass(slots=True)
class Alert:
    """One alert. raised, valid_until: Unix seconds. outcome: as mote.Alert has it, "" for none yet."""

    board: int
    number: int
    text: str
    raised: float
    valid_until: float
    outcome: str = ""
    row: int = 0  # its id at the desk, 0 while it isn't there
    call_id: bytes = b""
    pause_s: int = 2  # until the attempt after the next failure

    @property
    def is_taken(self) -> bool:
        """Has the board's account of it a 2xx?"""
        return self.outcome in ("delivered", "accepted")


@dataclass
class Tally:
    """The account of a fleet, and beside it what the desk shows.

    alerts: by text. sent: requests with an alert; repeated: those of them that were sent again by Timer E. beats:
    heartbeats by what became of them. commands: what boards were sent. early: what the desk showed before the account
    of a real board was read, by text; own: how texts of this run begin. times_s, seen_s: from raised to 200 and to the
    desk's. doubled, shown_valid: at the desk, twice, and as valid though they weren't. is_watched: is there a desk?
    """

    alerts: dict[str, Alert] = field(default_factory=dict)
    raised: int = 0
    sent: int = 0
    repeated: int = 0
    commands: int = 0
    own: str = ""
    early: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict)
    beats: dict[str, int] = field(default_factory=lambda: {"sent": 0, "answered": 0, "unanswered": 0})
    outcomes: dict[str, int] = field(default_factory=dict)
    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    seen_s: "array[float]" = field(default_factory=lambda: array("d"))
    doubled: set[str] = field(default_factory=set)
    shown_valid: set[str] = field(default_factory=set)
    is_watched: bool = False

    def begin(self, alert: Alert) -> None:
        """A board has raised an alert."""
        self.raised += 1
        self.alerts[alert.text] = alert
        if alert.text in self.early:
            self.show(*self.early.pop(alert.text))

    def end(self, alert: Alert, outcome: str, now: float) -> None:
        """An alert has its outcome: delivered, accepted, failed, refused or expired."""
        alert.outcome = outcome
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if alert.is_taken:
            self.times_s.append(now - alert.raised)

    def show(self, message: dict[str, Any], now: float | None) -> None:
        """The desk shows a message, now or (None) since whenever; several times, perhaps, and those of others, too."""
        text = message["body"] or ""
        alert = self.alerts.get(text)
        if alert is None or message["duplicate"]:
            if alert is None and now is not None and self.own and text.startswith(self.own):
                self.early.setdefault(text, (message, now))
            return
        if alert.row and alert.row != message["id"]:
            self.doubled.add(alert.text)
        elif not alert.row and now is not None:
            self.seen_s.append(now - alert.raised)
        alert.row = message["id"]
        until = message["valid_until"]
        is_too_long = until is None or until > alert.valid_until + _DATE_S
        if is_too_long or (not message["expired"] and float(message["received_at"]) >= alert.valid_until + _DATE_S):
            self.shown_valid.add(alert.text)

    def lost(self) -> list[Alert]:
        """Return what the desk has answered and doesn't show."""
        return [alert for alert in self.alerts.values() if alert.is_taken and not alert.row] if self.is_watched else []

    @property
    def waiting(self) -> int:
        """How many alerts have no outcome."""
        return self.raised - sum(self.outcomes.values())

    def is_good(self) -> bool:
        """Was nothing lost, doubled, or shown as valid though it wasn't?"""
        return not (self.lost() or self.doubled or self.shown_valid)

    def line(self) -> dict[str, Any]:
        """Return the figures, as programs read them."""
        found = self.outcomes
        line: dict[str, Any] = {
            "raised": self.raised,
            "delivered": found.get("delivered", 0) + found.get("accepted", 0),
            "expired": found.get("expired", 0),
            "failed": found.get("failed", 0) + found.get("refused", 0),
            "waiting": self.waiting,
            "sent": self.sent,
            "retransmissions": self.repeated,
            "delivery_s": spread(self.times_s),
            "heartbeats": self.beats,
            "commands": self.commands,
        }
        if self.is_watched:
            line |= {
                "shown": sum(1 for alert in self.alerts.values() if alert.row),
                "shown_s": spread(self.seen_s),
                "lost": len(self.lost()),
                "doubled": len(self.doubled),
                "expired_shown_as_valid": len(self.shown_valid),
            }
        return line


def spread(times_s: Sequence[float]) -> dict[str, float] | None:
    """Return the median, the 95th and 99th of a hundred, and the longest of these times, None for none."""
    if not times_s:
        return None
    ordered = sorted(times_s)
    return {name: round(ordered[math.ceil(share * len(ordered)) - 1], 4) for name, share in _SHARES}


class Teller:
    """Says how it goes, a line a second, and what came of it."""

    def __init__(self, output: Output, tally: Tally) -> None:
        self._output = output
        self._tally = tally

    def progress(self, at_s: float) -> None:
        """Say how far it is."""
        line = self._tally.line()
        words = [f"{line['raised']} raised", f"{line['delivered']} delivered", f"{line['waiting']} waiting"]
        words += [f"{line[name]} {name}" for name in ("expired", "failed", "retransmissions") if line[name]]
        words += [f"{line['shown']} at the desk"] if self._tally.is_watched else []
        self._output.say({"event": "progress", "at_s": round(at_s, 1), **line}, f"{at_s:6.0f} s  {', '.join(words)}")

    def result(self) -> int:
        """Say what came of it all; returns the exit code: 1 where the desk has lost something, or shows it wrongly."""
        line = self._tally.line()
        self._output.say({"event": "report", **line})
        for name, value in line.items():
            if isinstance(value, dict):
                text = "  ".join(f"{what} {number:,}" for what, number in value.items())
            else:
                text = "-" if value is None else f"{value:,}"
            self._output.say(None, f"{name.replace('_', ' '):>24}  {text}")
        return 0 if self._tally.is_good() else 1
