"""A board without a network: its messages go over its serial line, and `sipmote bridge` passes them on."""

import asyncio
import contextlib
import os
import pty
import select
import signal
import sqlite3
import time
import tty
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sipmote.agent.message import Message
from sipmote.agent.uri import parse_uri
from sipmote.board.config import Changes
from sipmote.errors import ToolError
from sipmote.inbox.bridge import _BridgeRelay
from sipmote.inbox.parcels import Parcels
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.store import Store
from sipmote.inbox.waiting import Waiting
from sipmote.link.bridge import _is_name
from sipmote.link.frames import Bridged, Decoder, Record, encode_bridged
from sipmote.link.port import close_port, open_port
from sipmote.people import person
from tests.host_tools.on_serial import bridge, serial_board
from tests.host_tools.peers import sipmote
from tests.sip_peer import Peer
from tests.soak_bridge import soak
from tests.tools import Tool
from tests.vm import terminal
from tests.wire import Wire

_ENVIRONMENT = {**os.environ, "SIPMOTE_PASSWORD": "wonder"}


@pytest.mark.timeout(100)
def test_an_alert_gets_out_and_a_command_in(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, bridge(tmp_path, port) as tool:
            alert = desk.answer(200)
            assert alert.body == b"it began"
            assert b"<sip:boiler@board.invalid>" in (alert.get(b"from") or b"")
            said = tool.wait_for(event="message", body="it began")
            assert said["call_id"].encode() == alert.get(b"call-id")
            tool.wait_for(event="relayed", outcome="delivered")
            response = desk.ask(desk.from_port, b"text/plain", b"hot 81 C", to=b"sip:boiler@board.invalid")
            assert response.status == 202
            assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"81 C", b"sent"]
            assert (tool.interrupt(), tool.complaints) == (0, [])


@pytest.mark.timeout(100)
def test_a_line_of_115200_baud_carries_it_and_the_board_never_holds_more_than_259_octets(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with (
            serial_board(tmp_path, to=to) as port,
            Wire(port, octets_s=11520) as wire,
            bridge(tmp_path, wire.port) as tool,
        ):
            assert desk.answer(200).body == b"it began"
            long = b"hot " + b"x" * 600
            assert desk.ask(desk.from_port, b"text/plain", long, to=b"sip:boiler@board.invalid").status == 202
            assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"sent", long[4:]]
            assert 0 < wire.most_unread <= 259
            assert not [line for line in tool.lines if line["event"] == "warning"]


@pytest.mark.timeout(100)
def test_noise_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """One octet of 1,000 is another: half of the datagrams are hit, and some of the pieces and acknowledgements"""
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, Wire(port) as wire, bridge(tmp_path, wire.port) as tool:
            assert desk.answer(200).body == b"it began"
            wire.noise = 0.001
            texts = [b"%d C" % n for n in range(81, 86)]
            for text in texts:
                assert desk.ask(desk.from_port, b"text/plain", b"hot " + text, to=b"sip:boiler@board.invalid").status
            came = [desk.answer(200).body for _ in range(2 * len(texts))]
            assert sorted(came) == sorted(texts + [b"sent"] * len(texts))
            assert desk.silent()
            tool.wait_for(event="damaged")


@pytest.mark.timeout(100)
def test_a_command_waits_for_its_board_also_over_a_kill_of_the_bridge(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, bridge(tmp_path, port) as tool:
            assert desk.answer(200).body == b"it began"
            tool.wait_for(event="relayed")
            os.kill(tool.pid, signal.SIGKILL)
            tool.wait()
            with bridge(tmp_path, port) as again:
                bound = again.wait_for(event="ready")["bind"][0]
                at = int(bound.rpartition(":")[2])
                assert desk.ask(at, b"text/plain", b"hot 81 C", to=b"sip:boiler@board.invalid").status == 202
                assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"81 C", b"sent"]


