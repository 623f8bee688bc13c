"""Opening a port, the raw REPL through mpremote, and what a person is told when either fails."""

import contextlib
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from mpremote.transport_serial import SerialTransport
from serial.tools.list_ports_common import ListPortInfo

from sipmote.errors import ToolError
from sipmote.link import port as serial_port
from sipmote.link import refusals, repl
from sipmote.link.port import close_port, find_port, named_port, open_port, wait_for_port
from sipmote.link.refusals import why_not_open
from sipmote.link.repl import Board
from tests.host_tools.fake_board import FakeBoard


def unheard(text: str) -> None:
    raise AssertionError(f"nobody was to be asked for help: {text}")


@pytest.mark.parametrize("raw_paste", [True, False])
def test_scripts_run_on_a_stopped_board_and_it_is_given_back(raw_paste: bool) -> None:
    with FakeBoard(raw_paste) as fake:
        port = open_port(fake.port)
        board = Board(port)
        board.stop(unheard)
        assert board.run("x = 6 * 7\nprint(x)") == "42\n"
        assert board.run(f"print(len({'a' * 3000!r}))") == "3000\n"
        board.reset()
        with pytest.raises(ToolError, match="reports NameError: name 'x' is not defined"):
            board.run("print(x)")
        board.restart()
        close_port(port)


def test_stopping_a_board_resets_nothing() -> None:
    with FakeBoard() as fake:
        port = open_port(fake.port)
        Board(port).stop(unheard)
        close_port(port)
        assert fake.received
        assert b"\x04" not in fake.received


