"""The page's API: boards, messages, actions, live events; who may, and what strangers can't."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from sipmote.agent.message import Message
from sipmote.desk.api import Api
from sipmote.desk.openapi import document
from sipmote.users import write_user
from tests.host_tools.desks import BEAT, TOKEN, Desk, desk
from tests.host_tools.peers import inbox, message, sipmote
from tests.sip_peer import Peer

BOILER = "sip:boiler@127.0.0.1"


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    users = str(folder / "users")
    for name in ("alice", "bob"):
        write_user(users, name, "r", f"secret of {name}", [b"SHA-256"])
    with desk(folder, "--http-user", "alice", "--users", users) as found:
        yield found


@pytest.fixture
def one_desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as found:
        yield found


def alert(running: Desk, peer: Peer, body: bytes = b"too hot", fields: bytes = b"") -> dict[str, Any]:
    """Have a peer send an alert; returns the newest message."""
    response = peer.ask(running.running.ports["udp"], b"text/plain", body, fields)
    assert response.status == 200
    found: dict[str, Any] = running.get("/api/messages?limit=1")["messages"][0]
    assert found["body"] == body.decode()
    return found


def test_boards_are_known_by_their_alerts_and_heartbeats(one_desk: Desk) -> None:
    """What a heartbeat says is there, and the threshold that follows from it"""
    with Peer(BOILER.encode()) as boiler:
        first = alert(one_desk, boiler)
        board = one_desk.board(BOILER)
        assert board["state"] == "alive" and board["heard_by"] == "message" and board["every"] is None
        assert board["late_at"] == board["heard"] + 900 and board["gone_at"] == board["heard"] + 86400
        assert board["open"] == 1 and board["messages"] == 1 and board["last"]["id"] == first["id"]
        beat = b"every=60 up=3600 free=43210 rssi=-61 clock=ntp waiting=2"
        assert boiler.ask(one_desk.running.ports["udp"], BEAT, beat).status == 200
        board = one_desk.until(f"/api/boards/{BOILER}", lambda found: found["heard_by"] == "heartbeat")
        assert board["late_at"] == board["heard"] + 150 and board["gone_at"] == board["heard"] + 630
        told = {name: board[name] for name in ("free", "rssi", "clock", "uptime", "waiting", "messages")}
        assert told == {"free": 43210, "rssi": -61, "clock": "ntp", "uptime": 3600, "waiting": 2, "messages": 1}
    series = one_desk.get(f"/api/boards/{BOILER}/series?hours=1")
    assert [value for _, value in series["free"]] == [43210] and [value for _, value in series["rssi"]] == [-61]
    assert series["free"][0][0] == one_desk.board(BOILER)["heard"]  # not some time near it
    assert sum(count for _, count in series["alerts"]) == 1
    assert one_desk.get("/api/boards")["counts"] == {"alive": 1, "late": 0, "gone": 0, "open": 1}
    metrics = one_desk.get("/metrics")
    assert f'sipmote_board_heap_free_bytes{{board="{BOILER}"}} 43210\n' in metrics
    assert re.fullmatch(r'(?:(?:#.*|sipmote_\w+(?:\{(?:\w+="[^"\n]*",?)*\})? [0-9.e+-]+)\n)*', metrics)


def test_a_board_is_one_however_its_host_is_spelled(one_desk: Desk) -> None:
    """RFC 3261 section 19.1.4: scheme and host are compared without case, the user with it"""
    for name in (b"sip:boiler@Example.ORG", b"SIP:boiler@example.org", b"sip:Boiler@example.org"):
        with Peer(name) as peer:
            alert(one_desk, peer, name)
    found = {board["aor"]: board["messages"] for board in one_desk.get("/api/boards")["boards"]}
    assert found == {"sip:boiler@example.org": 2, "sip:Boiler@example.org": 1}


def test_of_two_who_acknowledge_the_first_is_who_did(one_desk: Desk) -> None:
    with Peer(BOILER.encode()) as boiler:
        number = alert(one_desk, boiler)["id"]
    assert one_desk.get("/api/messages?open=1")["messages"]
    seen = one_desk.act(f"/api/messages/{number}/acknowledgement", {})["acknowledged"]
    again = one_desk.act(f"/api/messages/{number}/acknowledgement", {})["acknowledged"]
    assert seen == again and seen["by"] == "the token"
    assert not one_desk.get("/api/messages?open=1")["messages"] and one_desk.board(BOILER)["open"] == 0


def test_many_are_acknowledged_at_once(one_desk: Desk) -> None:
    """What somebody has acknowledged before stays his, and what has been deleted is no error"""
    with Peer(BOILER.encode()) as boiler:
        numbers = [alert(one_desk, boiler)["id"] for _ in range(3)]
    one_desk.act(f"/api/messages/{numbers[0]}/acknowledgement", {})
    done = one_desk.act("/api/acknowledgements", {"messages": [*numbers, numbers[1], 10**9]})
    assert sorted(done["acknowledged"]) == numbers[1:] and one_desk.board(BOILER)["open"] == 0
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for wrong in ({}, {"messages": []}, {"messages": [True]}, {"messages": ["1"]}, {"messages": [1] * 501}):
        status, told, _ = one_desk.ask("POST", "/api/acknowledgements", wrong, **headers)
        assert status == 400 and told["error"].startswith("messages: ")


def test_a_reply_to_a_board_that_sleeps_waits_until_it_is_heard(one_desk: Desk) -> None:
    """And what the board sends in reply to it, that nobody has to acknowledge"""
    udp = one_desk.running.ports["udp"]
    with Peer(BOILER.encode()) as boiler:
        number = alert(one_desk, boiler)["id"]
        port = boiler.port
    reply = one_desk.act(f"/api/messages/{number}/replies", {"text": "status", "expires_s": 600})
    path = f"/api/messages/{number}"
    waits = one_desk.until(path, lambda found: found["replies"][0]["tries"])["replies"][0]
    assert waits["state"] == "waiting" and waits["reason"] == "connection refused" and waits["next_at"] > waits["at"]
    with Peer(BOILER.encode()) as boiler:
        assert boiler.port != port  # its NAT has given it another one
        assert boiler.ask(udp, BEAT, b"every=60").status == 200
        request = boiler.receive()[0]
        assert request.body == b"status" and 0 < int(request.get(b"expires") or 0) <= 600
        boiler.put(answered(request), udp)
        done = one_desk.until(path, lambda found: found["replies"][0]["ended_at"])["replies"][0]
        assert done["state"] == "delivered" and done["status"] == 200 and done["id"] == reply["id"]
        urgent = alert(one_desk, boiler, b"too hot")
        assert urgent["open"] and not urgent["answers"]
        named = b"In-Reply-To: 1@192.0.2.1,\r\n " + (request.get(b"call-id") or b"") + b"\r\n"
        answer, rest = (alert(one_desk, boiler, text, named) for text in (b"(1/2) ok,", b"(2/2) up 3 s"))
        assert [one["answers"] for one in (answer, rest)] == [reply["id"]] * 2
        assert not answer["open"] and not rest["open"]
        with Peer(b"sip:mallory@example.org") as mallory:  # to whom nobody has written
            assert alert(one_desk, mallory, b"too cold", named)["open"]
    assert one_desk.get(path)["replies"][0]["answered"] == answer["id"]


def test_who_hears_no_answer_asks_again_and_nothing_is_written_twice(one_desk: Desk) -> None:
    """By his Idempotency-Key, which is his alone; a command to a board without one goes out as often as it is asked"""
    with Peer(BOILER.encode()) as boiler:
        number = alert(one_desk, boiler)["id"]
    key = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "a1"}
    path = f"/api/messages/{number}/replies"
    first, again = (one_desk.ask("POST", path, {"text": "valve off ", "expires_s": 60}, **key)[1] for _ in range(2))
    assert first["id"] == again["id"]
    status, told, _ = one_desk.ask("POST", path, {"text": "valve on", "expires_s": 60}, **key)
    assert status == 400 and "take a new one for each text" in told["error"]
    assert one_desk.ask("POST", path, {"text": "x"}, **{**key, "Idempotency-Key": "a" * 101})[0] == 400
    acknowledgement = f"/api/messages/{number}/acknowledgement"
    for _ in range(2):
        one_desk.ask("POST", acknowledgement, {"tell_board": True}, **{**key, "Idempotency-Key": "a2"})
    one_desk.act(path, {"text": "valve off"})
    one_desk.act(path, {"text": "valve off"})
    found = one_desk.get(f"/api/messages/{number}")
    assert [one["text"] for one in found["replies"]] == ["valve off", "ack", "valve off", "valve off"]
    assert found["acknowledged"] and not found["open"]


def test_what_a_relay_brings_back_has_not_reached_the_board(one_desk: Desk, tmp_path: Path) -> None:
    """It was passed on to us, as all is there: no message of anybody's, and no success"""
    way = f"sip:127.0.0.1:{one_desk.running.ports['udp']}"
    with Peer(BOILER.encode()) as boiler, inbox("--relay-to", way, db=str(tmp_path / "relay.db")) as relay:
        assert boiler.ask(relay.ports["udp"], b"text/plain", b"too hot").status == 202
        number = one_desk.until("/api/messages", lambda found: found["messages"])["messages"][0]["id"]
        one_desk.act(f"/api/messages/{number}/replies", {"text": "valve off", "expires_s": 60})
        path = f"/api/messages/{number}"
        [reply] = one_desk.until(path, lambda found: found["replies"][0]["state"] == "failed")["replies"]
        assert reply["status"] == 482 and "knows no way to it" in reply["reason"]
        assert len(one_desk.get("/api/messages")["messages"]) == 1