@pytest.mark.timeout(100)
def test_nobody_but_boards_can_write_to_others(tmp_path: Path) -> None:
    """And what a board sends to nobody in particular goes to --to"""
    with (
        Peer(b"sip:desk@127.0.0.1") as desk,
        serial_board(tmp_path, to="sip:desk@serial.invalid") as port,
        bridge(tmp_path, port, "--to", f"sip:desk@127.0.0.1:{desk.port}") as tool,
    ):
        assert desk.answer(200).body == b"it began"
        assert desk.ask(desk.from_port, b"text/plain", b"hello", to=b"sip:bob@192.0.2.9").status == 480
        tool.wait_for(event="relayed")
        assert desk.silent()


@pytest.mark.timeout(200)
def test_what_a_board_has_accepted_arrives_once_over_kills_of_either_end() -> None:
    """A small `make soak`: with lost answers, challenges and 503"""
    figures = soak(5)
    assert figures.accepted and figures.is_good, figures


@pytest.mark.timeout(100)
def test_what_is_sent_to_an_unplugged_board_waits_until_it_is_back(tmp_path: Path) -> None:
    device = tmp_path / "board"
    with (
        Peer(b"sip:desk@127.0.0.1") as desk,
        serial_board(tmp_path, to=f"sip:desk@127.0.0.1:{desk.port}") as port,
        contextlib.ExitStack() as stack,
    ):
        with Wire(port) as wire:
            device.symlink_to(wire.port)
            tool = stack.enter_context(bridge(tmp_path, str(device)))
            assert desk.answer(200).body == b"it began"
            tool.wait_for(event="relayed")
            device.unlink()  # its terminal's number may be another test's soon
        tool.wait_for(event="port_gone", port=str(device))
        assert desk.ask(desk.from_port, b"text/plain", b"hot 81 C", to=b"sip:boiler@board.invalid").status == 202
        assert tool.wait_for(event="relay_waits")["reason"] == "the board isn't connected"
        wire = stack.enter_context(Wire(port))
        device.symlink_to(wire.port)
        tool.wait_for(event="port_back")
        assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"81 C", b"sent"]


@pytest.mark.timeout(100)
def test_a_stranger_fills_no_boards_queue_and_others_dont_wait_behind_him(tmp_path: Path) -> None:
    """What is too much is refused with Retry-After and is not on disk. What the board refuses is not sent again"""
    board = b"sip:boiler@board.invalid"
    with (
        Peer(b"sip:desk@127.0.0.1") as desk,
        Peer(b"sip:eve@127.0.0.1") as stranger,
        Peer(b"sip:desk@127.0.0.1", "127.0.0.2") as commander,
        serial_board(tmp_path, to=f"sip:desk@127.0.0.1:{desk.port}") as port,
        contextlib.ExitStack() as stack,
    ):
        device = tmp_path / "board"
        with Wire(port) as wire:
            device.symlink_to(wire.port)
            tool = stack.enter_context(bridge(tmp_path, str(device)))
            assert desk.answer(200).body == b"it began"
            tool.wait_for(event="relayed")
            device.unlink()  # its terminal's number may be another test's soon
        tool.wait_for(event="port_gone")
        at = desk.from_port
        for number in range(8):
            assert stranger.ask(at, b"text/plain", b"hot %d" % number, to=board).status == 202
        refused = stranger.ask(at, b"text/plain", b"hot 8", to=board)
        assert (refused.status, refused.get(b"retry-after")) == (480, b"60")
        tool.wait_for(event="dropped", reasons={"a message for a board that too many wait for": 1})
        assert commander.ask(at, b"text/plain", b"hot 81 C", to=board).status == 202
        with contextlib.closing(sqlite3.connect(tmp_path / "bridge.db")) as db:
            assert db.execute("SELECT count(*) FROM message").fetchone() == (1 + 8 + 1,)
        device.symlink_to(stack.enter_context(Wire(port)).port)
        tool.wait_for(event="relayed", call_id=f"{stranger.port}-8")
        sent = [f"{stranger.port}-{number}" for number in range(1, 9)] + [f"{commander.port}-1"]
        ended = [line["call_id"] for line in tool.lines if line["event"] == "relayed" and line["call_id"] in sent]
        assert sorted(ended) == sorted(sent)
        assert ended.index(f"{commander.port}-1") < 2


