"""A monitor that posts what boards log to a desk: from a cable to the page's API, and what a desk can't do to it."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import unquote

import pytest

from sipmote.__main__ import main
from sipmote.desk import log
from sipmote.link import desk as link_desk
from sipmote.link.board_events import BoardEvents, log_event
from sipmote.link.desk import Desk
from sipmote.link.frames import Record, encode_record
from tests.host_tools.desks import TOKEN, desk
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.peers import PATIENCE
from tests.host_tools.virtual import started
from tests.interop.peers import free_port, wait_until
from tests.tools import Tool

BOILER = "sip:boiler@127.0.0.1"
PROGRAM = "from mote import Mote\nMote().run()\n"


def test_what_a_board_logs_on_its_cable_is_at_the_desk(tmp_path: Path) -> None:
    """Whatever is shown of it; who the board is it has said itself"""
    settings = {"aor": BOILER, "to": "sip:desk@127.0.0.1:9", "bind": "127.0.0.1:0"}
    with desk(tmp_path) as running, started(tmp_path / "flash", PROGRAM, settings) as (port, monitor):
        monitor.stop()
        options = ("--desk", running.url, "--desk-token", str(tmp_path / "token"), "--level", "error")
        with Tool("monitor", "--port", port, "--reset", *options) as monitor:
            found = running.until(f"/api/boards/{BOILER}/log", lambda found: found["records"])["records"][-1]
            assert monitor.interrupt() == 0
            assert [line["event"] for line in monitor.lines if line["event"] != "console"] == ["ready"]
        assert (found["event"], found["level"], found["fields"]["aor"]) == ("boot", "info", BOILER)
        assert abs(found["at"] - time.time()) < 60
        board = running.board(BOILER)
        assert (board["heard_by"], board["state"], board["transport"]) == ("log", "alive", "serial")


def test_another_board_at_the_same_port_is_not_taken_for_the_one_before(fake: "Fake", tmp_path: Path) -> None:
    token, link = tmp_path / "token", tmp_path / "port"
    token.write_text(TOKEN)
    token.chmod(0o600)
    options = ("--desk", fake.url, "--desk-token", str(token))
    with FakeBoard() as first, FakeBoard() as second:
        link.symlink_to(first.port)
        with Tool("monitor", "--port", str(link), *options) as monitor:
            monitor.wait_for(event="ready")
            first.write(encode_record(Record(0, 1, None, 0, 1, "boot", {"aor": BOILER})))
            assert fake.next()[0] == BOILER
            first.pull_cable()
            monitor.wait_for(event="port_gone")
            link.unlink()
            link.symlink_to(second.port)
            monitor.wait_for(event="port_back")
            second.write(encode_record(Record(0, 1, None, 0, 1, "tick", {})))
            monitor.wait_for(event="warning", text=lambda text: text.startswith(f"{link}: the desk doesn't get"))
            assert monitor.interrupt() == 0
    assert fake.came.empty()


class Fake(ThreadingHTTPServer):
    """A desk that answers as it is told, 200 when nobody says anything else."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.came: Queue[tuple[str, list[dict[str, Any]]]] = Queue()  # whose, records
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def next(self) -> tuple[str, list[dict[str, Any]]]:
        return self.came.get(timeout=PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Authorization"] == f"Bearer {TOKEN}" and len(body) <= log.LARGEST
        log.records(json.loads(body))  # as a desk looks at them
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.came.put((unquote(self.path.split("/")[3]), json.loads(body)["records"]))
        said = json.dumps({"error": f"said {status}"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(link_desk, "_EVERY_S", 0.02)
    with Fake() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def event(number: int, **fields: Any) -> dict[str, Any]:
    return log_event(Record(number, 1, None, 0, 1, f"event{number}", fields), 0.0)


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [int(one["event"].removeprefix("event")) for one in records]


def test_while_a_desk_is_away_the_newest_records_wait(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is away is one line, that it is back another, with how many are lost"""
    monkeypatch.setattr(link_desk, "_MOST_WAITING", 3)
    fake.answers = [503, 503, 503]
    teller = Desk(fake.url, TOKEN, BOILER)
    for first in (0, 5):
        with teller._changed:  # the thread takes nothing meanwhile
            for number in range(first, first + 5):
                teller.add(event(number), None, "port", 0.0)
        for _ in range(1 if first else 4):
            assert numbers(fake.next()[1]) == [first + 2, first + 3, first + 4]
        wait_until(lambda: not (teller._under_way or teller._waiting))
    teller.close()
    away, back, slow = teller.news()
    lost = "2 log records were too many to wait for it, and are not there"
    assert away == f"the desk {fake.url} is away: said 503; the newest 3 log records wait for it"
    assert back == f"the desk {fake.url} is there again; {lost}" and slow == f"the desk {fake.url}: {lost}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:PORT", "https://a..b:PORT"])
def test_what_has_not_reached_the_desk_in_the_end_is_told(url: str) -> None:
    teller = Desk(url.replace("PORT", str(free_port())), TOKEN, BOILER)
    teller.add(event(0), None, "port", 0.0)
    teller.close()
    away, left = teller.news()
    assert " is away: " in away and left == "1 log records have not reached the desk"


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "with --desk-token"), (404, "as new as this sipmote"), (307, "name the desk itself")]
)
def test_a_desk_that_will_never_take_it_is_told_once_and_left_alone(fake: Fake, status: int, remedy: str) -> None:
    """A redirect doesn't get the token"""
    fake.answers = [status] * 9
    teller = Desk(fake.url, TOKEN, BOILER)
    teller.add(event(0), None, "port", 0.0)
    teller._thread.join(PATIENCE)
    for number in range(1, 9):
        teller.add(event(number), None, "port", 0.0)
    teller.close()
    [said] = teller.news()
    assert said.startswith(f"the desk {fake.url} gets no log any more: said {status}; ") and remedy in said
    assert fake.came.qsize() == 1


def test_each_board_has_its_own_requests_and_who_has_not_said_who_it_is_none(fake: Fake) -> None:
    """What waits at the end is posted, also where one request has no room for it; to a URL as a browser shows it"""
    fake.answers = [400]
    teller = Desk(f"{fake.url}/#/boards", TOKEN)
    long = "x" * 4000
    teller.add(event(0), None, "/dev/a", 0.0)
    teller.add(event(1), None, "/dev/a", 0.0)
    with teller._changed:  # the thread takes nothing meanwhile
        for number in range(20):
            teller.add(event(number, x=long), f"{BOILER};transport=tcp", "/dev/b", float(number))
            teller.add(event(number), "sip:pump@127.0.0.1", "/dev/c", float(number))
    teller.close()
    posted = [fake.came.get_nowait() for _ in range(3)]
    assert [aor for aor, _ in posted] == [BOILER, "sip:pump@127.0.0.1", BOILER]
    assert numbers(posted[0][1] + posted[2][1]) == numbers(posted[1][1]) == list(range(20))
    assert [one["at"] for one in posted[1][1]] == list(range(20))
    nameless, refused = teller.news()
    assert nameless.startswith("/dev/a: the desk doesn't get the log of a board that hasn't said who it is")
    assert refused == f"the desk {fake.url} refuses log records: said 400"


def test_whatever_a_board_logs_is_posted_as_a_desk_takes_it(fake: Fake) -> None:
    strange = {"n": 2**63 - 1, "b": b"\0\xff", "deep": {"a": {"b": [[None]]}}, "f": float("nan"), "\0": "\u202e"}
    boiler = BoardEvents("port")
    frames = [Record(n, 1, None, 0, 1, name, strange) for n, name in enumerate(("a\0\xa0", "", "y" * 99))]
    frames.append(Record(9, 1, None, 0, 1, "long", {"x": '"\\' * 700, "y": "\x01" * 700}))
    events = boiler.feed(b"".join(encode_record(frame) for frame in frames), 0.0, 0.0)
    assert len(events) == 5 and boiler.aor is None
    teller = Desk(fake.url, TOKEN, BOILER)
    for each in events:
        teller.add(each, "no address", "port", 1.0)
    teller.close()
    _, records = fake.next()
    assert [one["event"] for one in records] == ["a\\x00\\xa0", "?", "y" * 64, "long"]
    assert list(records[3]["fields"]) == ["cut"] and records[0]["fields"]["b"] == "\0\\xff"


def test_a_name_goes_with_its_board_and_not_with_a_port() -> None:
    board = BoardEvents("port")
    board.feed(encode_record(Record(0, 1, None, 0, 1, "boot", {"aor": BOILER})), 0.0, 0.0)
    assert (board.aor, board.name) == (BOILER, "boiler")
    board.feed(encode_record(Record(1, 1, None, 0, 1, "other", {"aor": "sip:x@y"})), 0.0, 0.0)
    assert board.aor == BOILER


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--desk", "http://127.0.0.1:1"], "--desk needs --desk-token FILE"),
        (["--desk-token", "x"], "--desk-token needs --desk URL"),
        (["--desk", "http://127.0.0.1:1", "--desk-token", "TOKEN", "--since", "1h", "--db", "x"], "leave --desk out"),
        (["--desk", "http://127.0.0.1:1", "--desk-token", "TOKEN", "--aor", "sip:a@b", "--all"], "who one board is"),
        (["--desk", "http://127.0.0.1:1", "--desk-token", "/nonexistent"], "--desk-token /nonexistent"),
        (["--desk", "http://192.0.2.1:1", "--desk-token", "TOKEN"], "the token would go there in clear"),
        (["--desk", "http://[::1", "--desk-token", "TOKEN"], "http://HOST:PORT was expected"),
        (["--desk", "127.0.0.1:80", "--desk-token", "TOKEN"], "http://HOST:PORT was expected"),
        (["--desk", "http://127.0.0.1:99999", "--desk-token", "TOKEN"], "http://HOST:PORT was expected"),
        (["--desk", "https://127.0.0.1:1", "--desk-token", "TOKEN", "--tls-ca", "TOKEN"], "--tls-ca "),
        (["--desk", "http://127.0.0.1:1", "--desk-token", "TOKEN", "--aor", "boiler"], "--aor boiler: an address"),
    ],
)
def test_a_desk_that_can_not_be_is_told_with_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    options = [str(token) if option == "TOKEN" else option for option in options]
    where = [] if "--all" in options or "--since" in options else ["--port", "none"]
    assert main(["monitor", *where, *options]) == 1
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
