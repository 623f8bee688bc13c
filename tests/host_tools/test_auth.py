"""R3428-11.2, R7616-6, R3261-22-2: users with passwords, from the file to the wire, over loopback."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sipmote.agent.auth.client import choose
from sipmote.agent.auth.digest import secret
from tests.host_tools.peers import Peer, RunningInbox, header, inbox, message, sipmote

REALM = "interop.test"


def passwd(path: Path, user: str, password: str, *arguments: str) -> tuple[int, str, str]:
    environment = {**os.environ, "SIPMOTE_PASSWORD": password}
    command = ["passwd", str(path), user, *arguments]
    return sipmote(*command, env=environment)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    assert passwd(path, "alice", "wonder", "--realm", REALM)[0] == 0
    assert passwd(path, "bob", "builder", "--md5")[0] == 0
    return path


@pytest.fixture
def guarded(users: Path) -> Iterator[RunningInbox]:
    with inbox("--users", str(users), db=str(users.with_name("db"))) as running:
        yield running


def send(running: RunningInbox, transport: str, password: str, *arguments: str) -> tuple[int, str, str]:
    target = f"sip:desk@127.0.0.1:{running.ports[transport]};transport={transport}"
    environment = {**os.environ, "SIPMOTE_PASSWORD": password}
    return sipmote("send", target, "hello", *arguments, env=environment)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_user_gets_through_and_is_named(guarded: RunningInbox, users: Path, transport: str) -> None:
    code, out, _ = send(guarded, transport, "wonder", "--user", "alice", "--json")
    assert (code, json.loads(out)["event"]) == (0, "delivered")
    event = guarded.event("message")
    assert (event["user"], event["body"]) == ("alice", "hello")
    with contextlib.closing(sqlite3.connect(users.with_name("db"))) as db:
        assert db.execute("SELECT user FROM message").fetchall() == [("alice",)]


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [(["--user", "alice"], "check the name and the password"), (["--user", "eve"], "password"), ([], "--user NAME")],
)
def test_nobody_else_does_and_is_told_why(guarded: RunningInbox, arguments: list[str], remedy: str) -> None:
    code, out, err = send(guarded, "udp", "w0nder", *arguments)
    assert (code, out) == (4, "")
    assert "401 Unauthorized" in err and remedy in err and "w0nder" not in err
    if arguments:
        warning = guarded.event("warning")
        assert warning["text"] == f"wrong password from 127.0.0.1 for user {arguments[1]!r}"
        assert guarded.event("dropped")["reasons"] == {"credentials that were no good": 1}


def test_without_users_nobody_is_asked_and_nobody_named() -> None:
    with inbox() as running:
        assert send(running, "udp", "wonder", "--user", "alice")[0] == 0
        assert running.event("message")["user"] is None


def test_a_replayed_request_is_challenged_as_stale_and_arrives_once(guarded: RunningInbox) -> None:
    """R7616-6: the same octets get the old answer, in another transaction they are worth nothing."""
    sock = guarded.udp()
    with sock:
        sock.send(message("1", branch="1"))
        challenge = sock.recv(4096)
        assert challenge.startswith(b"SIP/2.0 401 ")
        (one,) = choose([header(challenge, "WWW-Authenticate").encode()], b"Authorization")
        one.user, one.password = b"alice", b"wonder"
        one.cnonce = b"c"
        line = one.answer(b"MESSAGE", b"sip:desk@127.0.0.1", b"Watson, come here.").decode().strip()
        request = message("1", branch="2", fields=[line])
        sock.send(request)
        answer = sock.recv(4096)
        assert answer.startswith(b"SIP/2.0 200 ")
        sock.send(request)
        assert sock.recv(4096) == answer
        sock.send(message("2", branch="3", fields=[line]))
        stale = sock.recv(4096)
        assert stale.startswith(b"SIP/2.0 401 ") and b"stale=true" in stale
    assert guarded.event("message")["call_id"] == "1"
    assert send(guarded, "udp", "wonder", "--user", "alice")[0] == 0
    assert guarded.event("message")["body"] == "hello"


def test_a_message_that_comes_again_after_a_challenge_and_a_lost_200_is_known(users: Path) -> None:
    """R0-P2: from a board that lost power, and from one whose next server challenges; the same words anew are new"""
    repeated = []
    for tag, cseq in (("a", 1), ("b", 1), ("b", 3), ("a", 2), ("a", 4)):
        with inbox("--users", str(users), db=str(users.with_name("db"))) as running, running.udp() as sock:
            sock.send(numbered(cseq, message("1", branch="1", tag=tag)))
            (one,) = choose([header(sock.recv(4096), "WWW-Authenticate").encode()], b"Authorization")
            one.user, one.password, one.cnonce = b"alice", b"wonder", b"c"
            line = one.answer(b"MESSAGE", b"sip:desk@127.0.0.1", b"Watson, come here.").decode().strip()
            sock.send(numbered(cseq + 1, message("1", branch="2", tag=tag, fields=[line])))
            assert sock.recv(4096).startswith(b"SIP/2.0 200 ")
            repeated.append(running.event("message")["duplicate"])
    assert repeated == [False, True, True, True, False]


def numbered(cseq: int, request: bytes) -> bytes:
    return request.replace(b"CSeq: 1 ", b"CSeq: %d " % cseq)


def test_a_password_may_come_from_a_file(guarded: RunningInbox, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("wonder\n")
    assert send(guarded, "udp", "wrong", "--user", "alice", "--password-file", str(path))[0] == 0


def test_a_password_that_nobody_has_given_is_asked_for_by_name(guarded: RunningInbox) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SIPMOTE_PASSWORD"}
    code, _, err = sipmote("send", "sip:desk@127.0.0.1", "hello", "--user", "alice", env=environment)
    assert code == 1 and "SIPMOTE_PASSWORD" in err and "Traceback" not in err


def test_credentials_beyond_the_budget_are_one_outcome_with_its_reason() -> None:
    """R3428-8.2: a challenge that no message has room for."""
    challenge = f'401 Unauthorized\r\nWWW-Authenticate: Digest realm="r", nonce="{"n" * 1000}"'
    with Peer("udp", [[challenge]]) as peer:
        environment = {**os.environ, "SIPMOTE_PASSWORD": "wonder"}
        code, out, _ = sipmote(
            "send", f"sip:desk@127.0.0.1:{peer.port}", "hello", "--user", "alice", "--json", env=environment
        )
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, len(lines), lines[0]["status"]) == (4, 1, 401)
    assert "budget" in lines[0]["reason"]


def test_room_for_credentials_is_kept_before_the_first_send(guarded: RunningInbox) -> None:
    """R3428-8.2: a text that would fit without them is refused at once, and split on request."""
    target = f"sip:desk@127.0.0.1:{guarded.ports['udp']}"
    environment = {**os.environ, "SIPMOTE_PASSWORD": "wonder"}
    arguments = ["send", target, "x" * 800, "--user", "alice"]
    code, _, err = sipmote(*arguments, env=environment)
    assert code == 2 and "over" in err
    assert sipmote(*arguments, "--budget", "split", env=environment)[0] == 0
    assert guarded.event("message")["body"].startswith("(1/2) ")


def test_passwd_writes_hashes_for_its_owner_alone(users: Path) -> None:
    assert stat.S_IMODE(users.stat().st_mode) == 0o600
    lines = users.read_text().splitlines()
    assert lines == [
        f"alice:{REALM}:SHA-256:{secret(b'sha-256', b'alice', REALM.encode(), b'wonder').decode()}",
        f"bob:{REALM}:SHA-256:{secret(b'sha-256', b'bob', REALM.encode(), b'builder').decode()}",
        f"bob:{REALM}:MD5:{secret(b'md5', b'bob', REALM.encode(), b'builder').decode()}",
    ]


def test_passwd_changes_one_user_and_leaves_no_old_hash(users: Path) -> None:
    users.write_text("# ours\n" + users.read_text() + f"bob:other:MD5:{'0' * 32}\n")
    code, out, _ = passwd(users, "bob", "new", "--realm", REALM, "--json")
    assert (code, json.loads(out)["event"]) == (0, "changed")
    assert [line.split(":")[:3] for line in users.read_text().splitlines()] == [
        ["# ours"],
        ["alice", REALM, "SHA-256"],
        ["bob", "other", "MD5"],
        ["bob", REALM, "SHA-256"],
    ]


def test_passwd_for_clients_that_read_the_first_challenge_only(tmp_path: Path) -> None:
    """R0-P16"""
    path = tmp_path / "users"
    assert passwd(path, "bob", "builder", "--realm", REALM, "--md5-only")[0] == 0
    with inbox("--users", str(path)) as running, running.udp() as sock:
        sock.send(message("1"))
        assert "algorithm=MD5" in header(sock.recv(4096), "WWW-Authenticate")
    assert passwd(path, "bob", "builder", "--md5")[0] == 0
    assert [line.split(":")[2] for line in path.read_text().splitlines()] == ["SHA-256", "MD5"]


def test_users_who_are_added_at_once_are_all_there_and_a_link_is_followed(tmp_path: Path) -> None:
    """R0-P17"""
    (tmp_path / "link").symlink_to(tmp_path / "users")
    names = [f"user{number}" for number in range(5)]
    with ThreadPoolExecutor() as pool:
        done = pool.map(lambda name: passwd(tmp_path / "link", name, "x", "--realm", REALM)[0], names)
        assert list(done) == [0] * 5
    assert sorted(line.split(":")[0] for line in (tmp_path / "users").read_text().splitlines()) == names
    assert (tmp_path / "link").is_symlink()


def test_users_are_read_again_when_they_change_and_at_a_hangup(guarded: RunningInbox, users: Path) -> None:
    """R0-P17: a password that was changed counts at once, and nothing else ends for that"""
    assert passwd(users, "alice", "lewis")[0] == 0
    assert send(guarded, "udp", "wonder", "--user", "alice")[0] == 4
    assert "has changed: 2 users" in guarded.event("warning")["text"]
    assert send(guarded, "udp", "lewis", "--user", "alice")[0] == 0
    users.write_text("nonsense")
    guarded.process.send_signal(signal.SIGHUP)
    while b"the users of before stay" not in (line := guarded.line()):
        assert json.loads(line)["event"] in ("warning", "message", "dropped")
    assert send(guarded, "udp", "lewis", "--user", "alice")[0] == 0


@pytest.mark.parametrize(
    ("user", "password", "arguments", "complaint"),
    [
        ("carol", "sing", [], "--realm R"),
        ("carol", "", ["--realm", "x"], "empty password"),
        ("ca:rol", "sing", ["--realm", "x"], "without colons"),
        (" bob", "sing", ["--realm", "x"], "outer blanks"),
        ("x\u2028bob", "sing", ["--realm", "x"], "without colons"),
        ("#bob", "sing", ["--realm", "x"], "comment"),
        ("carol", "sing", ["--realm", 'x"'], "without colons"),
    ],
)
def test_passwd_says_what_is_wrong(
    tmp_path: Path, user: str, password: str, arguments: list[str], complaint: str
) -> None:
    code, out, err = passwd(tmp_path / "none", user, password, *arguments)
    assert (code, out) == (1, "") and complaint in err and "Traceback" not in err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "arguments", "complaint"),
    [
        (None, [], "there is no file"),
        ("", [], "--realm"),
        (f"alice:{REALM}:SHA-256:12\n", [], "line 1"),
        (f"alice:{REALM}:SHA-256\n", [], "line 1: user:realm:algorithm:hash"),
        (f"a:r:MD5:{'0' * 32}\nb:s:MD5:{'0' * 32}\n", [], "r or s"),
        (f"a:r:MD5:{'0' * 32}\n", ["--realm", "s"], "no user of realm s"),
    ],
)
def test_inbox_says_what_is_wrong_with_its_users(
    tmp_path: Path, text: str | None, arguments: list[str], complaint: str
) -> None:
    path = tmp_path / "users"
    if text is not None:
        path.write_text(text)
    where = ["--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--users", str(path)]
    code, _, err = sipmote("inbox", *where, *arguments)
    assert code == 1 and complaint in err and "Traceback" not in err and "000" not in err


SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a message with a password">
  <send retrans="500"><![CDATA[

    MESSAGE sip:127.0.0.1:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    Max-Forwards: 70
    From: <sip:bob@interop.test>;tag=[pid][call_number]
    To: <sip:desk@interop.test>
    Call-ID: [call_id]
    CSeq: 1 MESSAGE
    Content-Type: text/plain
    Content-Length: [len]

    from sipp
  ]]></send>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[

    MESSAGE sip:127.0.0.1:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    Max-Forwards: 70
    From: <sip:bob@interop.test>;tag=[pid][call_number]
    To: <sip:desk@interop.test>
    Call-ID: [call_id]
    CSeq: 2 MESSAGE
    [authentication username=bob password=PASSWORD]
    Content-Type: text/plain
    Content-Length: [len]

    from sipp
  ]]></send>
  <recv response="EXPECTED"/>
</scenario>
"""


