"""Each file of micropython/examples, unmodified on a virtual board: its alerts and answers arrive at a desk."""

import ast
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host_tools.virtual import started
from tests.sip_peer import Peer
from tests.tools import Tool
from tests.vm import ROOT

EXAMPLES = ROOT / "micropython" / "examples"
BOARD = b"sip:boiler@127.0.0.1"
DESK = b"sip:desk@127.0.0.1"


class Bench:
    """A virtual board that runs an example, the desk that it writes to, and what it prints."""

    def __init__(self, flash: Path, desk: Peer, monitor: Tool, port: str) -> None:
        self._flash = flash
        self._port = port
        self._desk = desk
        self.monitor = monitor

    def alert(self) -> str:
        """Take the next alert and return its text."""
        return self._desk.answer(200).body.decode()

    def ask(self, text: str) -> str:
        """Send a command and return the board's answer to it."""
        assert self._desk.ask(self._desk.from_port, b"text/plain", text.encode(), to=BOARD).status == 200
        return self.alert()

    def put(self, name: str, text: str) -> None:
        """Write a file of the board, in one go: it stands in for a pin or a sensor."""
        (self._flash / "new").write_text(text)
        os.replace(self._flash / "new", self._flash / name)

    def file(self, name: str) -> str:
        """Return what a file of the board says."""
        return (self._flash / name).read_text()

    def press_reset(self) -> None:
        """Have a board that sleeps start anew."""
        self.monitor.stop()
        with Tool("monitor", "--port", self._port, "--reset") as monitor:
            monitor.wait_for(event="ready")

    def printed(self, text: str) -> None:
        """Wait until the board has printed this line."""
        self.monitor.wait_for(30, event="console", text=text)


@contextmanager
def bench(folder: Path, example: str, **files: str) -> Iterator[Bench]:
    """Run an example on a virtual board that has these files, and watch it."""
    flash = folder / "flash"
    flash.mkdir()
    for name, text in files.items():
        (flash / name).write_text(text)
    with Peer(DESK) as desk:
        settings = {"aor": BOARD.decode(), "to": f"sip:desk@127.0.0.1:{desk.port}", "bind": "127.0.0.1:0"}
        with started(flash, (EXAMPLES / example).read_text(), settings) as (port, monitor):
            yield Bench(flash, desk, monitor, port)
            for line in monitor.lines:
                assert line.get("name") not in ("sensor_failed", "command_failed"), monitor.transcript()


def test_hello_says_hello(tmp_path: Path) -> None:
    with bench(tmp_path, "hello.py") as board:
        assert board.alert().startswith("hello, up ")


def test_boiler_tells_of_both_readings_that_are_too_hot_and_answers(tmp_path: Path) -> None:
    with bench(tmp_path, "boiler.py") as board:
        assert [board.alert(), board.alert()] == ["Boiler at 81 C", "Boiler at 85 C"]
        assert board.ask("status").startswith("ok, up ")


def test_door_tells_when_it_opens_and_closes(tmp_path: Path) -> None:
    with bench(tmp_path, "door.py") as board:
        board.monitor.wait_for(event="log", name="boot")  # it has looked at its pin by then
        board.put("pin4", "1")
        assert board.alert() == "door opened"
        assert board.ask("door") == "open"
        board.put("pin4", "0")
        assert board.alert() == "door closed"
        assert board.ask("door") == "closed"


def test_button_sends_one_alert_a_press_and_says_what_became_of_it(tmp_path: Path) -> None:
    with bench(tmp_path, "button.py", pin4="1") as board:
        assert board.alert() == "help is wanted at the gate"
        board.monitor.wait_for(event="log", name="outcome")
        assert "help: delivered" not in board.monitor.transcript()
        board.put("pin4", "0")
        board.printed("help: delivered")
        board.put("pin4", "1")
        assert board.alert() == "help is wanted at the gate"


def test_temperature_is_silent_between_its_two_limits(tmp_path: Path) -> None:
    with bench(tmp_path, "temperature.py", celsius="80.5") as board:
        assert board.alert() == "too hot: 80.5 C"
        for celsius in ("79.0", "81.5", "70.5"):
            board.put("celsius", celsius)
            board.printed(f"{celsius} C")
        board.put("celsius", "69.0")
        assert board.alert() == "cool again: 69.0 C"
        board.put("celsius", "90.0")
        assert board.alert() == "too hot: 90.0 C"


def test_deep_sleep_comes_once_the_alert_has_an_outcome_and_the_state_outlives_it(tmp_path: Path) -> None:
    """The button of a virtual board is Ctrl-C, here by monitor: it wakes it before the ten minutes are over."""
    with bench(tmp_path, "deep_sleep.py", volts="3.3") as board:
        assert board.alert() == "battery at 3.30 V"
        record = board.monitor.wait_for(event="log", name="sleep")
        assert record["fields"] == {"ms": 600000}
        assert board.file("told_low") == ""
        board.put("volts", "3.9")
        board.press_reset()
        assert board.alert() == "battery is charged again"


def test_commands_take_arguments_and_say_what_they_expect(tmp_path: Path) -> None:
    with bench(tmp_path, "commands.py") as board:
        assert board.alert() == "here I am, send me: limit, pump 3, whoami"
        assert board.ask("limit") == "the limit is 80 C"
        assert board.ask("limit 75") == "the limit is 75 C"
        assert board.ask("limit 200") == "limit N: 20 to 95"
        assert board.ask("Limit") == "the limit is 75 C"
        assert board.ask("pump") == "pump N: 1 to 60 seconds"
        assert board.ask("pump 1") == "the pump ran for 1 s"
        assert board.file("pin4") == "0"
        assert board.ask("whoami") == "you are sip:desk@127.0.0.1"
        assert board.ask("help") == "commands: ack, help, interval, limit, pump, sleep, status, whoami"


def test_each_example_has_a_test_here() -> None:
    used = {
        node.args[1].value
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "bench"
        and isinstance(node.args[1], ast.Constant)
    }
    assert used == {path.name for path in EXAMPLES.glob("*.py")}
