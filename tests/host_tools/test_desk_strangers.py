"""What somebody can't do to boards and to people by writing another's name into From; the order of what is written."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sipmote.agent.message import Message
from sipmote.inbox.asserted import asserted
from sipmote.inbox.boards import Boards
from sipmote.inbox.received import Received
from sipmote.inbox.store import Store
from sipmote.users import write_user
from tests.host_tools.desks import BEAT, desk
from tests.host_tools.peers import inbox, message, sipmote
from tests.host_tools.test_desk import BOILER, alert, answered
from tests.interop.peers import wait_until
from tests.sip_peer import Peer


def test_an_escalation_goes_where_its_uri_leads_whoever_is_heard_by_that_name(tmp_path: Path) -> None:
    night = "sip:night@desk.invalid"
    options = ("--escalate", night, "--escalate-after", "1")
    with Peer(night.encode()) as stranger, Peer(BOILER.encode()) as boiler, desk(tmp_path, *options) as running:
        stranger.ask(running.running.ports["udp"], BEAT, b"every=60")
        running.until("/api/boards", lambda found: found["boards"])
        path = f"/api/messages/{alert(running, boiler)['id']}"
        assert running.until(path, lambda found: found["escalated"])["escalated"][0]["to"] == night
        with closing(sqlite3.connect(tmp_path / "inbox.db")) as db:
            tried = "SELECT reason FROM reply WHERE tries = 1 AND state = 'waiting'"
            wait_until(lambda: db.execute(tried).fetchall())
        assert stranger.silent()


def test_an_escalation_that_nobody_takes_is_told(tmp_path: Path) -> None:
    with Peer(b"sip:night@127.0.0.1") as night, Peer(BOILER.encode()) as boiler:
        target = f"sip:night@127.0.0.1:{night.port}"
        with desk(tmp_path, "--escalate", target, "--escalate-after", "1") as running:
            alert(running, boiler)
            running.running.event("message")
            night.answer(404)
            said = running.running.event("warning")["text"]
            assert said.startswith(f"--escalate {target}: can't be told of what nobody has acknowledged: ")


def test_what_is_written_to_a_board_reaches_it_in_that_order(tmp_path: Path) -> None:
    """Though the board was away when the first was written, and is there again, unheard, for the second"""
    with desk(tmp_path) as running:
        udp = running.running.ports["udp"]
        with Peer(BOILER.encode()) as boiler:
            alert(running, boiler)
            port = boiler.port
        path = f"/api/boards/{BOILER}"
        running.act(f"{path}/messages", {"text": "relay on"})
        running.until(path, lambda found: found["replies"][0]["tries"])
        with Peer(BOILER.encode(), port=port) as boiler:
            running.act(f"{path}/messages", {"text": "relay off"})
            for text in (b"relay on", b"relay off"):
                request = boiler.receive()[0]
                assert request.body == text
                boiler.put(answered(request), udp)
            running.until(path, lambda found: all(one["state"] == "delivered" for one in found["replies"]))


def received(nth: int, source: str, user: str | None) -> Received:
    one = Received(
        call_id=f"c{nth}",
        cseq=1,
        sender=BOILER,
        to="sip:desk@127.0.0.1",
        subject=None,
        content_type="text/plain",
        body=b"too hot",
        date=None,
        received=time.time(),
        expired=False,
        stale=False,
        transport="udp",
        source=source,
        user=user,
    )
    one.open = True
    return one


def test_where_a_board_is_nobody_says_in_its_name_who_proves_less_or_repeats_it() -> None:
    """Nor that it lives; what he wrote is counted as what may be an alert"""
    store = Store(":memory:")
    boards = Boards(store)
    proved = received(1, "192.0.2.1:5060", "boiler")
    replayed = received(1, "192.0.2.66:5060", "boiler")
    forged = received(2, "192.0.2.66:5060", None)
    for batch in ([proved], [replayed], [forged]):
        store.add(batch, [boards.add])
    boards.beat([(forged, {"every": 2_000_000_000})])
    boards.beat([(proved, {"every": 60}), (forged, {"every": 2_000_000_000})])
    [row] = store.db.rows("SELECT * FROM board")
    assert replayed.duplicate and row["last"] == forged.id and row["messages"] == row["open"] == 2
    assert (row["source"], row["proof"], row["every"], row["heard"]) == (proved.source, "login", 60, proved.received)
    store.db.execute("UPDATE board SET heard = heard - 90000, proved = proved - 90000")
    boards.beat([(forged, {})])
    assert store.db.query("SELECT source, proof FROM board") == [(forged.source, "none")]
    store.close()


def test_an_inbox_without_a_page_keeps_account_for_one_that_has_it(tmp_path: Path) -> None:
    """Else its alarms would be nobody's to acknowledge, and its boards unknown"""
    db = str(tmp_path / "inbox.db")
    with Peer(BOILER.encode()) as boiler:
        with desk(tmp_path, db=db) as running:
            alert(running, boiler)
        with inbox(db=db) as plain, Peer(b"sip:door@127.0.0.1") as door:
            assert door.ask(plain.ports["udp"], b"text/plain", b"fire").status == 200
        with desk(tmp_path, db=db) as running:
            assert running.board("sip:door@127.0.0.1")["open"] == 1
            assert running.get("/api/messages?open=1")["messages"][0]["body"] == "fire"


