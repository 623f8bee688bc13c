"""Opening a port, the raw REPL through mpremote, and what a person is told when either fails."""

import inspect
import os
import time
from pathlib import Path

import pytest
import serial
from mpremote.transport_serial import SerialTransport

from sipmote.errors import ToolError
from sipmote.link import port as serial_port
from sipmote.link import repl
from sipmote.link.port import close_port, find_port, open_port, wait_for_port
from sipmote.link.repl import Board
from tests.host_tools.fake_board import fake_board


def unheard(text: str) -> None:
    raise AssertionError(f"nobody was to be asked for help: {text}")


@pytest.mark.parametrize("raw_paste", [True, False])
def test_scripts_run_on_a_stopped_board_and_it_is_given_back(raw_paste: bool) -> None:
    with fake_board(raw_paste) as fake:
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
    with fake_board() as fake:
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
    with fake_board(deaf=True, chatter=chatter) as fake:
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
    with fake_board() as fake:
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


def test_a_port_that_is_not_there_is_told_with_those_that_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [fake_usb("/dev/ttyUSB7")])
    with pytest.raises(ToolError, match=r"no port .*/gone .ports there are: /dev/ttyUSB7"):
        open_port(str(tmp_path / "gone"))


def test_the_port_of_a_board_that_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "usb_ports", list)
    with fake_board() as fake:
        fake.pull_cable()
        with pytest.raises(ToolError, match=f"no port {fake.port}"):
            open_port(fake.port)


def test_a_port_in_use_is_told() -> None:
    with fake_board() as fake:
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


def fake_usb(device: str) -> object:
    return type("Port", (), {"device": device})()


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


def test_a_port_that_comes_back_is_opened_and_waiting_ends(tmp_path: Path) -> None:
    link = tmp_path / "port"
    assert wait_for_port(str(link), 0.1) is None
    with fake_board() as fake:
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
