"""R0-P19: who doesn't read what a command prints holds up nothing; what he misses is counted and told."""

import contextlib
import json
import os
import pty
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.console import Lines, Output
from sipmote.inbox.screen import MARK
from sipmote.printer import Printer
from sipmote.terminal_rows import in_rows
from tests.host_tools.peers import PATIENCE, ROOT, Running, message, until
from tests.interop.peers import free_port
from tests.terminals import Terminal


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Give the ends of a pipe that takes 4096 octets, the second one non-blocking."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for end in (reading, writing):
            with contextlib.suppress(OSError):
                os.close(end)


def test_what_there_is_no_room_for_is_counted_and_told_in_its_place() -> None:
    with pipe() as (reading, writing):
        printer = Printer(most=200_010)
        printer.tell_lost(lambda count: (writing, b"%d lost\n" % count))
        for number in range(10):
            printer.write(writing, (b"%d" % number) * 50_000 + b"\n", 2)
        printer.close(0.01)  # nobody reads: it gives up
        with os.fdopen(os.dup(reading), "rb") as lines:
            seen = [line[:1] for line in iter(lines.readline, b"12 lost\n")]
            assert seen == [b"0", b"1", b"2", b"3"]
            printer.write(writing, b"after\n")
            assert lines.readline() == b"after\n"
        printer.close()


def test_one_that_is_longer_than_all_room_is_taken_alone() -> None:
    with pipe() as (reading, writing):
        printer = Printer(most=10)
        printer.write(writing, b"x" * 1000)
        assert os.read(reading, 2000) == b"x" * 1000
        printer.close()


def test_a_reader_that_is_gone_is_told_once_and_no_other_error_is_an_end(tmp_path: Path) -> None:
    told: list[BaseException] = []
    with pipe() as (reading, writing):
        printer = Printer()
        printer.on_broken(told.append)
        os.close(reading)
        printer.write(writing, b"one\n")
        until(lambda: told)
        printer.write(writing, b"two\n")
        printer.close()
        late: list[BaseException] = []
        printer.on_broken(late.append)
        assert [type(one) for one in told + late] == [BrokenPipeError, BrokenPipeError]
    full = Printer()
    full.on_broken(told.append)
    path = tmp_path / "out"
    with path.open("wb") as file:
        full.tell_lost(lambda count: (file.fileno(), b"%d lost\n" % count))
        full.write(os.open("/dev/full", os.O_WRONLY), b"one\n")
        full.close()
        full.write(file.fileno(), b"two\n")
        full.close()
    assert path.read_bytes() == b"1 lost\ntwo\n"
    assert len(told) == 1


@pytest.mark.parametrize("as_json", [False, True])
def test_an_inbox_answers_while_nobody_reads(as_json: bool) -> None:
    reading, writing = os.pipe()
    arguments = ["inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0"] + (["--json"] if as_json else [])
    running = Running(*arguments, stdout=writing)
    os.close(writing)
    count, body = 170, b"x" * 60_000  # 10 MB: 2 more than may wait
    try:
        with os.fdopen(reading, "rb") as lines, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            first = lines.readline().decode()
            port = int((json.loads(first)["bind"][0] if as_json else first.partition(";")[0]).rpartition(":")[2])
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", port))
            for number in range(count):
                sock.send(message(f"{number}", body))
                assert sock.recv(65535).startswith(b"SIP/2.0 200 ")
            shown = lost = 0
            while shown + lost < count:
                line = lines.readline()
                shown += b"xxx" in line
                if b"not_shown" in line or b" not shown, " in line:
                    lost += json.loads(line)["count"] if as_json else int(line.split()[0])
            assert shown + lost == count and shown and lost
            sock.send(message("last", b"read again"))
            assert b"read again" in lines.readline()
            assert running.end() == 0
    finally:
        running.end()


