"""The heartbeats of boards at an inbox: taken, told to programs, and neither kept nor passed on."""

import time
from pathlib import Path

import pytest

from sipmote.agent.cms import mime
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import ParseError
from sipmote.inbox.heartbeat import HEARTBEAT, read_heartbeat
from sipmote.link.frames import QUALITIES
from sipmote.smime.writer import Writer
from tests.host_tools.certificates import Issued, issue
from tests.sip_peer import Peer
from tests.tools import Tool

_BODY = b"every=300 up=3600 free=43210 rssi=-61 clock=ntp waiting=0"
_SAID = {"every": 300, "up": 3600, "free": 43210, "rssi": -61, "clock": "ntp", "waiting": 0}
_BOARD = b"sip:boiler@example.org"


def test_a_heartbeat_is_read_and_what_can_not_be_is_left_out() -> None:
    for body, said in (
        (_BODY, _SAID),
        (b"", {}),
        (b"every=300 colour=red up=1 x=y=z", {"every": 300, "up": 1}),
        (b"every=0 up=-1 free=1e5 rssi=7 waiting= clock=sundial", {}),
        (b"every=+5 up=1_0 rssi=-0x1 free=99999999999", {}),
        (b" ".join([b"k%d=1" % n for n in range(15)]) + b" up=7", {"up": 7}),
    ):
        assert read_heartbeat(body) == said
    for quality in QUALITIES:
        assert read_heartbeat(b"clock=%s" % quality.encode()) == {"clock": quality}


@pytest.mark.parametrize(
    "body",
    [
        b"every",
        b"=300",
        b"every=300  up=1",
        b"every=300 ",
        b"every=300\r\nup=1",
        b"every=300 name=K\xc3\xbche",
        b"every=300 name=\x1b[2J",
        b" ".join([b"a=1"] * 17),
        b"a=" + b"1" * 255,
    ],
)
def test_what_is_no_heartbeat_is_none(body: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        read_heartbeat(body)
    assert caught.value.status == 400


def _inbox(*options: str) -> Tool:
    return Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", *options)


def _port(tool: Tool) -> int:
    return int(tool.wait_for(event="ready")["bind"][0].rpartition(":")[2])


def _signed(boiler: Issued, body: bytes) -> bytes:
    cpim = build_cpim(_BOARD, b"sip:desk@127.0.0.1", body, HEARTBEAT, int(time.time()))
    return Writer(boiler, None, False).protect(imdn.CPIM, cpim)[1]


def test_a_heartbeat_is_a_line_and_no_message_whatever_is_accepted_and_its_signature_is_judged(tmp_path: Path) -> None:
    boiler = issue(tmp_path, "boiler", _BOARD.decode())
    options = ("--accept", "text/plain", "--smime-trust", boiler.certificate_path)
    with _inbox(*options, "--exec", "false") as tool, Peer(_BOARD) as peer:
        port = _port(tool)
        assert peer.ask(port, HEARTBEAT, _BODY).status == 200
        line = tool.wait_for(event="heartbeat", **_SAID)
        assert line["from"] == "sip:boiler@example.org" and line["received"] and line["source"]
        assert not {"body", "body_base64", "content_type", "signature"} & {*line}
        assert peer.ask(port, mime.SIGNED, _signed(boiler, b"up=7")).status == 200
        assert tool.wait_for(event="heartbeat", up=7)["signature"]["state"] == "good"
        assert peer.ask(port, HEARTBEAT, b"up").status == 400
        assert peer.ask(port, mime.SIGNED, _signed(boiler, b"up")).status == 400
        assert peer.ask(port, b"text/plain", b"hot").status == 200
        assert tool.wait_for(event="message")["body"] == "hot"
        assert len([line for line in tool.lines if line["event"] == "heartbeat"]) == 2


def test_who_has_to_log_in_or_to_sign_has_to_for_a_heartbeat_too(tmp_path: Path) -> None:
    boiler = issue(tmp_path, "boiler", _BOARD.decode())
    users = tmp_path / "users"
    users.write_text(f"boiler:127.0.0.1:MD5:{'0' * 32}\n")
    for options, status in (
        (("--users", str(users)), 401),
        (("--smime-trust", boiler.certificate_path, "--require-signed"), 403),
    ):
        with _inbox(*options) as tool, Peer(_BOARD) as peer:
            assert peer.ask(_port(tool), HEARTBEAT, _BODY).status == status


def test_a_relay_takes_a_heartbeat_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    """The next message of its sender is the first that goes on"""
    with (
        Peer(b"sip:desk@127.0.0.1") as desk,
        Peer(_BOARD) as peer,
        _inbox("--relay-to", f"sip:desk@127.0.0.1:{desk.port}") as tool,
    ):
        assert peer.ask(_port(tool), HEARTBEAT, _BODY).status == 200
        tool.wait_for(event="heartbeat", **_SAID)
        assert peer.ask(_port(tool), b"text/plain", b"hot").status == 202
        assert desk.answer(200).body == b"hot"