@pytest.mark.parametrize(
    ("transport", "password", "expected"), [("u1", "builder", 200), ("t1", "builder", 200), ("u1", "wrong", 401)]
)
def test_sipp_gets_through_with_md5(tmp_path: Path, transport: str, password: str, expected: int) -> None:
    """R8760-2: a client that knows MD5 alone; its digest-uri has no user."""
    if not shutil.which("sipp"):
        assert not os.environ.get("CI"), "install sip-tester"
        pytest.skip("no sipp here")
    users, scenario = tmp_path / "users", tmp_path / "scenario.xml"
    passwd(users, "bob", "builder", "--realm", REALM, "--md5")
    # sipp gives up on algorithms it doesn't know, even when there is another line
    users.write_text("".join(line for line in users.read_text().splitlines(True) if ":MD5:" in line))
    scenario.write_text(SCENARIO.replace("PASSWORD", password).replace("EXPECTED", str(expected)))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with inbox("--users", str(users)) as running:
        remote = f"127.0.0.1:{running.ports['udp' if transport == 'u1' else 'tcp']}"
        local = ["-i", "127.0.0.1", "-p", str(port), "-t", transport]
        options = ["-m", "3", "-nostdin", "-timeout", "20s", "-timeout_error", "-default_behaviors", "all,-bye"]
        done = subprocess.run(
            ["sipp", remote, "-sf", str(scenario), *local, *options],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        if expected == 200:
            assert [running.event("message")["user"] for _ in range(3)] == ["bob"] * 3
