"""`python -m tests.soak_bridge [KILLS]`: a board on a serial line that raises alerts, and the bridge that relays them;
one of the two is killed (kill -9) again and again.

Program and desk are those of soak_board: the desk loses answers, asks for a password and says 503 now and then.
"""

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.host_tools.peers import PATIENCE, sipmote
from tests.restarted import Restarted
from tests.soak_board import DRAIN_S, PROGRAM, Desk, Figures, accepted, missing, vm_of
from tests.vm import board


def _bridge(folder: Path, port: str) -> Restarted:
    """Return `sipmote bridge` at one port with one file."""
    options = ["--port", port, "--bind", "udp:127.0.0.1:0", "--db", str(folder / "db"), "--user", "boiler"]
    return Restarted(folder / "lines", "bridge", *options, SIPMOTE_PASSWORD="wonder")


def soak(kills: int) -> Figures:
    """Kill one or the other as often as that, let them end their work, and count."""
    desk = Desk()
    desk.start()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        stack.callback(desk.end)
        folder, flash = Path(name), Path(name) / "flash"
        flash.mkdir()
        (folder / "program.py").write_text(PROGRAM.replace("0.02", "0.2"))  # a relay takes a while
        running = stack.enter_context(board("--dir", str(flash), "--heap", "160k", "--no-network"))
        settings = ["aor=sip:boiler@board.invalid", f"to=sip:desk@127.0.0.1:{desk.port}", "transport=serial"]
        sets = [word for setting in settings for word in ("--set", setting)]
        code, out, err = sipmote("deploy", str(folder / "program.py"), "--port", running.port, *sets)
        assert code == 0, out + err
        bridge = _bridge(folder, running.port)
        bridge.start(lambda: time.sleep(0.01))
        for _ in range(kills):
            seen, deadline = len(accepted(flash)), time.monotonic() + PATIENCE
            while len(accepted(flash)) == seen:  # until the board is there: a kill before ends it for good
                assert time.monotonic() < deadline, "the board raises no alerts"
                time.sleep(0.01)
            time.sleep(random.uniform(0.0, 0.5))
            if random.random() < 0.5:
                os.kill(vm_of(running.process.pid), signal.SIGKILL)
            else:
                bridge.end(signal.SIGKILL)
                bridge.start(lambda: time.sleep(0.01))
        (flash / "quiet").touch()
        left, deadline = len(missing(flash, desk)), time.monotonic() + DRAIN_S
        while left and time.monotonic() < deadline:
            bridge.hasten()
            time.sleep(0.5)
            before, left = left, len(missing(flash, desk))
            deadline = deadline if left == before else time.monotonic() + DRAIN_S  # it goes on
        assert running.process.poll() is None, "the board has ended"
        bridge.end(signal.SIGTERM)
        texts, lost = accepted(flash), missing(flash, desk)
    doubled = sum(len(known) > 1 for known in desk.got.values())
    return Figures(kills, len(texts), len(lost), doubled, desk.repeats)


if __name__ == "__main__":
    figures = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    print(figures)
    sys.exit(0 if figures.is_good and figures.accepted else 1)