def _received(number: int, transport: str, source: str, user: str | None = None, sender: str = "") -> Received:
    return Received(
        *(f"{number}", 1, sender or f"sip:{number}@192.0.2.1", "sip:a@b.invalid", None, "text/plain", b"hello", None),
        *(0.0, None, None, transport, source),
        user=user,
        parcel=Parcel(0, None, 70, "serial:a", b"", b"", 500),
    )


def test_forged_addresses_share_what_datagrams_have_and_streams_and_people_with_a_password_get_through() -> None:
    asyncio.run(_share())


async def _share() -> None:
    store = Store(":memory:")
    waiting = Waiting(store)

    def is_taken(number: int, transport: str, source: str, user: str | None = None, board: str = "serial:a") -> bool:
        return waiting.has_room(board, _received(number, transport, source, user))

    assert sum(is_taken(n, "udp", f"198.51.100.{n}:5060") for n in range(200)) == 64
    assert sum(is_taken(0, "tcp", f"[2001:db8::{n:x}]:5060") for n in range(20)) == 8  # one sender at one place
    assert sum(is_taken(n, "tcp", f"192.0.2.9:{n}") for n in range(1, 60)) == 32
    assert sum(is_taken(n, "tcp", f"192.0.{n}.7:5060") for n in range(200)) == 128 - 64 - 8 - 32
    assert sum(is_taken(n, "udp", "192.0.2.1:5060", "desk") for n in range(90)) == 64
    assert sum(is_taken(n, "serial", "/dev/ttyUSB0:0") for n in range(90)) == 64
    assert is_taken(0, "udp", "192.0.2.1:5060", board="serial:other")
    store.close()


def test_a_repetition_of_what_waits_is_taken_where_no_more_is() -> None:
    asyncio.run(_repeat())


async def _repeat() -> None:
    store = Store(":memory:")
    waiting = Waiting(store)
    several = [_received(n, "udp", "192.0.2.1:5060", sender="sip:eve@192.0.2.1") for n in range(9)]
    store.add(several[:8], [Parcels(store, True).add])
    assert [waiting.has_room("serial:a", one) for one in several] == [True] * 8 + [False]
    store.close()


@pytest.mark.timeout(100)
def test_boards_write_to_each_other_over_one_bridge(tmp_path: Path) -> None:
    names = ("boiler", "door")
    with contextlib.ExitStack() as stack:
        ports = [
            stack.enter_context(
                serial_board(tmp_path / name, aor=f"sip:{name}@board.invalid", to=f"sip:{other}@board.invalid")
            )
            for name, other in (names, names[::-1])
        ]
        tool = stack.enter_context(bridge(tmp_path, ports[0], "--port", ports[1]))
        for name, other, port in zip(names, names[::-1], ports, strict=True):
            tool.wait_for(event="board", aor=f"sip:{name}@board.invalid", port=port)
            tool.wait_for(40, event="log", name="command", port=port, fields=lambda fields: fields["word"] == "it")
            said = {"from": f"sip:{other}@board.invalid", "to": f"sip:{name}@board.invalid", "transport": "serial"}
            tool.wait_for(event="message", body="it began", **said)


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[int, str]]:
    """Make a pseudo-terminal; gives the descriptor of its far end, and its port."""
    far, near = pty.openpty()
    tty.setraw(near)
    port = os.ttyname(near)
    try:
        yield far, port
    finally:
        os.close(far)
        os.close(near)


def _frame(far: int) -> Bridged:
    """Return the bridge's next frame."""
    decoder, deadline = Decoder(), time.monotonic() + 20
    while True:
        assert select.select([far], [], [], deadline - time.monotonic())[0]
        for item in decoder.feed(os.read(far, 1024)):
            if isinstance(item, Bridged):
                return item


def test_who_writes_to_a_board_that_has_not_greeted_yet_tries_again(tmp_path: Path) -> None:
    """A 404 would end the alert"""
    here, there = "sip:door@board.invalid", "sip:boiler@board.invalid"
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serial_board(tmp_path / "door", aor=here, to=there))
        _, silent = stack.enter_context(_terminal())
        tool = stack.enter_context(bridge(tmp_path, port, "--port", silent))
        outcome = tool.wait_for(event="log", name="outcome")["fields"]
        assert (outcome["status"], outcome["reason"]) == (503, "Not All Boards Have Said Who They Are")


