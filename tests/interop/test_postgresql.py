"""Inboxes that share a PostgreSQL: the same tables as in a file, one copy of each message, one of them at work."""

import contextlib
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sipmote.desk.log import records
from sipmote.desk.views import log
from sipmote.errors import ToolError
from sipmote.inbox import postgresql, schema
from sipmote.inbox.boards import Boards
from sipmote.inbox.database import Lost, StoreError
from sipmote.inbox.retention import Keep, Retention
from sipmote.inbox.runs import Runs
from sipmote.inbox.schema import STEPS
from sipmote.inbox.store import Store
from tests.host_tools.peers import RunningInbox, inbox, message, sipmote
from tests.host_tools.test_store import received
from tests.interop.peers import wait_until
from tests.interop.postgresql import PASSWORD, Cluster, cluster

__all__ = ["cluster"]
_COUNT = 120
_COLUMNS = "call_id, cseq, sender, recipient, content_type, body, received, transport, source, twin, nth"
_ROW = "'untold', 1, 's', 'r', 'text/plain', 'x', 1, 'udp', 's:1', 1, 0"


@contextlib.contextmanager
def stores(url: str, *names: str) -> Iterator[list[Store]]:
    opened = [Store(url, name=name) for name in names]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


@pytest.mark.parametrize("version", [0, 12, len(STEPS) - 1])
def test_tables_and_columns_are_those_of_a_file(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """R0-P1: also where an older sipmote has made them, with all that it has kept"""
    name = cluster.database()
    with contextlib.closing(cluster.connect(name)) as server:
        if version:
            monkeypatch.setattr(schema, "STEPS", STEPS[:version])
            server.execute(schema.postgresql_steps(0).encode())
            monkeypatch.undo()
            server.execute(f"UPDATE sipmote SET version = {version}; INSERT INTO message ({_COLUMNS}) VALUES ({_ROW})")
        with stores(cluster.url(name), "a") as (one,):
            assert one.db.query("SELECT call_id FROM message") == [("untold",)] * bool(version)
            twin = received(call_id="next")
            one.add([twin])
            assert twin.id == 1 + bool(version)
        query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        found = {(table, column) for table, column in server.execute(query)}
    with contextlib.closing(Store(":memory:")) as store:
        tables = store.db.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        columns = {(table, row[1]) for (table,) in tables for row in store.db.query(f"PRAGMA table_info({table})")}
    assert found - {("sipmote", "version")} == columns


def test_a_twin_that_comes_by_another_inbox_is_one_and_each_shows_what_it_has_taken(cluster: Cluster) -> None:
    """R0-P1, R0-P2"""
    url = cluster.url(cluster.database())
    with stores(url, "a", "b") as (one, other):
        batch = [received(), received(cseq=3), received(call_id="nul", subject="a\0b", stale=True)]
        one.add(batch[:2])
        one.add(batch[2:])
        twin, again = received(), received(call_id="own")
        other.add([twin, again])
        assert [each.duplicate for each in (*batch, twin, again)] == [False, False, False, True, False]
        assert twin.twin == batch[0].id and again.id > max(each.id for each in batch)
        one.shown(batch[1].id)
        one.flush()
    with stores(url, "a", "b") as (one, other):
        for store, call_ids in ((one, ["nul"]), (other, ["own"])):
            store.set_aside(False)
            found = []
            while (left := store.backlog(found[-1].id if found else 0)) is not None:
                found.append(left)
            assert [each.call_id for each in found] == call_ids and all(each.again for each in found)
        assert [each.call_id for each in one.earlier(5)] == ["1@192.0.2.7", "1@192.0.2.7"]
        assert one.instance() != other.instance()


def test_one_inbox_has_a_turn_until_its_connection_is_lost(cluster: Cluster) -> None:
    """R0-P1: and what was committed without its hearing of it is shown by it all the same"""
    name = cluster.database()
    with stores(cluster.url(name), "a", "b") as (one, other), contextlib.closing(cluster.connect(name)) as server:
        assert one.db.has_turn("exec") and one.db.has_turn("exec") and not other.db.has_turn("exec")
        one.add([received()])
        server.execute(f"INSERT INTO message ({_COLUMNS}, inbox) VALUES ({_ROW}, 'a')")
        before = one.generation
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            " GROUP BY pid HAVING count(*) = 2"  # its name, and its turn
        )
        wait_until(lambda: other.db.has_turn("exec"), lambda: "the other has no turn")
        one.add([received(call_id="next")])
        assert one.generation == before + 1 and one.edition == other.edition and not one.db.has_turn("exec")
        found = one.backlog(0)
        assert found and found.call_id == "untold" and one.backlog(found.id) is None