def test_a_board_that_says_the_same_in_our_call_id_has_got_it(one_desk: Desk) -> None:
    with Peer(BOILER.encode()) as boiler, one_desk.running.udp() as echo:
        alert(one_desk, boiler)
        one_desk.act(f"/api/boards/{BOILER}/messages", {"text": "status"})
        request = boiler.answer(200)
        echo.send(message((request.get(b"call-id") or b"").decode(), request.body, sender=BOILER))
        assert echo.recv(65536).startswith(b"SIP/2.0 200 ")
    found = one_desk.until(f"/api/boards/{BOILER}", lambda found: found["replies"][0]["ended_at"])
    assert found["replies"][0]["state"] == "delivered"


def answered(request: Message) -> bytes:
    lines = [
        b"%s: %s" % (name, request.get(name.lower()) or b"") for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
    ]
    return b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""])


def test_what_is_not_delivered_in_time_expires(one_desk: Desk) -> None:
    with Peer(BOILER.encode()) as boiler:
        number = alert(one_desk, boiler)["id"]
    one_desk.act(f"/api/messages/{number}/replies", {"text": "now", "expires_s": 1})
    found = one_desk.until(f"/api/messages/{number}", lambda found: found["replies"][0]["ended_at"])["replies"][0]
    assert found["state"] == "expired"