@pytest.mark.timeout(100)
def test_a_bridge_asks_at_once_who_is_there_and_says_who_has_its_port(tmp_path: Path) -> None:
    device = tmp_path / "board"
    with contextlib.ExitStack() as stack:
        with _terminal() as (far, port):
            device.symlink_to(port)
            tool = stack.enter_context(bridge(tmp_path, str(device)))
            greeting = _frame(far)
            assert (greeting.what, greeting.number, greeting.octets[:1]) == (0, 1, b"?")
            device.unlink()
        tool.wait_for(event="port_gone")
        with _terminal() as (far, port):
            holder = open_port(port)
            device.symlink_to(port)
            assert " is in use by " in tool.wait_for(event="port_failed")["reason"]
            close_port(holder)
            tool.wait_for(event="port_back")
            assert _frame(far).octets[:1] == b"?"
            assert [line["event"] for line in tool.lines].count("port_failed") == 1
            os.kill(tool.pid, signal.SIGHUP)
            assert (tool.wait(), tool.complaints) == (0, [])


def test_the_end_of_its_last_virtual_board_ends_a_bridge(tmp_path: Path) -> None:
    """Its number may be another terminal's soon"""
    with contextlib.ExitStack() as one, contextlib.ExitStack() as other:
        ports = [stack.enter_context(_terminal())[1] for stack in (one, other)]
        with bridge(tmp_path, ports[0], "--port", ports[1]) as tool:
            tool.wait_for(event="ready")
            one.close()
            tool.wait_for(event="board_ended", port=ports[0])
            other.close()
            assert tool.wait() == 1
            assert tool.complaints == [f"sipmote: the virtual board at {ports[1]} has ended"]


def test_a_board_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    with bridge(tmp_path, os.ttyname(slave)) as tool:
        tool.wait_for(event="ready")
        for version in (2, 2, 0):
            os.write(master, b"warming up\r\n" + encode_bridged(Bridged(0, version, b"sip:boiler@board.invalid")))
        tool.wait_for(event="bridge_refused", version=2, ours=1)
        tool.wait_for(event="bridge_refused", version=0, ours=1)
        tool.wait_for(event="console", text="warming up", port=os.ttyname(slave))
        os.write(master, encode_bridged(Bridged(1, 0, b"MESSAGE sip:desk@127.0.0.1 SIP/2.0")))
        os.write(master, encode_bridged(Bridged(0, 1, b"sip:boiler@board.invalid")))
        tool.wait_for(event="board")
        assert [line["event"] for line in tool.lines].count("bridge_refused") == 2
        assert not [line for line in tool.lines if line["event"] == "dropped"]
    os.close(master)
    os.close(slave)


@pytest.mark.timeout(100)
def test_a_bridge_of_another_version_is_refused_by_its_board(tmp_path: Path) -> None:
    with serial_board(tmp_path, to="sip:desk@127.0.0.1") as port, terminal(port) as person:
        person.write(encode_bridged(Bridged(0, 9, b"1767225600")))
        decoder, told = Decoder(), None
        while told is None:
            found = [item for item in decoder.feed(person.read_until(b"\x1f")) if isinstance(item, Record)]
            told = next((item.fields for item in found if item.event == "bridge_refused"), None)
        assert told == {"version": 9, "ours": 1}