@pytest.mark.parametrize("chatter", [True, False])
def test_a_board_that_does_not_answer_is_given_up_soon_and_nothing_is_printed(
    chatter: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(repl, "_ENTER_S", (0.2, 0.2))
    monkeypatch.setattr(repl, "_PRESSES_S", 0.2)
    monkeypatch.setattr(repl, "_BUTTON_S", 0.2)
    with FakeBoard(deaf=True, chatter=chatter) as fake:
        port = open_port(fake.port, 0.2)
        began = time.monotonic()
        told: list[str] = []
        with pytest.raises(ToolError, match=r"no MicroPython prompt on .*: press the board's reset button"):
            Board(port).stop(told.append)
        close_port(port)
        assert "press the board's reset button (RST, EN) now" in told[0]
        assert time.monotonic() - began < 5
    assert capsys.readouterr().out == ""


def test_a_cable_pulled_while_a_script_runs_is_told_in_one_line() -> None:
    with FakeBoard() as fake:
        port = open_port(fake.port)
        board = Board(port)
        board.stop(unheard)
        fake.pull_cable()
        with pytest.raises(ToolError, match="has gone or takes nothing: check the cable"):
            board.run("print(1)")
        board.abandon()
        close_port(port)


def test_mpremote_still_has_the_insides_that_the_adapter_leans_on() -> None:
    """Its range in pyproject.toml may grow when this holds for the new version."""
    for name, parameters in (
        ("enter_raw_repl", ["self", "soft_reset", "timeout_overall"]),
        ("exit_raw_repl", ["self"]),
        ("exec", ["self", "command", "data_consumer"]),
        ("follow", ["self", "timeout", "data_consumer"]),
        ("read_until", ["self", "min_num_bytes", "ending", "timeout", "data_consumer", "timeout_overall"]),
    ):
        assert list(inspect.signature(getattr(SerialTransport, name)).parameters) == parameters


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is no container, with one board."""
    monkeypatch.setattr(refusals, "_CONTAINERS", ())
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [fake_usb("/dev/ttyUSB7")])
    monkeypatch.setattr(serial_port, "virtual_ports", lambda: ["/dev/pts/98"])


def test_a_port_that_is_not_there_is_told_with_all_that_are(plain: None, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no port .*/gone .ports there are: /dev/ttyUSB7, /dev/pts/98"):
        open_port(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("PermissionError(13, 'Access is denied.', None, 5)", "COM3 is in use: end the other program"),
        ("PermissionError(13, 'Zugriff verweigert', None, 5)", "COM3 is in use: end the other program"),
        ("FileNotFoundError(2, 'The system cannot find the file specified.', None, 2)", "COM3 comes or goes just now"),
        ("OSError(22, 'The semaphore timeout period has expired.', None, 121)", "unplug the board and plug it in"),
    ],
)
def test_windows_says_in_words_alone_why_a_port_can_not_be_opened(plain: None, said: str, told: str) -> None:
    """There a COM port is no path, and pyserial's exception has no number."""
    error = serial.SerialException(f"could not open port 'COM3': {said}")
    assert told in why_not_open("COM3", error, ["COM3"])


def test_an_url_that_can_not_be_opened_is_told_in_its_own_words() -> None:
    for url in ("socket://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(ToolError, match=f"{url} can't be opened: .*(refused|not known)"):
            open_port(url)


def test_macos_opens_the_name_that_waits_for_no_carrier(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert named_port("/dev/tty.usbmodem101") == "/dev/cu.usbmodem101"


def test_in_a_container_it_is_told_how_to_hand_a_port_in(
    plain: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mark").touch()
    monkeypatch.setattr(refusals, "_CONTAINERS", (str(tmp_path / "mark"),))
    assert "--device /dev/ttyUSB0" in why_not_open("/dev/ttyUSB0", OSError(2, ""), [])
    assert f"--device {os.devnull}" in why_not_open(os.devnull, OSError(1, ""), [])
    assert f"--group-add {os.stat(os.devnull).st_gid}" in why_not_open(os.devnull, OSError(13, ""), [])
    monkeypatch.setattr(refusals, "_holder", lambda device: None)
    assert "outside of this container" in why_not_open(os.devnull, OSError(16, ""), [])


def test_a_serial_number_that_several_have_names_none(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [fake_usb("/dev/ttyUSB7"), fake_usb("/dev/ttyUSB8")])
    with pytest.raises(ToolError, match=r"several boards have the serial number ab12: .*/dev/ttyUSB7, /dev/ttyUSB8"):
        named_port("ab12")
    assert named_port("/dev/ttyUSB8") == "/dev/ttyUSB8"
    assert (named_port("pts/98"), named_port("98")) == ("/dev/pts/98", "98")
    for name in ("AB13", ""):
        assert named_port(name) == name


_HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)
print(flush=True)
input()
"""


@contextlib.contextmanager
def held(port: str, command: Path | str = sys.executable) -> Iterator["subprocess.Popen[bytes]"]:
    """Have another program hold a port until the context ends or a line is written to it."""
    with subprocess.Popen(
        [command, "-c", _HOLD, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout and holder.stdin
        assert holder.stdout.readline()
        yield holder
        holder.stdin.close()


def test_who_has_a_port_is_named(plain: None) -> None:
    told = r"is in use by python.* \(process \d+\): end it first"
    with FakeBoard() as fake, held(fake.port), pytest.raises(ToolError, match=told):
        open_port(fake.port)


def test_a_port_that_modem_manager_looks_at_is_waited_for(
    plain: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serial_port, "_PROBING_S", 0.5)
    modem_manager = tmp_path / "ModemManager"  # the kernel knows a program by its file's name
    modem_manager.symlink_to(sys.executable)
    with FakeBoard() as fake:
        with held(fake.port, modem_manager) as holder:
            with pytest.raises(ToolError, match=r"in use by ModemManager, .*: sudo systemctl disable --now"):
                open_port(fake.port)
            assert holder.stdin
            monkeypatch.setattr(serial_port, "_PROBING_S", 20)
            monkeypatch.setattr("time.sleep", lambda _: holder.stdin.close() if holder.poll() is None else None)
            close_port(open_port(fake.port))
        assert "ModemManager looks at" in capsys.readouterr().err


def test_the_port_of_a_board_that_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "usb_ports", list)
    with FakeBoard() as fake:
        fake.pull_cable()
        with pytest.raises(ToolError, match=f"no port {fake.port}"):
            open_port(fake.port)


def test_a_port_in_use_is_told() -> None:
    with FakeBoard() as fake:
        port = open_port(fake.port)
        with pytest.raises(ToolError, match="is in use: end the other program"):
            open_port(fake.port)
        close_port(port)


def test_a_file_is_no_port(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    with pytest.raises(ToolError, match="is not a serial port"):
        open_port(str(file))


def test_a_port_we_may_not_open_is_told_with_the_group_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(13, "Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    group = os.stat(os.devnull).st_gid
    monkeypatch.setattr("grp.getgrgid", lambda gid: type("Group", (), {"gr_name": "dialout"}) if gid == group else None)
    with pytest.raises(ToolError, match="sudo usermod -aG dialout"):
        open_port(os.devnull)


def fake_usb(device: str) -> ListPortInfo:
    port = ListPortInfo(device)
    port.vid, port.pid, port.serial_number, port.manufacturer = 0x10C4, 0xEA60, "AB12", "Silicon Labs"
    return port


def test_the_port_is_found_when_there_is_just_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "virtual_ports", list)
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [fake_usb("/dev/ttyACM0")])
    assert find_port() == "/dev/ttyACM0"
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [fake_usb("/dev/ttyACM0"), fake_usb("/dev/ttyACM1")])
    with pytest.raises(ToolError, match=r"name one with --port .*/dev/ttyACM0, /dev/ttyACM1"):
        find_port()
    monkeypatch.setattr(serial_port, "usb_ports", list)
    with pytest.raises(ToolError, match="no board found"):
        find_port()


def test_a_port_that_goes_while_it_is_looked_at_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def comports() -> list[ListPortInfo]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise FileNotFoundError(2, "No such file or directory", "/dev/ttyUSB3")
        return [fake_usb("/dev/ttyUSB7")]

    monkeypatch.setattr("serial.tools.list_ports.comports", comports)
    assert [port.device for port in serial_port.usb_ports()] == ["/dev/ttyUSB7"]


def test_a_port_that_comes_back_is_opened_and_waiting_ends(tmp_path: Path) -> None:
    link = tmp_path / "port"
    assert wait_for_port(str(link), 0.1) is None
    with FakeBoard() as fake:
        link.symlink_to(fake.port)
        port = wait_for_port(str(link), 5)
        assert port is not None
        close_port(port)


def test_both_lines_are_asserted_before_the_port_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """RTS without DTR, be it for a moment, resets an ESP32."""
    opened: list[tuple[bool, bool]] = []

    def note(port: serial.Serial) -> None:
        opened.append((port.dtr, port.rts))

    monkeypatch.setattr(serial.Serial, "open", note)
    open_port("/dev/ttyUSB0")
    assert opened == [(True, True)]