def test_a_server_that_says_nothing_any_more_is_left_and_tried_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R0-P1: whoever waits for an answer is asked to come back, and everybody else is not held up for long"""
    monkeypatch.setattr(postgresql, "_ANSWER_S", 0.3)
    with stores(cluster.url(cluster.database()), "a") as (one,):
        [(number,)] = one.db.query("SELECT pg_backend_pid()")
        os.kill(number, signal.SIGSTOP)
        try:
            with pytest.raises(Lost, match="doesn't answer"):
                one.db.query("SELECT 1")
            with pytest.raises(StoreError):
                one.add([received()])
        finally:
            os.kill(number, signal.SIGCONT)

        def is_stored() -> bool:
            with contextlib.suppress(StoreError):
                one.add([received()])
                return True
            return False

        wait_until(is_stored, lambda: "it isn't used any more")
        assert one.db.query("SELECT call_id, nth FROM message WHERE same IS NULL") == [("1@192.0.2.7", 0)]


def test_what_is_wrong_is_said_with_its_remedy_and_never_the_password(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R0-P13"""
    name = cluster.database()
    for url, words in (
        (cluster.url("nobodys"), "createdb"),
        (cluster.url(name, "secret"), "~/.pgpass"),
        (cluster.url(name, "p@secret"), "%40"),
        (cluster.url(name, "p/secret"), "%2F"),
        (cluster.url(name, port=1), "start it"),
    ):
        with pytest.raises(ToolError) as raised:
            Store(url, name="a")
        text = str(raised.value)
        assert words in text and "secret" not in text and PASSWORD not in text and "\n" not in text
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{cluster.port}:*:*:{PASSWORD.replace(':', chr(92) + ':')}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    url = cluster.url(name).replace("p%40ss%3Aw%2Frd%3F", "").replace(":@", "@")
    code, _, errors = sipmote("history", "--db", url)
    assert code == 1 and "no inbox's table" in errors and errors.count("\n") == 1
    monkeypatch.setattr(postgresql, "_NAME_S", 0.0)
    with stores(url, "a") as (store,):
        with pytest.raises(ToolError, match="--name"):
            Store(url, name="a")
        store.add([received(body=b"81 C"), received(call_id="2", body=b"82 C")])
        store.db.execute("UPDATE sipmote SET version = version + 1")
    code, out, errors = sipmote("history", "82", "--db", url)
    assert code == 1 and "newer" in errors
    with contextlib.closing(cluster.connect(name)) as server:
        server.execute("UPDATE sipmote SET version = %s", (len(STEPS),))
    code, out, errors = sipmote("history", "82", "--db", url)
    assert (code, errors) == (0, "") and "82 C" in out and "81 C" not in out


def test_a_boards_log_is_kept_whatever_is_in_it(cluster: Cluster) -> None:
    """A server refuses texts with a NUL, and a lone surrogate is none"""
    fields = {"a\0b": "\ud800", "n": 1}
    [record] = records({"records": [{"at": 1.5, "level": "info", "event": "boot", "fields": fields}]})
    with stores(cluster.url(cluster.database()), "a") as (one,):
        Boards(one).logged("sip:pump@board.invalid", [record] * 201)
        found = log(one.db, "sip:pump@board.invalid")["records"]
        assert len(found) == 200 and found[0] == {"at": 1.5, "level": "info", "event": "boot", "fields": fields}