@pytest.mark.timeout(150)
def test_a_board_whose_network_fails_sends_the_same_message_by_its_bridge(tmp_path: Path) -> None:
    """An inbox that has it already, while its answer was lost, knows it by Call-ID, From and text"""
    inbox = Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", str(tmp_path / "inbox.db"))
    with Peer(b"sip:desk@127.0.0.1") as network, inbox:
        at = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
        ways = {"transport": "udp", "fallback": "serial", "bind": "127.0.0.1:0"}
        with (
            serial_board(tmp_path, to=f"sip:desk@127.0.0.1:{network.port}", **ways) as port,
            bridge(tmp_path, port, "--proxy", f"sip:127.0.0.1:{at}") as tool,
        ):
            request, (_, board) = network.receive()
            network.put(request.data, at)  # and no answer comes back
            first = inbox.wait_for(event="message", duplicate=False)
            tool.wait_for(50, event="log", name="outcome", fields=lambda fields: fields["status"] == 408)
            again = inbox.wait_for(event="message", duplicate=True)
            assert [again[name] for name in ("call_id", "from", "body")] == [
                first[name] for name in ("call_id", "from", "body")
            ]
            tool.wait_for(event="log", name="outcome", fields=lambda fields: fields["name"] == "accepted")
            tool.wait_for(event="relayed", outcome="delivered")
            with Peer(b"sip:desk@127.0.0.1") as person:
                assert person.ask(board, b"text/plain", b"hot 82 C", to=b"sip:boiler@board.invalid").status == 200
                assert person.answer(200).body == b"sent", "an answer keeps its way"


@pytest.mark.timeout(100)
def test_a_board_uses_its_network_while_that_is_there_and_is_reached_over_its_line_all_the_same(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        ways = {"transport": "udp", "fallback": "serial", "bind": "127.0.0.1:0"}
        with (
            serial_board(tmp_path, to=f"sip:desk@127.0.0.1:{desk.port}", **ways) as port,
            bridge(tmp_path, port) as tool,
        ):
            assert desk.answer(200).body == b"it began"
            tool.wait_for(event="board")
            at = int(tool.wait_for(event="ready")["bind"][0].rpartition(":")[2])
            assert desk.ask(at, b"text/plain", b"hot 81 C", to=b"sip:boiler@board.invalid").status == 202
            assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"81 C", b"sent"]
            told = [line["body"] for line in tool.lines if line.get("transport") == "serial"]
            assert "81 C" not in told


def test_deploy_refuses_what_needs_a_network() -> None:
    config = {"aor": "sip:boiler@board.invalid", "to": "sip:desk@192.0.2.9", "transport": "serial"}
    assert Changes([]).apply(config, "mote.json") == config
    for wrong in (
        {"register": 60},
        {"ntp": "192.0.2.1"},
        {"to": "sips:desk@192.0.2.9"},
        {"commanders": {"desk": "0" * 64}},
        {"fallback": "serial"},
        {"transport": "tls", "fallback": "serial", "to": "sips:desk@192.0.2.9"},
    ):
        with pytest.raises(ToolError):
            Changes([]).apply({**config, **wrong}, "mote.json")


@pytest.mark.timeout(100)
def test_a_bridge_with_users_asks_who_commands_and_no_board(tmp_path: Path) -> None:
    users = tmp_path / "users"
    for name in ("desk", "eve"):
        code, out, err = sipmote("passwd", str(users), name, "--realm", "bench", env=_ENVIRONMENT)
        assert code == 0, out + err
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, bridge(tmp_path, port, "--users", str(users)):
            assert desk.answer(200).body == b"it began"
            to_board = f"sip:boiler@127.0.0.1:{desk.from_port}"
            assert desk.ask(desk.from_port, b"text/plain", b"hot 80 C", to=to_board.encode()).status == 401
            command = ("ask", to_board, "hot 81 C", "--from", "sip:desk@127.0.0.1", "--user")
            code, out, err = sipmote(*command, "eve", env=_ENVIRONMENT)
            assert code != 0 and "403 From Is Not Who Logged In" in out + err
            code, out, err = sipmote(*command, "desk", env=_ENVIRONMENT)
            assert code == 0 and out.endswith("sent\n"), out + err
            assert desk.answer(200).body == b"81 C"


