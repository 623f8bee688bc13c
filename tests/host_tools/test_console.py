"""One class through which every command speaks: lines to people, JSON to programs, escape sequences to nobody."""

import io
import json
import os
import socket
import sys

import pytest

from sipmote.console import Lines, Output, harmless
from tests.host_tools.peers import Running, header, message

Captured = pytest.CaptureFixture[str]


def test_people_read_the_line_and_programs_the_event(capsys: Captured) -> None:
    for as_json, said in ((False, "boiler: hot\n"), (True, '{"event": "alert", "from": "boiler"}\n')):
        Output(as_json).say({"event": "alert", "from": "boiler"}, ("boiler", "bold"), ": hot")
        assert capsys.readouterr() == (said, "")


def test_what_is_for_one_side_leaves_the_other_silent(capsys: Captured) -> None:
    for as_json, said in ((False, "for people\n"), (True, '{"event": "progress"}\n')):
        output = Output(as_json)
        output.say({"event": "progress"})
        output.say(None, "for people")
        assert capsys.readouterr().out == said


def test_of_many_things_just_what_is_shown_is_made(capsys: Captured) -> None:
    def never(thing: int) -> None:
        raise AssertionError(thing)

    Output(True).show([1, 2], lambda thing: {"event": "thing", "number": thing}, never)
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [1, 2]
    Output(False).show([1, 2], never, lambda thing: [f"thing {thing}"])
    assert capsys.readouterr().out == "thing 1\nthing 2\n"


def test_people_are_warned_on_stderr_and_programs_on_stdout(capsys: Captured) -> None:
    for as_json in (False, True):
        output = Output(as_json)
        output.warn("it \x1b[2Jburns", {"event": "warning"})
        out, err = capsys.readouterr()
        assert (out, err) == (('{"event": "warning"}\n', "") if as_json else ("", "sipmote: it \\x1b[2Jburns\n"))
        output.warn("for both")
        assert capsys.readouterr() == ("", "sipmote: for both\n")


def test_a_line_end_of_a_stranger_begins_no_line_but_in_a_text_that_may_have_several(capsys: Captured) -> None:
    Output(False).say(None, "subject\nforged", Lines(": one\ntwo"))
    assert capsys.readouterr().out == "subject\\nforged: one\ntwo\n"


def test_text_of_a_board_comes_as_it_comes_for_people_and_programs_read_the_event(capsys: Captured) -> None:
    for as_json in (False, True):
        output = Output(as_json)
        for piece in ("rea", "ds 8", "1\r\n\x1b[2J ok", ""):
            output.text({"event": "console"}, piece)
        output.say({"event": "log"}, "record")
        output.text({"event": "console"}, "begun")
        output.text({"event": "console"}, " ended\n")
        out = capsys.readouterr().out
        if as_json:
            assert [json.loads(line)["event"] for line in out.splitlines()] == [
                *["console"] * 4,
                "log",
                *["console"] * 2,
            ]
        else:
            assert out == "reads 81\n\\x1b[2J ok\nrecord\nbegun ended\n"


def test_a_terminal_has_colours_and_a_pipe_has_none(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    Output(False).say(None, ("bad", "bold red"))
    assert capsys.readouterr().out == "bad\n"
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    Output(False).say(None, ("bad", "bold red"), " news[/]")
    assert terminal.getvalue() == "\x1b[1;31mbad\x1b[0m news[/]\n"


def test_colours_of_a_board_are_kept_on_a_terminal_to_the_end_of_the_line_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    text = "\x1b[0;32mI (12) wifi: \x1b[38;5;200mup\n\x1b[8mhidden\x1b[2J\x1b]0;title\x07\n"
    Output(False).text({}, text)
    rest = "\\x1b[8mhidden\\x1b[2J\\x1b]0;title\\x07\n"
    assert capsys.readouterr().out == "I (12) wifi: up\n" + rest
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    Output(False).text({}, text)
    assert terminal.getvalue() == "\x1b[0;32mI (12) wifi: \x1b[38;5;200mup\x1b[0m\n" + rest
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    Output(False).text({}, text)
    assert terminal.getvalue() == "I (12) wifi: up\n" + rest


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_no_character_of_a_message_ends_in_a_traceback(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    running = Running("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", env=environment)
    try:
        port = int(running.line().split(b";")[0].rpartition(b":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(message("a", "81 °C 🔥".encode()), ("127.0.0.1", port))
            assert header(sock.recv(65535), "Call-ID") == "a"
        shown = running.line().decode(encoding)
    finally:
        running.end()
    assert ("81 \\xb0C \\U0001f525" if encoding == "ascii" else "81 °C \\U0001f525") in shown
    assert not running.errors


def test_what_is_printable_stays_as_it_is() -> None:
    for text in ("Grüße 🔥", "👩\u200d🚒", "1\xa0000"):
        assert harmless(text) == text
