"""`make demo`: a virtual board, an inbox, two alerts over UDP and two over TCP, a command and its answer."""

import sys
import time

from rich.console import Console
from rich.markup import escape

from tests.demo import main_job
from tests.tools import Line

_console = Console(highlight=False)
_began = time.monotonic()
_STYLES = {"inbox": "green", "board": "yellow", "deploy": "blue", "monitor": "magenta"}


def show(who: str, line: Line) -> None:
    """Print one JSON line of a tool for a person."""
    kind = line["event"]
    if kind == "ready":
        text = f"ready at {line.get('port') or ', '.join(line['bind'])}"
    elif kind == "message":
        marks = [mark for mark in ("expired", "stale", "duplicate") if line[mark]]
        text = f'"{line["body"]}" from {line["from"]} over {line["transport"]}, dated {line["date"] or "not at all"}'
        text += f" ({', '.join(marks)})" if marks else ""
    elif kind == "outcome":
        text = f"our message was {line['outcome']} ({line['status']})"
    elif kind == "log":
        fields = ", ".join(f"{key}={value}" for key, value in line["fields"].items())
        text = f"log #{line['seq']} at {line['uptime_ms']} ms, clock {line['clock']}: {line['name']} {fields}"
    elif kind == "console":
        text = f"console: {line['text'].rstrip()}"
    elif kind == "file":
        text = f"{line['action']} {line['path']}"
    elif kind == "deployed":
        text = f"{line['sent']} files sent, {line['same']} unchanged, {line['bytes']} octets in {line['seconds']} s"
    else:
        text = str(line)
    _console.print(f"{time.monotonic() - _began:6.2f} [{_STYLES[who]}]{who:8}[/] {escape(text)}", soft_wrap=True)


def main() -> int:
    """Run both transports; 0 when every step was seen."""
    for transport in ("udp", "tcp"):
        _console.print(f"\n[bold]An alert over {transport.upper()}[/]")
        seen = main_job.run(transport, None, show=show)
        _console.print(
            f"[bold]Seen:[/] {len(seen['alerts'])} alerts in the inbox, "
            f"{seen['outcome']['fields']['name']} at the board; 'status' {seen['reply_sent']['outcome']}, "
            f"answered '{seen['reply']['body']}'",
            soft_wrap=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
