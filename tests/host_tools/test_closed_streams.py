"""Commands that are started without stdin, stdout or stderr, as some supervisors and `sipmote inbox >&-` do it."""

import contextlib
import shlex
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host_tools.peers import PATIENCE, ROOT, message, until
from tests.interop.peers import free_port

_CLOSED = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")


def run(line: str) -> subprocess.Popen[bytes]:
    """Run a command of ours with what a shell makes of the line."""
    words = f"exec {shlex.quote(sys.executable)} -m sipmote {line}"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(["bash", "-c", words], cwd=ROOT, **pipes)


@pytest.mark.parametrize("closed", _CLOSED)
def test_a_command_without_a_stream_says_what_it_can_and_has_its_exit_code(closed: str, tmp_path: Path) -> None:
    """R0-P13: and nothing goes where something else was to be read"""
    code_of = {
        "--version": 0,
        "": 0,
        "ports --json": 0,
        f"history --csv --db {tmp_path / 'none'}": 1,
        f"send sip:desk@127.0.0.1:{free_port()} - --timeout 5": 5,
        f"ask sip:desk@127.0.0.1:{free_port()} hi --timeout 5": 5,
        f"passwd {tmp_path / 'users'} bob --realm x": 1,
    }
    for line, code in code_of.items():
        process = run(f"{line} {closed}")
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code and b"Traceback" not in err, (line, err)
        assert b"sipmote: " not in out, line


@pytest.mark.parametrize("closed", _CLOSED)
@pytest.mark.parametrize("more", ["", "--json --interactive --trace"])
def test_an_inbox_without_a_stream_takes_messages_and_runs_their_commands(
    closed: str, more: str, tmp_path: Path
) -> None:
    """R0-P1: no descriptor of its own is in the place of the one that was closed, for a command to write into"""
    port, db = free_port(), tmp_path / "db"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\nprintf garbage\nprintf garbage >&2\n: > {tmp_path / 'ran'}\n")
    command.chmod(0o700)
    running = run(f"inbox --bind udp:127.0.0.1:{port} --db {db} --exec {command} {more} {closed}")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.settimeout(0.1)
            until(lambda: _is_taken(sock))
        until((tmp_path / "ran").exists)
    finally:
        running.terminate()
        out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0 and b"Traceback" not in out + err
    with contextlib.closing(sqlite3.connect(db)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert opened.execute("SELECT call_id FROM message").fetchall() == [("a",)]


def _is_taken(sock: socket.socket) -> bool:
    try:
        sock.send(message("a"))
        return sock.recv(65535).startswith(b"SIP/2.0 200 ")
    except OSError:  # it doesn't listen yet
        return False