def test_an_inbox_that_was_killed_while_it_sent_sends_the_same_again(tmp_path: Path) -> None:
    """The board knows it by its Call-ID"""
    with Peer(BOILER.encode()) as boiler:
        with desk(tmp_path) as first:
            number = alert(first, boiler)["id"]
            first.act(f"/api/boards/{BOILER}/messages", {"text": "relay on"})
            before = boiler.receive()[0]
            first.running.end(signal.SIGKILL)
        with desk(tmp_path) as second:
            after = boiler.receive()[0]
            while after.get(b"from") == before.get(b"from"):  # a repetition of the first
                after = boiler.receive()[0]
            assert after.get(b"call-id") == before.get(b"call-id") and after.body == before.body == b"relay on"
            boiler.put(answered(after), second.running.ports["udp"])
            found = second.until(f"/api/boards/{BOILER}", lambda found: found["replies"][0]["ended_at"])
            assert found["replies"][0]["state"] == "delivered" and found["last"]["id"] == number


def test_changes_are_told_as_they_come_and_again_to_who_comes_back(one_desk: Desk) -> None:
    with Peer(BOILER.encode()) as boiler, one_desk.events() as following:
        number = alert(one_desk, boiler)["id"]
        came = following()
        assert came["event"] == "message" and came["data"]["id"] == number
        heard = following()
        assert heard["event"] == "board" and heard["data"]["aor"] == BOILER and heard["data"]["open"] == 1
        counted = following()
        assert counted["event"] == "counts" and counted["data"]["open"] > 0
        one_desk.act(f"/api/messages/{number}/acknowledgement", {})
        seen = following()
        assert seen["event"] == "acknowledgement" and seen["data"]["message"] == number
        with one_desk.events(came["id"]) as resumed:
            assert resumed()["data"]["aor"] == BOILER and resumed()["event"] == "counts"
            assert resumed()["id"] == seen["id"]
        with one_desk.events("nonsense.7") as lost:
            assert lost()["event"] == "reset"


