"""--webhook: each message is posted until it is taken, whatever ends us meanwhile."""

import hashlib
import hmac
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from sipmote.inbox.orphans import Orphans
from sipmote.inbox.runs import Runs
from sipmote.inbox.store import Store
from tests.host_tools.peers import PATIENCE, inbox, message, sipmote
from tests.host_tools.test_store import received


class Hook(ThreadingHTTPServer):
    """A server that answers as it is told, 200 when nobody says anything else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: Queue[tuple[dict[str, Any], str, str]] = Queue()  # what, its signature, the path
        self.answers: list[int] = []

    def next(self) -> tuple[dict[str, Any], str, str]:
        return self.came.get(timeout=PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = hmac.new(b"between us", body, hashlib.sha256).hexdigest()
        proof = {None: "none", wanted: "good"}.get(self.headers["X-Sipmote-Signature"], "bad")
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.came.put((json.loads(body), proof, self.path))
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_message_is_posted_again_until_it_is_taken_and_says_so(hook: Hook, tmp_path: Path) -> None:
    """Beside --exec, of the same queue; a redirect leads nowhere"""
    hook.answers = [500, 200]
    url = f"http://127.0.0.1:{hook.server_port}/alerts?key=secret"
    environment = {"SIPMOTE_WEBHOOK_SECRET": "between us"}
    with inbox("--webhook", url, "--exec", f"tee {tmp_path / 'ran'}", environment=environment) as running:
        with running.udp() as sock:
            sock.send(message("a", b"too hot"))
            assert sock.recv(4096).startswith(b"SIP/2.0 200")
        first, second = hook.next(), hook.next()
        assert running.event("message")["call_id"] == "a"
        told = running.event("warning")["text"]
    assert told == "--webhook http://127.0.0.1: answered 500; next attempt in 2 s" and "secret" not in told
    for posted, proof, path in (first, second):
        assert posted["body"] == "too hot" and proof == "good" and path == "/alerts?key=secret"
    assert not first[0]["again"] and second[0]["again"] and first[0]["id"] == second[0]["id"]
    assert (tmp_path / "ran").read_bytes() == b"too hot"


def test_what_is_refused_for_good_is_told_and_what_comes_next_is_posted(hook: Hook) -> None:
    hook.answers = [410, 302]
    with inbox("--webhook", f"http://127.0.0.1:{hook.server_port}/") as running, running.udp() as sock:
        for call_id in ("a", "b"):
            sock.send(message(call_id, call_id.encode()))
            assert sock.recv(4096).startswith(b"SIP/2.0 200")
            assert hook.next()[0]["body"] == call_id
            assert running.event("message")["call_id"] == call_id
            text = running.event("warning")["text"]
            assert text.endswith(
                ": answered 410: given up" if call_id == "a" else ": answered 302; next attempt in 2 s"
            )


def test_an_inbox_that_was_killed_while_it_posted_posts_again(hook: Hook, tmp_path: Path) -> None:
    db = str(tmp_path / "inbox.db")
    options = ("--webhook", f"http://127.0.0.1:{hook.server_port}/")
    hook.answers = [500]
    with inbox(*options, db=db) as running, running.udp() as sock:
        sock.send(message("a", b"too hot"))
        assert sock.recv(4096).startswith(b"SIP/2.0 200")
        assert not hook.next()[0]["again"]
        running.end(signal.SIGKILL)
    with inbox(*options, db=db):
        posted, proof, _ = hook.next()
        assert posted["call_id"] == "a" and posted["again"] and proof == "none"
    assert hook.came.empty()


def test_what_waits_for_a_url_that_is_not_named_again_is_told_and_kept_for_a_week(hook: Hook, tmp_path: Path) -> None:
    """A mistyped URL costs no queue"""
    db = str(tmp_path / "inbox.db")
    url = f"http://127.0.0.1:{hook.server_port}/secret"
    told = "--webhook http://127.0.0.1: 1 message waits for it, but no inbox is given it: give it again by "
    hook.answers = [500]
    with inbox("--webhook", url, db=db) as running, running.udp() as sock:
        sock.send(message("a", b"fire"))
        hook.next()
    with inbox("--webhook", url + "x", db=db) as mistyped:
        assert mistyped.event("message")["again"]
        assert mistyped.event("warning")["text"].startswith(told)
    with closing(sqlite3.connect(db)) as kept:
        assert len(kept.execute("SELECT since FROM orphan").fetchall()) == 1
    with inbox("--webhook", url, db=db):
        assert hook.next()[0]["body"] == "fire"
    with closing(sqlite3.connect(db)) as kept:
        assert kept.execute("SELECT since FROM orphan").fetchall() == []


def test_what_nobody_is_given_goes_a_week_later_and_never_while_another_inbox_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = (Store(str(tmp_path / "inbox.db")) for _ in range(2))
    told: list[str] = []
    runs = Runs(other, "https://example.org/secret")
    store.add([received(), received(call_id="b")], [Runs(store, "https://example.org/secret").add])
    now = time.time()
    assert runs.begin()
    Orphans(store, [], told.append).look()
    assert told == []
    runs.close()
    for days in (0, 6.9, 7.1, 8):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86400)
        Orphans(store, ["exec"], told.append).look()
    given = [text.partition("for it")[2][:11] for text in told]
    assert given == [", but no in", ", but no in", " no longer:"] and "secret" not in str(told)
    assert store.db.query("SELECT 1 FROM run UNION ALL SELECT 1 FROM orphan") == []
    store.close()
    other.close()


def test_what_is_no_url_is_told() -> None:
    code, _, told = sipmote("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--webhook", "ftp://a")
    assert code == 1 and "http://HOST/... or https://HOST/... was expected" in told
