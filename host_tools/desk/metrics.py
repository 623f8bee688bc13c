"""What Prometheus asks for (its text format 0.0.4)."""

from collections import Counter
from collections.abc import Iterable

from sipmote.desk.views import Patience, boards, count_open
from sipmote.inbox.database import Database
from sipmote.inbox.runs import without_secrets

# Each name is a label for ever: of those that nobody has proved as many have one as were known first.
_MEASURED = """
SELECT aor FROM board WHERE proved IS NOT NULL
    OR aor IN (SELECT aor FROM board WHERE proved IS NULL ORDER BY since LIMIT 2000)
"""
_OF_A_BOARD = {  # of Board: the metric, what it is
    "heard": ("heard_timestamp_seconds", "When the board was last heard"),
    "free": ("heap_free_bytes", "Octets of its heap that are free, as its last heartbeat says"),
    "rssi": ("rssi_dbm", "Signal of its Wi-Fi"),
    "waiting": ("alerts_waiting", "Its alerts without an outcome"),
    "uptime": ("uptime_seconds", "Since its program began"),
    "messages": ("messages_total", "Messages that came from it"),
    "open": ("messages_open", "Those that nobody has acknowledged"),
}


def metrics(db: Database, patience: Patience) -> str:
    """Return all there is to measure, a line each."""
    known = boards(db, patience)
    states = Counter(board["state"] for board in known)
    lines = _family(
        "boards", "gauge", "Boards by state", [({"state": s}, states[s]) for s in ("alive", "late", "gone")]
    )
    [(newest,)] = db.query("SELECT coalesce(max(id), 0) FROM message")
    lines += _family("messages_stored_total", "counter", "Messages stored so far", [({}, newest)])
    lines += _family("messages_open", "gauge", "Messages that nobody has acknowledged", [({}, count_open(db))])
    queued: Counter[str] = Counter()
    for task, count in db.query("SELECT task, count(*) FROM run GROUP BY task"):
        queued[without_secrets(task)] += count
    told = _labelled("task", queued.items())
    lines += _family("queue_length", "gauge", "Messages that a task is still to be done for", told)
    written = db.query("SELECT state, count(*) FROM reply GROUP BY state")
    lines += _family("replies", "gauge", "What people have written, by state", _labelled("state", written))
    measured = {aor for (aor,) in db.query(_MEASURED)}
    known = [board for board in known if board["aor"] in measured]
    for name, (metric, about) in _OF_A_BOARD.items():
        kind = "counter" if metric.endswith("_total") else "gauge"
        found = [({"board": board["aor"]}, board[name]) for board in known if board[name] is not None]
        lines += _family(f"board_{metric}", kind, about, found)
    return "\n".join(lines) + "\n"


def _labelled(name: str, rows: Iterable[tuple[object, ...]]) -> list[tuple[dict[str, str], float]]:
    return [({name: str(key)}, float(str(value))) for key, value in rows]


def _family(name: str, kind: str, about: str, samples: Iterable[tuple[dict[str, str], float]]) -> list[str]:
    lines = [f"# HELP sipmote_{name} {about}", f"# TYPE sipmote_{name} {kind}"]
    for labels, value in samples:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"sipmote_{name}{{{written}}} {value:.15g}" if labels else f"sipmote_{name} {value:.15g}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
