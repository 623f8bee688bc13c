"""R3428-4.3, R3428-4.9: alerts of a board that ask to be told of their delivery."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim import imdn_reply as receipt
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.message import Message
from tests.host_tools.virtual import started
from tests.sip_peer import Peer
from tests.tools import Tool
from tests.vm import run_program

BOARD = b"sip:boiler@127.0.0.1"
DESK = b"sip:desk@127.0.0.1"
PROGRAM = """
import asyncio
from mote import Mote
mote = Mote()
@mote.every(3600)
async def boiler():
    for text in {texts!r}:
        print("alert:", await mote.alert(text, expires=600))
@mote.command("status")
async def status(message):
    return "ok"
mote.run()
"""


@contextmanager
def board(folder: Path, peer: Peer, *texts: str, **settings: object) -> Iterator[Tool]:
    """A virtual board that sends these texts to peer, and the tool that watches it."""
    to = f"sip:desk@127.0.0.1:{peer.port}"
    config = {"aor": BOARD.decode(), "to": to, "bind": "127.0.0.1:0", "log": "debug", "notify": 60, **settings}
    with started(folder / "flash", PROGRAM.replace("{texts!r}", repr(texts)), config, "144k") as (_, monitor):
        yield monitor


def notification(request: Message, status: bytes = b"delivered") -> bytes:
    return receipt.build_notification(parse_cpim(request.body), status, DESK, BOARD, b"own", 0)


def test_a_notification_makes_delivered_of_an_accepted_alert(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", "hotter") as monitor:
        request = peer.answer(202)
        cpim = parse_cpim(request.body)
        assert (request.get(b"content-type"), cpim.body) == (imdn.CPIM, b"hot")
        assert cpim.address(b"From") == BOARD
        assert receipt.message_id(cpim) == request.get(b"call-id")
        assert peer.ask(peer.from_port, imdn.CPIM, notification(request), to=BOARD).status == 200
        monitor.wait_for(event="log", name="notification", fields=lambda fields: fields["status"] == "delivered")
        monitor.wait_for(event="console", text="alert: delivered")
        request = peer.answer(202)
        through_a_store = b"[Offline message - Tue Nov 24 09:33:37 2026] " + notification(request, b"failed")
        assert peer.ask(peer.from_port, b"text/plain", through_a_store, to=BOARD).status == 200
        monitor.wait_for(event="console", text="alert: failed")


def test_ack_names_what_it_stops_by_its_text(tmp_path: Path) -> None:
    program = PROGRAM.replace("expires=600", "to=[mote.settings['to'], 'sip:second@127.0.0.1:9'], escalate_s=600")
    with Peer(DESK) as peer:
        config = {
            "aor": BOARD.decode(),
            "to": f"sip:desk@127.0.0.1:{peer.port}",
            "bind": "127.0.0.1:0",
            "notify": 60,
            "allow": [DESK.decode()],
        }
        with started(tmp_path / "flash", program.replace("{texts!r}", "['hot']"), config, "144k"):
            assert parse_cpim(peer.answer(200).body).body == b"hot"
            assert peer.ask(peer.from_port, b"text/plain", b"ack", to=BOARD).status == 200
            assert peer.answer(200).body == b"stopped: hot"


def test_a_notification_may_come_packed(tmp_path: Path) -> None:
    """R0-P15: as Linphone sends it"""
    with Peer() as peer, board(tmp_path, peer, "hot", "hotter") as monitor:
        for encoding, pack in ((b"deflate", zlib.compress), (b"gzip", gzip.compress)):
            request = peer.answer(202)
            field = b"Content-Encoding: %s\r\n" % encoding
            for body, status in ((b"no such thing", 400), (pack(bytes(5000)), 413), (pack(notification(request)), 200)):
                assert peer.ask(peer.from_port, imdn.CPIM, body, field, BOARD).status == status
            monitor.wait_for(event="console", text="alert: delivered")
        refusal = peer.ask(peer.from_port, imdn.CPIM, b"x", b"Content-Encoding: br\r\n", BOARD)
        assert refusal.get(b"accept-encoding") == b"deflate, gzip, identity"


def test_what_there_is_no_memory_to_unpack_for_is_told_so() -> None:
    """R0-P15: with 2 KB in one piece what looks back no further still is, else it gets 413"""
    program = """