def test_escalation_tells_once_of_all_that_nobody_has_seen_to(tmp_path: Path) -> None:
    with Peer(b"sip:night@127.0.0.1") as night, Peer(BOILER.encode()) as boiler, Peer(b"sip:door@127.0.0.1") as door:
        options = ("--escalate", f"sip:night@127.0.0.1:{night.port}", "--escalate-after", "1")
        with desk(tmp_path, *options) as running:
            udp = running.running.ports["udp"]
            seen = alert(running, boiler, b"seen")["id"]
            running.act(f"/api/messages/{seen}/acknowledgement", {})
            alert(running, boiler, b"too hot")
            number = alert(running, door, b"open")["id"]
            told = night.receive()[0]
            text = told.body.decode()
            assert text.startswith("Nobody has acknowledged: sip:door@127.0.0.1 at ") and ": open; and 1 more" in text
            night.put(answered(told), udp)
            found = running.until(
                f"/api/messages/{number}", lambda found: found["escalated"][0]["state"] == "delivered"
            )
            assert found["escalated"][0]["to"] == f"sip:night@127.0.0.1:{night.port}" and found["open"]


def test_search_looks_into_texts_and_names_and_goes_on_where_it_stopped(one_desk: Desk) -> None:
    with Peer(BOILER.encode()) as boiler:
        numbers = [
            alert(one_desk, boiler, b"alert %d is %s" % (n, b"odd" if n % 2 else b"even"))["id"] for n in range(6)
        ]
    found = one_desk.get("/api/messages?text=ODD&limit=2")
    assert [one["id"] for one in found["messages"]] == [numbers[5], numbers[3]] and found["complete"]
    rest = one_desk.get(f"/api/messages?text=odd&limit=2&before={found['next']}")
    assert [one["id"] for one in rest["messages"]] == [numbers[1]] and rest["next"] is None
    newer = one_desk.get(f"/api/messages?after={numbers[3]}")
    assert [one["id"] for one in newer["messages"]] == numbers[4:]
    table = one_desk.get("/api/messages.csv?text=odd").splitlines()
    assert table[0].startswith("id,received,from") and len(table) == 4


def test_a_cell_of_a_table_is_no_formula(one_desk: Desk) -> None:
    with Peer(BOILER.encode()) as boiler:
        alert(one_desk, boiler, b"=HYPERLINK(1)")
    assert ",'=HYPERLINK(1)," in one_desk.get("/api/messages.csv")


