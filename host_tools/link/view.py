"""A view of boards for a terminal: a line for each, and below them what they said last."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sipmote.console import Part, Rows
from sipmote.link.board_events import Event

_EVERY_S = 1.0  # a new picture without news, for the times in it
_LEAST_S = 0.1  # between two, however much there is to tell
_KEPT = 200  # lines
_MOST_WAITING = 64  # alerts of a board that are told apart
# What a column is called, and the columns of a terminal from which on it is shown.
_COLUMNS = (("board", 0), ("port", 100), ("build", 120), ("heard", 0), ("up", 60), ("clock", 72), ("rssi", 64))
_LAST_COLUMNS = (("wait", 50), ("last", 0))
_STYLES = {"warning": "yellow", "error": "bold red"}
Show = Callable[[Sequence[str], Rows, Rows], None]


@dataclass
class _Row:
    """What is known of a board. heard_at, uptime_at: on the monitor's clock; waiting: Call-IDs of tried alerts."""

    board: str
    port: str
    heard_at: float
    is_gone: bool = False
    build: str = ""
    uptime_ms: int | None = None
    uptime_at: float = 0.0
    clock: str = ""
    rssi: int | None = None
    waiting: dict[str, None] = field(default_factory=dict)
    last: Part = ""

    def learn(self, event: Event, now: float) -> None:
        """Take what a log record says."""
        self.uptime_ms, self.uptime_at = event["uptime_ms"], now
        self.build = event.get("build", "")
        hours = (event["clock_age_s"] or 0) // 3600
        self.clock = event["clock"] + (f" {hours} h" if hours else "")
        fields = event["fields"]
        self.last = (f"{event['name']} {' '.join(map(str, fields.values()))}", _STYLES.get(event["level"], ""))
        if event["name"] == "boot":
            self.waiting.clear()
        elif event["name"] == "wifi_up" and isinstance(fields.get("rssi"), int):
            self.rssi = fields["rssi"]
        elif event["name"] == "wifi_down":
            self.rssi = None
        elif event["name"] == "outcome":
            self.waiting.pop(str(fields.get("call_id")), None)
            if event["level"] == "warning" and len(self.waiting) < _MOST_WAITING:
                self.waiting[str(fields.get("call_id"))] = None
        elif event["name"] in ("alert_expired", "acknowledged") and self.waiting:
            self.waiting.popitem()

    def cells(self, now: float) -> dict[str, Part]:
        """Return what stands in each column."""
        silent = span(now - self.heard_at)
        up = "" if self.uptime_ms is None else span(self.uptime_ms / 1000 + now - self.uptime_at)
        return {
            "board": (self.board, "dim" if self.is_gone else "cyan"),
            "port": self.port,
            "build": self.build,
            "heard": ("away", "bold red") if self.is_gone else silent,
            "up": "" if self.is_gone else up,
            "clock": (self.clock, "yellow" if self.clock == "none" else ""),
            "rssi": ("" if self.rssi is None else str(self.rssi), "yellow" if (self.rssi or 0) < -75 else ""),
            "wait": (str(len(self.waiting) or ""), "yellow"),
            "last": self.last,
        }


class View:
    """Keeps a line for each board, and shows it as often as that is worth it."""

    def __init__(self, show: Show, columns: Callable[[], int]) -> None:
        """show: fills the screen: a table's head, its rows, lines below. columns: says how wide the terminal is."""
        self._fill = show
        self._columns = columns
        self._rows: dict[str, _Row] = {}  # by port
        self._lines: deque[list[Part]] = deque(maxlen=_KEPT)
        self._shown_at = 0.0
        self._is_news = True

    def take(self, events: Sequence[Event], lines: Rows, board: str, port: str, now: float) -> None:
        """A board has said something, which people read as these lines. now: seconds of a clock that never steps."""
        row = self._row(board, port, now)
        row.heard_at = now
        for event in events:
            if event["event"] == "log":
                row.learn(event, now)
        for line in lines:
            self._lines.appendleft([(f"{board} ", "cyan"), *line])

    def note(self, event: Event, text: str, board: str, port: str, now: float) -> None:
        """Something has become of a port. text: what people read of it."""
        before = self._rows.get(event.get("was", ""))
        if before is not None and before.board == board:  # else another board has that port by now
            self._rows[port] = self._rows.pop(event["was"])
        row = self._row(board, port, now)
        row.is_gone = event["event"] not in ("ready", "port_back")
        if event["event"] == "port_failed":
            row.last = (text, "bold red")
        elif event["event"] == "board_ended":
            del self._rows[port]
        self._lines.appendleft([(f"{board} ", "cyan"), (text, "dim")])

    def warn(self, text: str) -> None:
        """Something is wrong that is no board's."""
        self._is_news = True
        self._lines.appendleft([(text, "yellow")])

    def show(self, now: float) -> None:
        """Fill the screen, if that is worth it."""
        if now - self._shown_at < (_LEAST_S if self._is_news else _EVERY_S):
            return
        self._shown_at, self._is_news = now, False
        wide = self._columns()
        head = [name for name, least in (*_COLUMNS, *_LAST_COLUMNS) if wide >= least]
        rows = [row.cells(now) for row in sorted(self._rows.values(), key=lambda row: (row.board, row.port))]
        self._fill(head, [[row[name] for name in head] for row in rows], list(self._lines))

    def _row(self, board: str, port: str, now: float) -> _Row:
        self._is_news = True
        row = self._rows.setdefault(port, _Row(board, port, now))
        row.board, row.port = board, port
        return row


def span(seconds: float) -> str:
    """Return a span of time in a few characters: 99 s, 99 min, 99 h, 400 d."""
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 100 * size:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86400)} d"
