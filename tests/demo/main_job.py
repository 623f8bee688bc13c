"""An alert leaves a board and arrives in an inbox; a command typed there is answered by the board."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sipmote.files import rooms
from tests.tools import Line, Tool

BOILER = rooms() / "micropython" / "examples" / "boiler.py"


def run(
    transport: str,
    port: str | None,
    host: str = "127.0.0.1",
    wifi: Any = None,
    show: Callable[[str, Line], None] | None = None,
    patience_s: float = 60,
) -> Line:
    """Play the main job over "udp" or "tcp"; returns what was seen, for a test to look at.

    port: a board's serial port; None starts a virtual board. host: the address of this machine as the board sees it.
    patience_s: how long the board may take for each step.
    """
    show = show or (lambda who, line: None)
    seen: Line = {}
    with tempfile.TemporaryDirectory() as folder:
        binds = [f"{kind}:{'127.0.0.1' if port is None else '0.0.0.0'}:0" for kind in ("udp", "tcp")]
        arguments = [word for bind in binds for word in ("--bind", bind)]
        with Tool(
            "inbox", *arguments, "--db", ":memory:", "--interactive", watch=lambda line: show("inbox", line)
        ) as inbox:
            listening = inbox.wait_for(event="ready")["bind"]
            address = f"{host}:{next(bind for bind in listening if bind.startswith(transport)).rpartition(':')[2]}"
            config = {
                "aor": f"sip:boiler@{host}",
                "to": f"sip:desk@{address};transport={transport}",
                "transport": transport,
                "bind": "0.0.0.0:0",
            }
            if wifi:
                config["wifi"] = wifi
            settings = Path(folder) / "mote.json"
            settings.write_text(json.dumps(config))
            if port:
                _board(seen, inbox, port, settings, show, patience_s)
            else:
                with Tool("board", "start", "virtual", watch=lambda line: show("board", line)) as board:
                    _board(seen, inbox, board.wait_for(event="ready")["port"], settings, show, patience_s)
    return seen


def _board(
    seen: Line, inbox: Tool, port: str, settings: Path, show: Callable[[str, Line], None], patience_s: float
) -> None:
    with Tool(
        "deploy", str(BOILER), "--port", port, "--config", str(settings), watch=lambda line: show("deploy", line)
    ) as deploy:
        code = deploy.wait(max(300, 2 * patience_s))  # a hundred files, the first time
        assert code == 0, deploy.transcript()
        seen["deployed"] = deploy.lines[-1]
    with Tool("monitor", "--port", port, watch=lambda line: show("monitor", line)) as monitor:
        monitor.wait_for(event="ready")
        seen["alerts"] = [
            inbox.wait_for(patience_s, event="message", body=f"Boiler at {celsius} C") for celsius in (81, 85)
        ]
        inbox.type("status")
        seen["reply_sent"] = inbox.wait_for(patience_s, event="outcome")
        seen["command"] = monitor.wait_for(patience_s, event="log", name="command")
        seen["outcome"] = monitor.wait_for(patience_s, event="log", name="outcome")
        seen["reply"] = inbox.wait_for(patience_s, event="message", body=lambda text: text.startswith("ok, up"))
        seen["log"] = list(monitor.lines)