def test_what_waits_to_be_acknowledged_expires_for_the_page_when_its_time_is_over(one_desk: Desk) -> None:
    """R3428-7.1: valid_until is told, so that nobody takes it for valid later"""
    with Peer(BOILER.encode()) as boiler:
        found = alert(one_desk, boiler, fields=b"Expires: 30\r\n")
    assert found["valid_until"] == int(found["received_at"]) + 30 and not found["expired"]


# Who may


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Cookie": "sipmote=guess"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 421),
        ({"Authorization": f"Bearer {TOKEN}", "Sec_Fetch_Site": "cross-site"}, 403),
        ({"Authorization": "Bearer \xff"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Content_Type": "text/plain"}, 415),
    ],
)
def test_who_may_not_does_nothing(open_desk: Desk, headers: dict[str, str], status: int) -> None:
    code, said, _ = open_desk.ask("POST", "/api/messages/1/acknowledgement", {}, **headers)
    assert code == status and list(said) == ["error"]


def test_a_program_whose_token_is_wrong_is_told_so(open_desk: Desk) -> None:
    """To log in is nothing that it could do"""
    for wrong in ("Bearer wrong", TOKEN):
        status, said, _ = open_desk.ask("POST", "/api/messages/1/acknowledgement", {}, Authorization=wrong)
        assert status == 401 and "header Authorization is wrong" in said["error"] and "--http-token" in said["error"]


def test_a_password_makes_a_session_whose_actions_show_where_they_come_from(open_desk: Desk) -> None:
    login = {"user": "alice", "password": "secret of alice"}
    code, session, headers = open_desk.ask("POST", "/api/session", login)
    assert code == 200 and session["user"] == "alice" and session["may_act"]
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    key = cookie.partition(";")[0]
    path = "/api/messages/99/acknowledgement"
    assert open_desk.ask("POST", path, {}, Cookie=key)[0] == 403
    assert open_desk.ask("POST", path, {}, Cookie=key, X_CSRF_Token="x")[0] == 403
    assert open_desk.ask("POST", path, {}, Cookie=key, X_CSRF_Token=session["csrf"])[0] == 404
    assert open_desk.ask("DELETE", "/api/session", Cookie=key, X_CSRF_Token=session["csrf"])[0] == 200
    assert open_desk.ask("POST", path, {}, Cookie=key, X_CSRF_Token=session["csrf"])[0] == 401


def test_a_session_ends_with_the_password_that_began_it(tmp_path: Path) -> None:
    users = str(tmp_path / "users")
    write_user(users, "alice", "r", "first", [b"SHA-256"])
    with desk(tmp_path, "--users", users) as running:
        _, session, headers = running.ask("POST", "/api/session", {"user": "alice", "password": "first"})
        fields = {"Cookie": headers["Set-Cookie"].partition(";")[0], "X_CSRF_Token": session["csrf"]}
        path = "/api/messages/99/acknowledgement"
        assert running.ask("POST", path, {}, **fields)[0] == 404
        write_user(users, "alice", "r", "second", [b"SHA-256"])
        assert running.ask("POST", path, {}, **fields)[0] == 401


def test_metrics_have_nothing_of_a_webhook_but_where_it_leads(tmp_path: Path) -> None:
    """For what follows is a password, with some"""
    with Peer(BOILER.encode()) as boiler, desk(tmp_path, "--webhook", "http://u:secret@127.0.0.1:9/secret") as running:
        alert(running, boiler)
        metrics = running.get("/metrics")
    assert 'sipmote_queue_length{task="http://127.0.0.1"} 1\n' in metrics and "secret" not in metrics


