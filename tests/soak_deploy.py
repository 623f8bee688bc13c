"""`python -m tests.soak_deploy [KILLS] [SEED]`: deploys of another build, cut by kill -9 of deploy or of the board.

After each cut the board is started again, and has to run the old version whole or the new one whole: packages, program,
a module beside it and a key of its configuration. Then the next deploy has to complete.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.tools import Tool
from tests.vm import ROOT

_PROGRAM = """
import json, probe, mote.acting, mote.builtin, mote.cut, mote.durations
from mote import Mote

numbers = {NUMBER, probe.N}
for module in (mote.acting, mote.builtin, mote.cut, mote.durations):
    numbers.add(module.NUMBER)
with open("/mote.json") as file:
    numbers.add(json.load(file)["notify"])
mote = Mote()


@mote.every(3600)
def say():
    with open("/said", "w") as file:
        file.write(repr(numbers) + ".")


mote.run()
"""
_CHANGED = 40  # modules of mote that are others in each version
_SAY_S = 60


class Soak:
    """A copy of the tools whose packages change, and a board to deploy them to. number: the version that it runs."""

    def __init__(self, work: Path) -> None:
        self.number = 1
        self.flash = work / "flash"
        self._work = work
        home = work / "tools" / "sipmote"
        shutil.copytree(ROOT / "host_tools", home)
        for room in ("agent", "micropython", "boards"):
            shutil.copytree(ROOT / room, home / room)
        modules = sorted((home / "micropython/mote").glob("[!_]*.py"))[:_CHANGED]
        self._texts = {path: path.read_text() for path in modules}

    def deploy(self, port: str, number: int) -> "subprocess.Popen[bytes]":
        """Begin to deploy a version."""
        for path, text in self._texts.items():
            path.write_text(f"{text}\nNUMBER = {number}\n")
        (self._work / "probe.py").write_text(f"N = {number}\n" + "# words\n" * 300)
        (self._work / "boiler.py").write_text(_PROGRAM.replace("NUMBER, probe", f"{number}, probe"))
        names = ("aor=sip:boiler@127.0.0.1", "to=sip:desk@127.0.0.1:9", "bind=127.0.0.1:0", f"notify={number}")
        settings = [word for name in names for word in ("--set", name)]
        command = [sys.executable, "-m", "sipmote", "deploy", str(self._work / "boiler.py"), "--port", port, *settings]
        environment = {**os.environ, "PYTHONPATH": str(self._work / "tools")}
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)

    def runs(self, port: str, is_reset: bool) -> str:
        """Return what the board's program says, once it is reset, or as it starts by itself."""
        with Tool("monitor", "--port", port, *["--reset"] * is_reset):
            deadline = time.monotonic() + _SAY_S
            while time.monotonic() < deadline:
                time.sleep(0.05)
                with contextlib.suppress(OSError):
                    text = (self.flash / "said").read_text()
                    if text.endswith("."):
                        (self.flash / "said").unlink()
                        return text
        return "nothing"


@contextlib.contextmanager
def board(flash: Path) -> Iterator[tuple[Tool, str]]:
    with Tool("board", "start", "virtual", "--dir", str(flash)) as tool:
        yield tool, tool.wait_for(event="ready")["port"]


def cut(soak: Soak, dice: random.Random) -> str:
    """Cut a deploy of the next version, and complete it; returns which version ran in between, or what went wrong."""
    (soak.flash / "said").unlink(missing_ok=True)
    is_board = dice.random() < 0.5
    with board(soak.flash) as (tool, port):
        deploy = soak.deploy(port, soak.number + 1)
        time.sleep(dice.uniform(1.5, 6))
        if is_board:
            os.kill(tool.pid, 9)
        deploy.kill()
        deploy.wait()
        if not is_board:
            between = soak.runs(port, is_reset=True)
    with board(soak.flash) as (_, port):
        if is_board:
            between = soak.runs(port, is_reset=False)
        (soak.flash / "said").unlink(missing_ok=True)
        code = soak.deploy(port, soak.number + 1).wait()
        after = soak.runs(port, is_reset=True)
    old, soak.number = soak.number, soak.number + 1
    if code or after != f"{{{soak.number}}}.":
        return f"not completed: {after}"
    return {f"{{{old}}}.": "old", f"{{{soak.number}}}.": "new"}.get(between, f"neither: {between}")


def main() -> int:
    kills, seed = (int(word) for word in (*sys.argv[1:], *("100", "1")[len(sys.argv) - 1 :]))
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="soak-deploy-") as folder:
        soak = Soak(Path(folder))
        with board(soak.flash) as (_, port):
            if soak.deploy(port, soak.number).wait():
                print("the first deploy failed")
                return 1
        found = Counter(cut(soak, dice) for _ in range(kills))
    print(f"{kills} cut deploys, seed {seed}: " + ", ".join(f"{count} {what}" for what, count in found.items()))
    return int(bool(found.keys() - {"old", "new"}))


if __name__ == "__main__":
    sys.exit(main())