def test_a_trusted_proxy_is_known_however_its_address_is_spelled() -> None:
    """RFC 4291 section 2.2; what can be no source is refused, or nobody would ever be believed, without a word"""
    with inbox("--trust-proxy", "0:0:0:0:0:0:0:1", host="::1") as running, running.udp() as proxy:
        proxy.send(message("1", b"fire", [f"P-Asserted-Identity: <{BOILER}>"], sender=BOILER))
        assert running.event("message")["user"] == BOILER.removeprefix("sip:")
    for wrong in ("[::1]", "127.0.0.1:5060", "::ffff:127.0.0.1", "fe80::1%lo"):
        code, _, said = sipmote("inbox", "--db", ":memory:", "--trust-proxy", wrong)
        assert code == 1 and f"--trust-proxy {wrong}: an IP address was expected" in said


def test_who_a_trusted_proxy_names_has_logged_in_and_who_names_himself_has_not(tmp_path: Path) -> None:
    """RFC 3325; where the inbox asks for passwords itself, what the proxy brings has shown one already"""
    named = b"P-Asserted-Identity: <%s>\r\n" % BOILER.encode()
    users = str(tmp_path / "users")
    write_user(users, "alice", "r", "secret", [b"SHA-256"])
    with Peer(BOILER.encode()) as stranger, Peer(BOILER.encode(), "127.0.0.2") as proxy:
        with desk(tmp_path, "--trust-proxy", "127.0.0.2") as running:
            udp = running.running.ports["udp"]
            assert proxy.ask(udp, b"text/plain", b"fire", named).status == 200
            assert proxy.ask(udp, BEAT, b"every=60", named).status == 200
            assert stranger.ask(udp, b"text/plain", b"forged", named).status == 200
            found = running.until("/api/messages", lambda found: len(found["messages"]) == 2)["messages"]
            assert [one["proof"]["level"] for one in found] == ["none", "login"]
            known = running.until(f"/api/boards/{BOILER}", lambda found: found["every"] == 60)
            assert known["proof"] == {"level": "login", "by": BOILER.removeprefix("sip:")}
            assert known["source"].startswith("127.0.0.2:")
        with inbox("--users", users, "--trust-proxy", "127.0.0.2") as running:
            udp = running.ports["udp"]
            assert proxy.ask(udp, b"text/plain", b"fire", named).status == 200
            assert stranger.ask(udp, b"text/plain", b"forged", named).status == 401
            assert proxy.ask(udp, b"text/plain", b"unnamed").status == 401
            assert running.event("message")["user"] == BOILER.removeprefix("sip:")


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        (b'P-Asserted-Identity: "Boiler" <sip:bo%69ler@Example.org;x=y>, <tel:+15551234>\r\n', b"boiler@example.org"),
        (b"P-Asserted-Identity: sips:boiler@example.org\r\nP-Asserted-Identity: tel:+1\r\n", b"boiler@example.org"),
        (b"P-Asserted-Identity: <sip:a@example.org>, <sip:b@example.org>\r\n", None),
        (b"P-Asserted-Identity: <tel:+15551234>\r\n", None),
        (b"P-Asserted-Identity: <sip:example.org>\r\n", None),
        (b"P-Asserted-Identity: <sip:a@example.org\r\n", None),
        (b"P-Preferred-Identity: <sip:a@example.org>\r\n", None),
    ],
)
def test_one_sip_uri_is_somebody(fields: bytes, user: bytes | None) -> None:
    message = Message(b"MESSAGE sip:desk@example.org SIP/2.0\r\n%sContent-Length: 0\r\n\r\n" % fields)
    assert asserted(message, (b"UDP", b"192.0.2.1", 5060), ("192.0.2.1",)) == user
    assert asserted(message, (b"UDP", b"192.0.2.2", 5060), ("192.0.2.1",)) is None
