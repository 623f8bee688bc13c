"""R3428-4.9, R3261-17.1-1, R3261-17.1-4, R3261-17.2-3: SIPp answers, challenges, is slow, deaf, lossy or dead."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.interop.sipp import EACH_COPY, REQUEST, Clients, answer, challenge, losing, pause, server
from tests.interop.test_kamailio import board
from tests.tools import Tool

_LOSSES = (10, 30, 50)  # per cent of the datagrams, each way
_SENDERS = 4  # for each of them
_CALLS = 40
_GIVEN_UP_S = 32  # 64 * T1

# what sipmote says to each answer: exit code, event, status
_ANSWERS = {
    "200 OK": (0, "delivered", 200),
    "202 Accepted": (3, "accepted", 202),
    "404 Not Found": (4, "failed", 404),
    "415 Unsupported Media Type": (4, "failed", 415),
    "603 Decline": (4, "refused", 603),
    "503 Service Unavailable": (4, "failed", 503),
}


def sending(port: int, *more: str, transport: str = "udp") -> Tool:
    """A message to a server's port that is on its way."""
    return Tool("send", f"sip:desk@127.0.0.1:{port};transport={transport}", "hello", *more)


def result(tool: Tool) -> tuple[int, str, int]:
    """What became of it: one line, and the exit code."""
    code = tool.wait(60)
    assert len(tool.lines) == 1, tool.transcript()
    return code, tool.lines[0]["event"], tool.lines[0]["status"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_each_answer_is_told_as_what_it_is(transport: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        tools = {}
        for status in _ANSWERS:
            port = stack.enter_context(
                server(tmp_path, REQUEST, answer(status, "Retry-After: 3", "Accept: text/plain"), transport=transport)
            )
            tools[status] = stack.enter_context(sending(port, transport=transport))
        assert {status: result(tool) for status, tool in tools.items()} == _ANSWERS
        assert tools["503 Service Unavailable"].lines[0]["retry_after"] == 3


def test_it_is_turned_elsewhere_waits_repeats_and_says_who_it_is(tmp_path: Path) -> None:
    """R3261-8.1-12: a redirection; an answer after 1.2 s; one to the third copy only; a challenge, right and wrong."""
    with ExitStack() as stack:

        def ask(*steps: str, options: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> Tool:
            port = stack.enter_context(server(tmp_path, *steps, options=options))
            return stack.enter_context(sending(port, *more))

        password, wrong = tmp_path / "right", tmp_path / "wrong"
        password.write_text("wonder")
        wrong.write_text("w0nder")
        elsewhere = stack.enter_context(server(tmp_path, REQUEST, answer("200 OK")))
        moved = answer("302 Moved Temporarily", f"Contact: <sip:desk@127.0.0.1:{elsewhere}>")
        account = ("--user", "alice", "--password-file")
        tools = {
            "moved": ask(REQUEST, moved),
            "slow": ask(REQUEST, pause(1200), answer("200 OK")),
            "late": ask(REQUEST, REQUEST, REQUEST, answer("200 OK"), options=("-nr",)),
            "asked": ask(challenge("alice", "wonder"), more=(*account, str(password))),
            "wrong": ask(challenge("alice", "wonder"), more=(*account, str(wrong))),
        }
        outcomes = {name: result(tool) for name, tool in tools.items()}
        assert outcomes.pop("wrong") == (4, "failed", 403)
        assert outcomes == dict.fromkeys(outcomes, (0, "delivered", 200))


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What takes the time of a whole transaction, all at once: senders and clients with losses, a dead server."""
    folder = tmp_path_factory.mktemp("storm")
    with ExitStack() as stack:
        store = folder / "inbox.db"
        inbox = stack.enter_context(Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", str(store)))
        port = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
        clients = [
            stack.enter_context(Clients(folder, port, _CALLS, _CALLS, options=("-lost", str(loss)))) for loss in _LOSSES
        ]
        began = time.monotonic()
        dead = stack.enter_context(sending(stack.enter_context(server(folder, REQUEST, pause(60000)))))
        senders = {}
        for loss in _LOSSES:
            at = stack.enter_context(server(folder, EACH_COPY, options=losing(loss)))
            senders[loss] = [stack.enter_context(sending(at)) for _ in range(_SENDERS)]
        yield {
            "senders": {loss: [result(tool) for tool in tools] for loss, tools in senders.items()},
            "dead": result(dead),
            "seconds": time.monotonic() - began,
            "clients": [some.wait() for some in clients],
            "inbox": inbox,
            "store": store,
        }


def test_a_message_has_one_outcome_whatever_is_lost(storm: dict[str, Any]) -> None:
    """R3261-17.1-1, R3261-17.1-4: delivered when an answer got through, given up after 32 s when none did."""
    for loss, results in storm["senders"].items():
        assert set(results) <= {(0, "delivered", 200), (5, "timeout", 408)}, loss
    assert storm["senders"][10] == [(0, "delivered", 200)] * _SENDERS  # else 10 copies in a row were lost
    assert storm["dead"] == (5, "timeout", 408)
    assert _GIVEN_UP_S <= storm["seconds"] < _GIVEN_UP_S + 15


def test_a_lossy_network_brings_each_message_once(storm: dict[str, Any]) -> None:
    """R3261-17.2-3"""
    with closing(sqlite3.connect(storm["store"])) as store:
        rows = Counter(call_id for (call_id,) in store.execute("SELECT call_id FROM message"))
    shown = Counter(line["call_id"] for line in storm["inbox"].lines if line["event"] == "message")
    assert shown == rows and set(rows.values()) == {1}
    figures = storm["clients"]
    answered = sum(some["ok"] for some in figures)
    assert answered + sum(some["failed"] for some in figures) == len(_LOSSES) * _CALLS
    assert answered <= len(rows) <= len(_LOSSES) * _CALLS  # an answer means that it is there
    assert all(some["retransmissions"] > 0 for some in figures), "nothing was lost"


_ALERTS = """
from mote import Mote

mote = Mote()


@mote.every(3600)
async def once():
    outcomes = []
    for to in TARGETS:
        outcomes.append(await mote.alert("hello", expires=60, to=to))
    await mote.alert(" ".join(outcomes))


mote.run()
"""


def test_a_board_takes_each_answer_as_what_it_is(tmp_path: Path) -> None:
    """R3428-T2.10: a board knows its password, comes back after a 503 in the time that it names, and through losses."""
    answers = {
        "delivered": [REQUEST, answer("200 OK")],
        "accepted": [REQUEST, answer("202 Accepted")],
        "failed": [REQUEST, answer("404 Not Found")],
        "refused": [REQUEST, answer("603 Decline")],
    }
    asked = [challenge("pump", "wonder")]
    slow = [REQUEST, pause(600), answer("200 OK")]
    busy = [REQUEST, answer("503 Service Unavailable", "Retry-After: 1"), REQUEST, answer("200 OK")]
    with ExitStack() as stack:
        ports = [stack.enter_context(server(tmp_path, *steps)) for steps in (*answers.values(), asked, slow, busy)]
        ports.append(stack.enter_context(server(tmp_path, EACH_COPY, options=losing(30))))
        program = tmp_path / "alerts.py"
        program.write_text(_ALERTS.replace("TARGETS", repr([f"sip:desk@127.0.0.1:{port}" for port in ports])))
        inbox = stack.enter_context(Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:"))
        here = inbox.wait_for(event="ready")["bind"][0].removeprefix("udp:")
        with board(tmp_path, program, aor="sip:pump@interop.test", password="wonder", to=f"sip:desk@{here}"):
            assert inbox.wait_for(60, event="message")["body"] == " ".join([*answers, *4 * ["delivered"]])