def test_what_is_no_text_is_not_sent_and_who_cannot_be_told_is_not_acknowledged(one_desk: Desk) -> None:
    with Peer(b"tel:+491234") as phone:
        path = f"/api/messages/{alert(one_desk, phone)['id']}"
    bearer = f"Bearer {TOKEN}"
    for text in (b"null", b"[1]", b'"\\ud800"'):
        code, said, _ = one_desk.ask("POST", f"{path}/replies", b'{"text": %s}' % text, Authorization=bearer)
        assert code == 400 and said["error"] == "text: characters were expected"
    code, said, _ = one_desk.ask("POST", f"{path}/acknowledgement", {"tell_board": True}, Authorization=bearer)
    assert code == 400 and "tel:+491234" in said["error"] and one_desk.get(path)["open"]
    assert one_desk.ask("POST", "/api/session", b'{"token": "\\ud800"}')[0] == 401


def test_who_guesses_has_to_wait_and_a_user_who_may_not_is_not_let_in(open_desk: Desk) -> None:
    assert open_desk.ask("POST", "/api/session", {"user": "bob", "password": "secret of bob"})[0] == 401
    codes = [open_desk.ask("POST", "/api/session", {"user": "carol", "password": "x"})[0] for _ in range(7)]
    assert codes[0] == 401 and codes[-1] == 429
    assert open_desk.ask("POST", "/api/session", {"token": TOKEN})[0] == 200


def test_every_answer_keeps_other_pages_out(open_desk: Desk) -> None:
    for path in ("/", "/page/desk.js", "/api/session", "/api/nothing", "/page/..%2fserver.py", "/api/messages.csv"):
        _, _, headers = open_desk.ask("GET", path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    assert open_desk.ask("GET", "/page/..%2fserver.py")[0] == 404


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--http", "0.0.0.0:0"], "add --tls-cert FILE, or take 127.0.0.1"),
        (["--http", "127.0.0.1:0", "--http-login"], "add --users FILE or --http-token FILE"),
        (["--http", "8080"], "HOST:PORT was expected"),
        (["--escalate", "sip:a@b"], "add --http 127.0.0.1:8080"),
        (["--http", "127.0.0.1:0", "--late", "2d"], "--gone has to be longer than --late"),
        (["--http", "127.0.0.1:0", "--http-token", "/nonexistent"], "put a token in it"),
    ],
)
def test_a_page_that_is_not_to_be_is_told_with_its_remedy(options: list[str], said: str) -> None:
    code, _, told = sipmote("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", *options)
    assert code == 1 and said in told and "Traceback" not in told


def test_reading_asks_for_a_login_where_it_is_to(tmp_path: Path) -> None:
    with desk(tmp_path, "--http-login") as running:
        for path in ("/api/boards", "/api/messages", "/api/events", "/metrics", "/api/messages.csv"):
            assert running.ask("GET", path)[0] == 401
        assert running.ask("GET", "/")[0] == 200 and running.get("/api/session")["may_read"] is False
        assert running.ask("GET", "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_the_description_for_programs_has_every_path() -> None:
    routes = Api(*[MagicMock()] * 6).routes()
    found = {(route.method.lower(), re.sub(r":\\d\{1,15\}", "", route.path)) for route in routes}
    told = {(method, path) for path, methods in document()["paths"].items() for method in methods}
    assert found - {("get", "/api/openapi.json")} == told


def test_questions_that_make_no_sense_are_refused(open_desk: Desk) -> None:
    for path in ("/api/messages?before=x", "/api/messages?limit=nan", "/api/messages?since=1e99"):
        code, said, _ = open_desk.ask("GET", path)
        assert code == 400 and "a number was expected" in said["error"]
    bearer = f"Bearer {TOKEN}"
    for body in (b"[]", b"{", b"\xff", b"[" * 10_000):
        code, said, _ = open_desk.ask("POST", "/api/messages/1/acknowledgement", body, Authorization=bearer)
        assert code == 400 and "JSON" in said["error"]
    assert open_desk.ask("POST", "/api/session", b"x" * 20_000)[0] == 413