def test_an_inbox_answers_while_its_terminal_is_stopped() -> None:
    """After Ctrl-S, with colours"""
    screen, theirs = pty.openpty()
    port = free_port()
    arguments = ["inbox", "--db", ":memory:", "--bind", f"udp:127.0.0.1:{port}"]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    running = Running(*arguments, **streams, env={**os.environ, "TERM": "xterm-256color"})
    os.close(theirs)
    shown = b""
    try:
        while b"Ctrl-C" not in shown:
            shown += os.read(screen, 1000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", port))
            for number in range(10):  # a terminal keeps some kB
                sock.send(message(f"{number}", b"x" * 10_000))
                assert sock.recv(65535).startswith(b"SIP/2.0 200 ")
        while shown.count(b"\x1b[1msip:boiler@example.org") < 10:
            shown += os.read(screen, 100_000)
    finally:
        running.process.kill()
        os.close(screen)
        running.end()


def test_an_inbox_that_nobody_reads_ends_all_the_same() -> None:
    reading, writing = os.pipe()
    running = Running("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", "--json", stdout=writing)
    os.close(writing)
    try:
        with os.fdopen(os.dup(reading), "rb", 0) as lines, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            port = int(json.loads(lines.readline())["bind"][0].rpartition(":")[2])
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", port))
            for number in range(3):
                sock.send(message(f"{number}", b"x" * 60_000))
                assert sock.recv(65535).startswith(b"SIP/2.0 200 ")
            assert running.end() == 0
    finally:
        running.end()
        os.close(reading)


def test_a_row_that_a_line_goes_on_in_begins_with_the_mark() -> None:
    for text, columns, rows in (
        ("short", 20, ["short"]),
        ("one\ntwo", None, ["one", "> two"]),
        ("x" * 40, 20, ["x" * 19, "> " + "x" * 17, "> " + "x" * 4]),
        (" " * 19 + "12:00:00 forged", 20, [" " * 19, "> 12:00:00 forged"]),
        ("\t\t\tx", 20, ["\t\t", "> \tx"]),
        ("\u6f22" * 12, 20, ["\u6f22" * 9, "> " + "\u6f22" * 3]),
        ("e\u0301" * 19 + "x", 20, ["e\u0301" * 19, "> x"]),
        ("\u2764\ufe0f" * 10, 20, ["\u2764\ufe0f" * 9 + "\u2764", "> \ufe0f"]),
        ("x" * 40, 5, ["x" * 40]),
        ("", 20, [""]),
    ):
        cut = in_rows([(text[:3], "bold"), (text[3:], "")], "> ", columns)
        assert "".join([part for part, _ in cut]).split("\n") == rows, text


def test_nothing_that_a_stranger_pads_begins_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    Output(False, mark=MARK).say(
        None, "12:00:00 sip:x@y", Lines(" hi\r\n12:00:01 signed sip:desk@z ok\n         delivered")
    )
    said = capsys.readouterr().out.split("\n")
    assert said == ["12:00:00 sip:x@y hi", MARK + "12:00:01 signed sip:desk@z ok", MARK + "         delivered", ""]


def test_a_terminal_wraps_nothing_by_itself(tmp_path: Path) -> None:
    """What is padded to its width, with blanks or wide characters, would begin a row without our mark."""
    columns = 40
    line = f"stty cols {columns}; exec {sys.executable} -m sipmote inbox --bind udp:127.0.0.1:0 --db :memory:"
    with Terminal(line, ROOT, []) as terminal, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        terminal.wait_for("listening at udp:127.0.0.1:")
        terminal.wait_for(";")
        port = int(terminal.shown.partition(";")[0].rpartition(":")[2])
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", port))
        for number, padding in enumerate((" " * 70, "x" * 33, "\u6f22" * 31, "\u3000" * 44)):
            sock.send(message(f"{number}", f"{padding}12:00:01 signed sip:desk@z end-{number}".encode()))
            assert sock.recv(65535).startswith(b"SIP/2.0 200 ")
        sock.send(message("last", b"done"))
        terminal.wait_for("done")
        shown = terminal.shown.replace("\r", "")
    rows = [row for row in shown.split("\n") if row]
    assert not [row for row in rows if row.startswith("12:00:01")]
    assert all(sum(2 if character > "\u2fff" else 1 for character in row) < columns for row in rows), rows
    text = "".join(row.removeprefix(MARK) for row in rows)
    assert [text.count(f"end-{number}") for number in range(3)] == [1, 1, 1]
