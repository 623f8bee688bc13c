"""`sipmote inbox --exec`: at least once for each message, whatever ends the inbox and whoever hangs."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sipmote.console import Output
from sipmote.inbox import exec as inbox_exec
from sipmote.inbox.exec import Runners
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from tests.host_tools.peers import RunningInbox, inbox, message, until
from tests.host_tools.test_store import received
from tests.soak import soak


def script(folder: Path, *lines: str) -> str:
    """Write a command of these lines of sh, with $DIR as the folder; returns what goes behind --exec."""
    path = folder / "command"
    path.write_text("\n".join(["#!/bin/sh", f"DIR={shlex.quote(str(folder))}", "export DIR", *lines, ""]))
    path.chmod(0o700)
    return str(path)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def send(running: RunningInbox, call_ids: Sequence[str], sender: str = "boiler") -> None:
    """Send messages, and wait for the 200 of each and until they are shown."""
    with running.udp() as sock:
        for call_id in call_ids:
            sock.send(message(call_id).replace(b"sip:boiler@", f"sip:{sender}@".encode()))
            assert sock.recv(65535).startswith(b"SIP/2.0 200 ")
            assert running.event("message")["call_id"] == call_id


def group(pid: str) -> str:
    """Return the group of a process; nothing if it has ended, or is a zombie."""
    with contextlib.suppress(OSError):
        state, _, number = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
        return number if state != "Z" else ""
    return ""


def has_environment(variable: bytes) -> bool:
    """Is there a process with this in the environment of its start?"""
    for place in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable in place.read_bytes().split(b"\0"):
                return True
    return False


def test_no_password_is_in_the_environment_of_a_command(tmp_path: Path) -> None:
    """R0-P17: neither the one that the inbox itself takes from there nor another of ours"""
    command = script(tmp_path, "env > $DIR/env.new", "mv $DIR/env.new $DIR/env")
    secrets = {"SIPMOTE_PASSWORD": "steam", "SIPMOTE_WIFI_PASSWORD": "steam", "SIPMOTE_COMMANDER_PASSWORD": "steam"}
    with inbox("--exec", command, env={**os.environ, **secrets, "KEPT": "yes"}) as running:
        send(running, ["a"])
        found = until(lambda: lines(tmp_path / "env"))
    assert "steam" not in "".join(found)
    assert {"KEPT=yes", "SIPMOTE_CALL_ID=a", "SIPMOTE_AGAIN=0"} <= set(found)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
@pytest.mark.parametrize("ending", ["exit 0", "sleep 300"])
def test_what_a_command_has_started_ends_with_it(tmp_path: Path, ending: str) -> None:
    """R0-P1: where it ends by itself, and where the inbox does"""
    command = script(
        tmp_path, "sleep 300 > /dev/null 2>&1 &", "echo $! > $DIR/child.new", "mv $DIR/child.new $DIR/child", ending
    )
    with inbox("--exec", command) as running:
        send(running, ["a"])
        (child,) = until(lambda: lines(tmp_path / "child"))
        if ending != "exit 0":
            assert group(child)
            assert running.end(signal.SIGTERM) == 0
        until(lambda: not group(child))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_has_detached_itself_ends_with_a_command_that_is_stopped(tmp_path: Path, number: int) -> None:
    """R0-P1: at our end; after a kill -9 before the next inbox runs the command again"""
    db, runs = str(tmp_path / "inbox.db"), tmp_path / "runs"
    detached = "setsid sh -c 'sleep 300 > /dev/null 2>&1 & echo $! > $0/new; mv $0/new $0/far; sleep 300' $DIR &"
    begun = "until [ -e $DIR/far ]; do sleep 0.02; done; echo $SIPMOTE_AGAIN $$ $(cat $DIR/far) >> $DIR/runs"
    with inbox("--exec", script(tmp_path, detached, begun, "sleep 300"), db=db) as running:
        send(running, ["a"])
        _, leader, far = until(lambda: lines(runs))[0].split()
        running.process.send_signal(number)
        running.process.wait()
        if number == signal.SIGTERM:
            assert not group(leader) and not group(far)
            return
        assert group(leader) == leader and group(far) not in ("", leader)
        script(tmp_path, "echo $SIPMOTE_AGAIN >> $DIR/runs")
        with inbox("--exec", str(tmp_path / "command"), db=db):
            until(lambda: not group(leader) and not group(far))
            assert until(lambda: lines(runs)[1:]) == ["1"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
def test_what_a_command_detaches_and_leaves_behind_lives_on(tmp_path: Path) -> None:
    """It ended by itself and in time: a service that it has started is none of ours"""
    far = "setsid sh -c 'echo $$ > $DIR/new; mv $DIR/new $DIR/far; exec sleep 300' > /dev/null 2>&1 &"
    command = script(tmp_path, far, "until [ -e $DIR/far ]; do sleep 0.02; done")
    db = str(tmp_path / "inbox.db")
    with inbox("--exec", command, db=db) as running:
        send(running, ["a"])
        (far,) = until(lambda: lines(tmp_path / "far"))
        until(lambda: group(far) == far and not waiting(db))
    try:
        with inbox("--exec", command, db=db):
            assert group(far) == far
    finally:
        os.kill(int(far), signal.SIGKILL)


def test_a_message_that_no_environment_has_room_for_costs_its_own_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """R0-P1, R0-P13: it is said, and not tried again"""
    monkeypatch.setattr(inbox_exec, "_LONGEST", 1 << 20)
    command = script(tmp_path, "echo $SIPMOTE_CALL_ID >> $DIR/runs")
    subjects = {"a": "short", "b": "x" * (1 << 19), "c": "short"}

    async def run(store: Store) -> None:
        runners = Runners(command, store, Screen(Output(True)))
        store.add([received(call_id=name, subject=subject) for name, subject in subjects.items()], [runners.add])
        runners.start()
        async with asyncio.timeout(20):
            while store.db.query("SELECT count(*) FROM run")[0][0]:
                await asyncio.sleep(0.01)
        await runners.close()

    store = Store(":memory:")
    asyncio.run(run(store))
    store.close()
    assert sorted(lines(tmp_path / "runs")) == ["a", "c"]
    (told,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert told["call_id"] == "b" and "can't be started for this message: Argument list too long" in told["text"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_an_end_while_a_command_is_being_started_leaves_nothing_behind(tmp_path: Path) -> None:
    """R0-P1: it runs already, and asyncio has not said so yet"""
    command = script(tmp_path, "echo $$ > $DIR/new", "mv $DIR/new $DIR/leader", "sleep 300")
    leader = tmp_path / "leader"

    async def run(store: Store) -> None:
        runners = Runners(command, store, Screen(Output(True)))
        store.add([received()], [runners.add])
        runners.start()
        async with asyncio.timeout(20):
            while not leader.exists():
                await asyncio.sleep(0)
                time.sleep(0.1)  # the loop takes one step, the command many
        await runners.close()

    store = Store(":memory:")
    asyncio.run(run(store))
    store.close()
    (pid,) = lines(leader)
    until(lambda: not any(group(other.name) == pid for other in Path("/proc").glob("[0-9]*")))


def test_a_command_that_takes_too_long_is_stopped_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """R0-P1, R0-P13: and the next one comes"""
    monkeypatch.setattr(inbox_exec, "_RUN_S", 0.3)
    command = script(tmp_path, "echo $SIPMOTE_CALL_ID >> $DIR/runs", "setsid sleep 300 &", "sleep 300")

    async def run(store: Store) -> None:
        runners = Runners(command, store, Screen(Output(True)))
        store.add([received(call_id=f"{i}") for i in range(6)], [runners.add])
        runners.start()
        async with asyncio.timeout(20):
            while store.db.query("SELECT count(*) FROM run")[0][0]:
                await asyncio.sleep(0.01)
        await runners.close()

    store = Store(":memory:")
    asyncio.run(run(store))
    store.close()
    assert sorted(lines(tmp_path / "runs")) == [f"{i}" for i in range(6)]
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert not has_environment(f"DIR={tmp_path}".encode())
    assert sorted(line["call_id"] for line in told if "was stopped" in line["text"]) == [f"{i}" for i in range(6)]


def test_who_hangs_holds_up_himself_alone(tmp_path: Path) -> None:
    """R0-P1: ten commands of one sender hang, one of another runs at once"""
    command = script(tmp_path, "echo $SIPMOTE_CALL_ID >> $DIR/runs", "case $SIPMOTE_FROM in *pump*) sleep 300;; esac")
    with inbox("--exec", command) as running:
        send(running, [f"p{i}" for i in range(10)], "pump")
        until(lambda: len(lines(tmp_path / "runs")) == 4)
        send(running, ["b"], "boiler")
        until(lambda: "b" in lines(tmp_path / "runs"))
    assert sorted(lines(tmp_path / "runs")) == ["b", "p0", "p1", "p2", "p3"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_has_not_run_is_run_by_the_next_inbox_and_what_has_begun_marked(tmp_path: Path, number: int) -> None:
    """R0-P1: once more in the environment and as a line; the rest as if nothing had been"""
    db, runs = str(tmp_path / "inbox.db"), tmp_path / "runs"
    call_ids = [f"m{i}" for i in range(10)]
    begun = "echo $SIPMOTE_CALL_ID $SIPMOTE_AGAIN $(cat) >> $DIR/runs"
    with inbox("--exec", script(tmp_path, begun, "until [ -e $DIR/end ]; do sleep 0.1; done"), db=db) as running:
        send(running, call_ids)
        until(lambda: len(lines(runs)) == 4)
        until(lambda: shown_to(db) == 10)
        running.process.send_signal(number)
        running.process.wait()
        (tmp_path / "end").touch()  # for what a kill -9 leaves behind
    assert {line.split()[1] for line in lines(runs)} == {"0"}
    script(tmp_path, begun)
    with inbox("--exec", str(tmp_path / "command"), db=db) as running:
        again = [running.event("message") for _ in range(4)]
        until(lambda: not waiting(db))
    assert [(line["call_id"], line["again"], line["body"]) for line in again] == [
        (call_id, True, "Watson, come here.") for call_id in call_ids[:4]
    ]
    assert sorted(lines(runs)[4:]) == [f"{call_id} {int(call_id < 'm4')} Watson, come here." for call_id in call_ids]


def shown_to(db: str) -> int:
    with contextlib.closing(sqlite3.connect(db)) as opened:
        return int(opened.execute("SELECT shown FROM progress").fetchone()[0])


def waiting(db: str) -> int:
    with contextlib.closing(sqlite3.connect(db)) as opened:
        return int(opened.execute("SELECT count(*) FROM run").fetchone()[0])


def test_what_came_without_a_command_gets_none_later(tmp_path: Path) -> None:
    db, runs = str(tmp_path / "inbox.db"), tmp_path / "runs"
    with inbox(db=db) as running:
        send(running, ["without"])
    with inbox("--exec", script(tmp_path, "echo $SIPMOTE_CALL_ID >> $DIR/runs"), db=db) as running:
        send(running, ["with"])
        until(lambda: lines(runs))
    assert lines(runs) == ["with"]


def test_what_was_stored_and_never_shown_is_shown_at_the_next_start(tmp_path: Path) -> None:
    """R0-P1: once"""
    db = str(tmp_path / "inbox.db")
    with contextlib.closing(Store(db)) as store:  # as one that is killed between 200 and its line
        store.add([received(call_id=f"{i}", body=b"%d" % i) for i in range(500)])
    with inbox(db=db) as running:
        found = [running.event("message") for _ in range(500)]
        assert [(line["call_id"], line["again"]) for line in found] == [(f"{i}", True) for i in range(500)]
        send(running, ["new"])
    with inbox(db=db) as running:
        send(running, ["newer"])


def test_a_command_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    """R0-P1, R0-P13: nothing is lost where it can't be started"""
    command = Path(script(tmp_path, "echo $SIPMOTE_CALL_ID >> $DIR/runs"))
    with inbox("--exec", str(command)) as running:
        command.rename(tmp_path / "away")
        send(running, ["a"])
        warning = running.event("warning")
        assert "tried again" in warning["text"] and warning["call_id"] == "a"
        (tmp_path / "away").rename(command)
        until(lambda: lines(tmp_path / "runs") == ["a"])


def test_of_two_inboxes_on_one_file_one_runs_the_commands_and_the_other_goes_on(tmp_path: Path) -> None:
    """R0-P1: each message's once, by whichever inbox it came"""
    command, db = script(tmp_path, 'echo "$SIPMOTE_CALL_ID $SIPMOTE_AGAIN" >> $DIR/runs'), str(tmp_path / "db")
    with inbox("--exec", command, db=db) as one, inbox("--exec", command, db=db) as other:
        for number in range(10):
            send(one, [f"one{number}"])
            send(other, [f"other{number}"])
        until(lambda: len(lines(tmp_path / "runs")) >= 10)
        one.end()
        assert until(lambda: len(set(lines(tmp_path / "runs"))) >= 20)
    ran = [line.split()[0] for line in lines(tmp_path / "runs") if line.endswith(" 0")]
    assert len(ran) == len(set(ran))


def test_kills_under_load_lose_nothing_and_double_nothing() -> None:
    """R0-P1, R0-P2: a small `make soak`"""
    figures = soak(12)
    assert figures.is_good and figures.kills == 12 and figures.answered > 100, figures
