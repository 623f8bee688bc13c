"""The configuration that operators get: Kamailio before three inboxes with one store, and PostgreSQL, as they are."""

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.host_tools.desks import desk
from tests.host_tools.peers import sipmote
from tests.interop.front import DOMAIN, Boards, Front, inbox_at, password_of
from tests.interop.peers import free_port, wait_until
from tests.interop.postgresql import ENCODED, PASSWORD, Cluster, cluster  # noqa: F401

_BOARDS = [f"board{number}" for number in range(6)]


class Store:
    """What the inboxes have stored."""

    def __init__(self, url: str) -> None:
        self.url = url

    def times(self) -> Counter[str]:
        """Return how often each Call-ID is there."""
        with psycopg.connect(self.url) as db:
            return Counter(call_id for (call_id,) in db.execute("SELECT call_id FROM message"))


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Store:  # noqa: F811
    return Store(cluster.url(cluster.database()))


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, store: Store) -> Iterator[Front]:  # noqa: F811
    folder = tmp_path_factory.mktemp("front")
    ports = [free_port() for _ in range(3)]
    options = [("--db", store.url, "--name", f"inbox{port}", "--trust-proxy", "127.0.0.1") for port in ports]
    inboxes = [inbox_at(folder, port, *each) for port, each in zip(ports, options, strict=True)]
    front = Front(folder, cluster, inboxes, ports)
    front.make_tables("desk", *_BOARDS)
    with front.running():
        yield front


@pytest.fixture
def boards(front: Front, store: Store) -> Iterator[Boards]:
    """Boards under load; what was taken from them is there once."""
    boards = Boards(front, _BOARDS)
    try:
        boards.run(0.5)
        yield boards
        boards.drain()
        times = store.times()
        assert boards.taken and {times[call_id] for call_id in boards.taken} == {1}
        assert len(times) == sum(times.values())
    finally:
        boards.close()


def test_an_inbox_that_is_killed_costs_nothing_and_is_back_by_itself(front: Front, boards: Boards) -> None:
    """R0-P1: no board waits for longer than the proxy does for one inbox, and its probe finds the inbox again"""
    front.inboxes[0].end(signal.SIGKILL)
    wait_until(lambda: boards.run(0.2) or front.active() == 2, front.said)
    before = len(boards.taken)
    boards.run(0.5)
    assert len(boards.taken) > before and boards.put_off == 0
    front.inboxes[0].start(boards.turn)
    wait_until(lambda: boards.run(0.2) or front.active() == 3, front.said)


def test_all_inboxes_away_is_a_reason_to_come_back(front: Front, boards: Boards) -> None:
    for inbox in front.inboxes:
        inbox.end(signal.SIGKILL)
    wait_until(lambda: boards.run(0.2) or front.asked("OPTIONS", "desk") == 503, front.said)
    wait_until(lambda: boards.turn() or boards.put_off, front.said)
    for inbox in front.inboxes:
        inbox.start(boards.turn)


def test_a_restart_of_the_database_costs_nothing(front: Front, boards: Boards) -> None:
    """Passwords can't be looked at meanwhile: that is 503, and no 407 or 403, by which a board would lose its alert."""
    front.cluster.stop()
    wait_until(lambda: boards.turn() or boards.put_off, front.said)
    front.cluster.start()


def test_a_board_registers_over_tls_and_hears_the_desk(front: Front) -> None:
    place = ["--proxy", f"sips:127.0.0.1:{front.tls_port}", "--tls-ca", str(front.ca)]
    with front.user("board0", *place) as board:
        board.wait_for(event="registered")
        for user, code, status in (("desk", 0, 200), ("board1", 4, 403)):
            assert front.sent(user, "board0", "limit 75") == (code, status), front.said()
        assert board.wait_for(event="message")["body"] == "limit 75"
    assert front.sent("desk", "board0", "limit 75") == (4, 480)


def test_a_board_over_udp_keeps_its_flow(front: Front) -> None:
    with front.user("board0", "--proxy", f"sip:127.0.0.1:{front.port}") as board:
        board.wait_for(event="registered")
        assert front.sent("desk", "board0", "limit 75") == (0, 200), front.said()
        assert board.wait_for(event="message")["body"] == "limit 75"