def test_the_oldest_go_while_they_take_too_much_room(cluster: Cluster) -> None:
    """R0-P13: by what rows take, as the server's files don't shrink at once"""
    with stores(cluster.url(cluster.database()), "a") as (one,):
        batch = [received(call_id=f"{number}", body=b"x" * 1000) for number in range(500)]
        one.add(batch, [Runs(one, "exec").add])
        one.shown(batch[-1].id)
        one.flush()
        one.db.execute("DELETE FROM run WHERE id > ?", (batch[9].id,))
        most = one.db.octets() // 2
        retention = Retention(one, Keep(octets=most))
        while retention.step():
            pass
        left = [row[0] for row in one.db.query("SELECT call_id FROM message ORDER BY id")]
        assert left[:10] == [f"{number}" for number in range(10)] and 200 < len(left) < 300 and left[-1] == "499"
        assert one.db.octets() < 1.1 * most


class Load:
    """A sender that goes to the next inbox, and comes back, until each message has been taken."""

    def __init__(self, inboxes: list[RunningInbox]) -> None:
        self.taken = 0
        self.postponed = 0
        self.ports = [running.ports["udp"] for running in inboxes]
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            for number in range(_COUNT):
                attempt = 0
                while self._ask(sock, number, attempt) != 200:
                    attempt += 1
                    self.postponed += 1
                    threading.Event().wait(0.02)
                self.taken += 1

    def _ask(self, sock: socket.socket, number: int, attempt: int) -> int:
        wanted, branch = f"call{number}", f"z9hG4bK-{number}-{attempt}-"
        port = self.ports[(number + attempt) % len(self.ports)]
        try:
            sock.sendto(message(wanted, b"%d" % number, branch=branch, tag=f"{attempt}"), ("127.0.0.1", port))
            while True:
                answer = sock.recv(65535)
                if wanted.encode() + b"\r\n" in answer and branch.encode() in answer:
                    return int(answer.split()[1])
        except OSError:
            return 0

    def join(self) -> None:
        self._thread.join(60)
        assert self.taken == _COUNT


def test_a_restart_of_the_server_and_a_kill_of_an_inbox_lose_nothing_and_double_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    """R0-P1, R0-P2: under load, with a command that only one of them runs, and a second time only if it says so"""
    script = tmp_path / "command"
    script.write_text(f'#!/bin/sh\necho "$SIPMOTE_CALL_ID $SIPMOTE_AGAIN" >> {tmp_path}/runs\n')
    script.chmod(0o755)
    name = cluster.database()
    more: dict[str, Any] = {"db": cluster.url(name)}
    begin = partial(inbox, "--exec", str(script), **more)
    with begin("--name", "a") as one, begin("--name", "b") as other:
        load = Load([one, other])
        wait_until(lambda: load.taken > _COUNT // 4, lambda: f"{load.taken} before the restart")
        cluster.stop(signal.SIGQUIT)
        before = load.postponed
        wait_until(lambda: load.postponed > before + 1, lambda: "nobody was asked to come back")
        cluster.start()
        wait_until(lambda: load.taken > _COUNT // 2, lambda: f"{load.taken} after the restart")
        one.process.kill()
        del load.ports[0]
        load.join()
        with contextlib.closing(cluster.connect(name)) as server:
            wait_until(
                lambda: server.execute("SELECT count(*) FROM run").fetchall() == [(0,)],
                lambda: "something is left to be run",
            )
            rows = [row[0] for row in server.execute("SELECT call_id FROM message")]
        assert Counter(rows) == Counter(f"call{number}" for number in range(_COUNT))
        runs = (tmp_path / "runs").read_text().splitlines()
        assert {run.split()[0] for run in runs} == set(rows)
        assert max(Counter(run for run in runs if run.endswith(" 0")).values()) == 1