@pytest.mark.timeout(100)
def test_a_bridge_registers_for_its_board(tmp_path: Path) -> None:
    """What the registrar sends to the contact reaches the board, and its alerts go by the registrar's proxy"""
    with Peer(b"sip:desk@example.org") as server, contextlib.ExitStack() as stack:
        aor = "sip:boiler@example.org"
        port = stack.enter_context(serial_board(tmp_path, aor=aor, to="sip:desk@example.org"))
        proxy = ("--register", aor, "--proxy", f"sip:127.0.0.1:{server.port}")
        tool = stack.enter_context(bridge(tmp_path, port, *proxy))
        contact = b""
        alert = None
        while not contact or alert is None:
            request, address = server.receive()
            found = request.get(b"contact") or b""
            if request.method == b"REGISTER":
                contact = found[found.find(b"<") + 1 : found.find(b">")]
                server.put(_taken(request, b"Contact: %s;expires=600\r\n" % found), address[1])
            else:
                alert = request.body
                server.put(_taken(request), address[1])
        assert alert == b"it began"
        assert tool.wait_for(event="registered")["expires"] == 600
        assert server.ask(address[1], b"text/plain", b"hot 81 C", to=contact).status == 202
        assert sorted([server.answer(200).body, server.answer(200).body]) == [b"81 C", b"sent"]


def _taken(request: Message, fields: bytes = b"") -> bytes:
    """Return a 200 for a request."""
    copied = [b"%s: %s\r\n" % (name, request.get(name)) for name in (b"via", b"from", b"to", b"call-id", b"cseq")]
    return b"SIP/2.0 200 OK\r\n%s%sContent-Length: 0\r\n\r\n" % (b"".join(copied), fields)


class _Lines:
    """Lines of which these boards are there."""

    def __init__(self, *there: str) -> None:
        self._there = there

    def board(self, aor: str) -> str | None:
        return aor if aor in self._there else None


def _relay(*known: str, there: tuple[str, ...]) -> _BridgeRelay:
    relay = object.__new__(_BridgeRelay)
    relay._boards = {aor: parse_uri(aor.encode()) for aor in known}
    relay._lines = _Lines(*there)  # type: ignore[assignment]
    return relay


def test_a_command_goes_to_the_board_that_is_there_and_not_to_a_name_of_before() -> None:
    old, new = "sip:boiler@a.invalid", "sip:boiler@b.invalid"
    by_user = parse_uri(b"sip:b%6Filer@192.0.2.1")
    assert _relay(old, new, there=(new,))._board(by_user, False) == new
    assert _relay(new, old, there=(new,))._board(by_user, False) == new
    assert _relay(old, new, there=())._board(by_user, False) == new  # which has greeted last
    assert _relay(old, new, there=(old, new))._board(by_user, False) is None  # who is meant?
    assert _relay(old, new, there=(old, new))._board(parse_uri(old.encode()), False) == old


def test_a_strangers_flow_gets_answers_for_a_while_and_no_alert_later() -> None:
    """Anybody can write the name of who gets the alerts."""
    relay = _relay(there=())
    due = SimpleNamespace(parcel=SimpleNamespace(user="sip:desk@192.0.2.1"))
    relay._people = OrderedDict({person(due.parcel.user): ((b"UDP", b"198.51.100.9", 5060), time.monotonic() - 200)})
    assert asyncio.run(relay._flow_for(due)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"garbage", b"sip:", b"", b"sip:a@\xff", b"sip:192.0.2.1"])
def test_a_board_whose_name_is_no_uri_is_told_and_disturbs_no_other(name: bytes) -> None:
    assert not _is_name(name) and _is_name(b"sip:boiler@board.invalid")


@pytest.mark.timeout(100)
def test_a_second_bridge_on_one_file_and_a_second_board_of_one_name_are_told(tmp_path: Path) -> None:
    """Else commands for one of them would be accepted, and taken to nobody or to the other."""
    to = "sip:desk@127.0.0.1:9"
    (tmp_path / "other").mkdir()
    with (
        serial_board(tmp_path, to=to) as port,
        serial_board(tmp_path / "other", to=to) as twin,
        bridge(tmp_path, port, "--port", twin) as tool,
    ):
        warning = tool.wait_for(event="warning", text=lambda text: "are both called sip:boiler@board.invalid" in text)
        assert port in warning["text"] and twin in warning["text"]
        code, _, err = sipmote(
            "bridge", "--port", port, "--bind", "udp:127.0.0.1:0", "--db", str(tmp_path / "bridge.db")
        )
        assert code == 1 and "is in use by another bridge" in err