def test_a_board_that_registers_is_known_to_the_desk(front: Front, tmp_path: Path) -> None:
    """And what waits for it goes out, through Kamailio, by where it has registered"""
    url = f"postgresql://kamailio:secret@127.0.0.1:{front.cluster.port}/kamailio"
    proxy = f"sip:127.0.0.1:{front.port}"
    account = ["--aor", f"sip:desk@{DOMAIN}", "--proxy", proxy, "--user", "desk"]
    environment = {"SIPMOTE_PASSWORD": password_of("desk")}
    aor = f"sip:board3@{DOMAIN}"
    with front.user("board3", "--proxy", proxy) as board:
        board.wait_for(event="registered")
        options = ("--domain", DOMAIN, "--registrar", url, *account)
        with desk(tmp_path, *options, environment=environment) as running:
            known = running.until("/api/boards", lambda found: found["boards"])["boards"][0]
            assert known["aor"] == aor and known["heard_by"] == "registration"
            assert known["proof"]["level"] == "none" and known["state"] == "alive"
            running.act(f"/api/boards/{aor}/messages", {"text": "limit 75"})
            assert board.wait_for(event="message")["body"] == "limit 75"
            found = running.until(f"/api/boards/{aor}", lambda found: found["replies"][0]["ended_at"])
            assert found["replies"][0]["state"] == "delivered"


def test_nothing_is_passed_on_for_strangers(front: Front) -> None:
    """No password, another's name, another domain, a Route to elsewhere, another method, too long"""
    for expected, question in (
        (407, ("MESSAGE", "desk")),
        (407, ("MESSAGE", "board0")),
        (403, ("MESSAGE", "desk", "elsewhere.test")),
        (403, ("MESSAGE", "desk", DOMAIN, "Route: <sip:192.0.2.1;lr>")),
        (405, ("INVITE", "desk")),
        (405, ("SUBSCRIBE", "board0")),
        (200, ("OPTIONS", "probe")),
    ):
        assert front.asked(*question) == expected, question
    assert front.asked("MESSAGE", "desk", body="x" * 17000) == 513
    assert front.sent("board1", "desk", "hello", password="wrong") == (4, 407)
    assert front.sent("board1", "desk", "hello", sender="board2") == (4, 403)


def test_inboxes_know_from_kamailio_who_has_logged_in(front: Front, store: Store) -> None:
    """What he says himself of that is taken away"""
    forged = ("--header", f"P-Asserted-Identity: <sip:board2@{DOMAIN}>")
    assert front.sent("board1", "desk", "it is me", *forged) == (0, 200)
    with psycopg.connect(store.url) as db:
        found = db.execute('SELECT "user" FROM message WHERE body = %s', (b"it is me",)).fetchall()
    assert found == [(f"board1@{DOMAIN}",)]


def test_doctor_looks_at_a_database_and_never_shows_its_password(cluster: Cluster) -> None:  # noqa: F811
    """R0-P17"""
    name = cluster.database()
    assert _found(cluster.url(name))["database"] == "failed"  # no inbox has made its tables
    with contextlib.closing(cluster.connect(name)) as db:
        db.execute("CREATE TABLE message (id integer)")
    wanted = {"database": "ok", "clock": "ok", "work": "failed", "disk": "not_tried"}
    assert _found(cluster.url(name)) == wanted
    with psycopg.connect(cluster.url(name), application_name="sipmote"):
        assert _found(cluster.url(name)) == {**wanted, "work": "ok"}
    for wrong in (cluster.url(name, password="wr0ng"), cluster.url(name, port=free_port()), cluster.url("nowhere")):
        assert _found(wrong) == {"database": "failed"}


def _found(url: str) -> dict[str, str]:
    code, out, err = sipmote("doctor", "--db", url, "--json")
    findings = {line["about"]: line["state"] for line in map(json.loads, out.splitlines())}
    assert PASSWORD not in out + err and ENCODED not in out + err and "wr0ng" not in out + err, out + err
    assert code == ("failed" in findings.values()), out + err
    return findings