import sys
import mote.inflate as module
from agent.errors import ParseError
original = module.DeflateIO
packed = bytes(int(sys.argv[1][at : at + 2], 16) for at in range(0, len(sys.argv[1]), 2))

def unpacked(most):
    def limited(stream, form, bits):
        if bits > most:
            raise MemoryError
        return original(stream, form, bits)
    module.DeflateIO = limited
    try:
        return len(module.inflate(packed, b"gzip"))
    except ParseError as error:
        return error.status

print(unpacked(12), unpacked(11), unpacked(10))
"""
    assert run_program(program, gzip.compress(b"notification" * 100).hex(), "256k").stdout == "1200 1200 413\n"


def test_a_notification_that_comes_late_is_logged(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", notify=1) as monitor:
        request = peer.answer(202)
        monitor.wait_for(event="console", text="alert: accepted")
        assert peer.ask(peer.from_port, imdn.CPIM, notification(request), to=BOARD).status == 200
        line = monitor.wait_for(event="log", name="notification", level="info")
        assert line["fields"] == {"call_id": (request.get(b"call-id") or b"").decode(), "status": "delivered"}
        strange = notification(request).replace(request.get(b"call-id") or b"", b"somebody else's")
        assert peer.ask(peer.from_port, imdn.CPIM, strange, to=BOARD).status == 200
        monitor.wait_for(event="log", name="notification_ignored", level="debug")


def test_who_refuses_message_cpim_gets_the_text_from_then_on(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", "hotter") as monitor:
        peer.answer(415, b"Accept: text/plain\r\n")
        request = peer.answer(202)
        assert (request.get(b"content-type"), request.body) == (b"text/plain", b"hot")
        request = peer.answer(200)  # not waited for, since nobody will tell
        assert (request.get(b"content-type"), request.body) == (b"text/plain", b"hotter")
        monitor.wait_for(event="console", text="alert: delivered")


def test_the_budget_counts_what_stands_around_the_text(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "x" * 1200, budget="truncate"):
        request = peer.answer(200)
        assert 1290 < len(request.data) <= 1300
        assert parse_cpim(request.body).body[:3] == b"xxx"


def test_commands_are_taken_as_text_alone(tmp_path: Path) -> None:
    with Peer(DESK) as peer, board(tmp_path, peer, "hot", allow=[DESK.decode()]) as monitor:
        peer.answer(200)
        port = peer.from_port
        assert peer.ask(port, imdn.CPIM, build_cpim(DESK, BOARD, b"status"), to=BOARD).status == 415
        assert peer.ask(port, b"text/plain", b"status", to=BOARD).status == 200
        assert peer.answer(200).body == b"ok"
        monitor.wait_for(event="log", name="command")
        with Peer("sip:Büro@127.0.0.1".encode()) as stranger:  # no URI, and on no list
            assert stranger.ask(port, b"text/plain", b"status", to=BOARD).status == 403
        fields = monitor.wait_for(event="log", name="message_ignored")["fields"]
        assert fields["sender"] == "sip:Büro@127.0.0.1"


def test_alerts_are_plain_text_unless_told_otherwise(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", notify=0) as monitor:
        request = peer.answer(202)
        assert (request.get(b"content-type"), request.body) == (b"text/plain", b"hot")
        monitor.wait_for(event="console", text="alert: accepted")
        assert peer.ask(peer.from_port, imdn.CPIM, b"x", to=BOARD).get(b"accept") == b"text/plain"
