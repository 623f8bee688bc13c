"""`sipmote ask` as a process: what comes back is printed, and its exit code says what became of the question."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dns_server import closed_port
from tests.host_tools.peers import PATIENCE, answer, header, message, read_messages, sipmote
from tests.host_tools.virtual import virtual_board
from tests.interop.kamailio import Registrar
from tests.interop.peers import free_port
from tests.interop.test_kamailio import reachable
from tests.sip_peer import Peer
from tests.tools import Tool

PROGRAM = """
from mote import Mote
mote = Mote()
@mote.every(3600)
async def boiler():
    await mote.alert("hot")
@mote.command("status")
def status(message):
    return "ok, 81 C"
mote.run()
"""


class Asked:
    """Answers the first request over UDP by a function of it, which gets what sends to who asked."""

    def __init__(self, react: Callable[[bytes, Callable[[bytes], None]], None]) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(PATIENCE)
        self.port = self._sock.getsockname()[1]
        self.got: list[bytes] = []
        self._react = react
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        data, address = self._sock.recvfrom(65535)
        if data:
            self.got.append(data)
            self._react(data, lambda octets: self._sock.sendto(octets, address) and None)

    def next(self) -> bytes:
        """What comes to it next."""
        return self._sock.recv(65535)

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._sock.close()


@pytest.mark.parametrize("is_early", [False, True])
def test_what_comes_back_is_printed(is_early: bool) -> None:
    """Also when it comes before the 200 does; a board's own address-of-record, if it is another one, is named."""

    def react(request: bytes, reply: Callable[[bytes], None]) -> None:
        octets = [answer(request, "200 OK"), message("back", "81 °C\nand \x1b[2J more".encode())]
        for one in reversed(octets) if is_early else octets:
            reply(one)

    with Asked(react) as asked:
        code, out, err = sipmote("ask", f"sip:boiler@127.0.0.1:{asked.port}", "status", "--from", "sip:desk@127.0.0.1")
        assert (code, err) == (0, "")
        assert out == "sip:boiler@example.org:\n81 °C\nand \\x1b[2J more\n"
        assert header(asked.got[0], "From").startswith("<sip:desk@127.0.0.1>;tag=")
        assert asked.next().startswith(b"SIP/2.0 200 ")


def test_programs_get_the_message() -> None:
    def react(request: bytes, reply: Callable[[bytes], None]) -> None:
        reply(answer(request, "200 OK"))
        reply(message("back", b"81 C"))

    with Asked(react) as asked:
        code, out, _ = sipmote("ask", f"sip:boiler@127.0.0.1:{asked.port}", "status", "--json")
        line = json.loads(out)
        assert (code, line["event"], line["body"], line["from"]) == (0, "answer", "81 C", "sip:boiler@example.org")


def test_over_a_stream_the_answer_comes_back_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"sip:boiler@127.0.0.1:{server.getsockname()[1]};transport=tcp"
        with Tool("ask", uri, "status") as tool:
            stream, _ = server.accept()
            with stream:
                request = read_messages(stream, 1)[0]
                stream.sendall(answer(request, "200 OK") + message("back", b"81 C", transport="TCP"))
                assert tool.wait_for(event="answer")["body"] == "81 C"
                assert tool.wait() == 0


ASKED = (
    # asked, From of what comes, is it the answer?
    ("sip:boiler@127.0.0.1", "sip:boiler@example.org", True),  # the board's own address-of-record
    ("sip:boiler@127.0.0.1", "sip:%62oiler@127.0.0.1:5099;x=y", True),
    ("sip:boiler@127.0.0.1", "sip:127.0.0.1", True),
    ("sip:127.0.0.1", "sip:boiler@example.org", True),
    ("sip:boiler@127.0.0.1", "sip:carl@127.0.0.1", False),  # a server brings messages of many
    ("sip:boiler@127.0.0.1", "sip:Boiler@example.org", False),
    ("sip:boiler@127.0.0.1", "sip:anonymous@anonymous.invalid", False),
)


@pytest.mark.parametrize("uri, sender, is_answer", ASKED)
def test_who_was_asked_answers(uri: str, sender: str, is_answer: bool) -> None:
    """R3261-19-1: and no other user of a host that brings messages of many; 480 tells that nobody reads here"""
    others: list[bytes] = []

    def react(request: bytes, reply: Callable[[bytes], None]) -> None:
        reply(message("meanwhile", b"hi", sender=sender))
        reply(answer(request, "200 OK"))
        others.append(asked.next())
        if not is_answer:
            reply(message("back", b"81 C", sender=uri))

    with Asked(react) as asked:
        code, out, err = sipmote("ask", f"{uri}:{asked.port}", "status")
    assert (code, err) == (0, "")
    assert others[0].startswith(b"SIP/2.0 200 " if is_answer else b"SIP/2.0 480 ")
    named = "" if not is_answer or "%62" in sender else f"{sender}:\n"
    assert out == named + ("hi\n" if is_answer else "81 C\n")


def test_who_wrote_instead_is_named_where_no_answer_came() -> None:
    def react(request: bytes, reply: Callable[[bytes], None]) -> None:
        reply(answer(request, "202 Accepted"))
        for number in range(9):
            reply(message(f"m{number}", b"hi", sender=f"sip:carl{number}@127.0.0.1"))

    with Asked(react) as asked:
        code, _, err = sipmote("ask", f"sip:boiler@127.0.0.1:{asked.port}", "status", "--timeout", "1")
    assert code == 3 and "sip:carl0@127.0.0.1, sip:carl1@127.0.0.1" in err and "was not asked" in err
    assert "carl3" in err and "carl4" not in err


def test_who_a_redirect_names_answers() -> None:
    """R3261-8.1-12: it was asked in the end"""
    with (
        Peer() as old,
        Peer(b"sip:kessel@example.org") as new,
        Tool("ask", f"sip:boiler@127.0.0.1:{old.port}", "x") as t,
    ):
        old.answer(302, b"Contact: <sip:kessel@127.0.0.1:%d>\r\n" % new.port)
        new.answer(200)
        assert new.ask(new.from_port, b"text/plain", b"81 C").status == 200
        assert t.wait_for(event="answer")["from"] == "sip:kessel@example.org"


def test_nobody_else_answers() -> None:
    """Whoever writes to our port from elsewhere is told that nobody reads here."""
    with Peer(b"sip:boiler@example.net") as asked, Tool("ask", f"sip:boiler@127.0.0.1:{asked.port}", "x") as tool:
        request = asked.answer(200)
        host, _, port = (request.get(b"via") or b"").split()[1].partition(b";")[0].partition(b":")
        assert host == b"127.0.0.1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.settimeout(PATIENCE)
            other.bind(("127.0.0.2", 0))
            other.sendto(message("a"), ("127.0.0.1", int(port)))
            assert other.recv(65535).startswith(b"SIP/2.0 480 ")
        assert asked.ask(int(port), b"text/plain", b"81 C").status == 200
        assert tool.wait_for(event="answer")["body"] == "81 C"


def test_each_end_has_an_exit_code_and_a_remedy() -> None:
    for status_line, code, said in (
        ("403 Forbidden", 4, "failed: 403 Forbidden (a board takes commands from the addresses in its allow"),
        ("401 Unauthorized", 4, "add --user NAME"),
        ("200 OK", 3, "delivered, but no answer came in 0.5 s (wait longer with --timeout"),
        ("202 Accepted", 3, "accepted, but no answer came in 0.5 s"),
        ("", 5, "timeout: no final response in 0.5 s (check host, port and transport"),
    ):

        def react(request: bytes, reply: Callable[[bytes], None], status_line: str = status_line) -> None:
            if status_line:
                reply(answer(request, status_line))

        with Asked(react) as asked:
            found = sipmote("ask", f"sip:boiler@127.0.0.1:{asked.port}", "status", "--timeout", "0.5")
        assert found[0] == code and said in found[2] and found[2].count("\n") == 1 and found[1] == "", found
    refused = closed_port(socket.SOCK_STREAM)
    code, _, err = sipmote("ask", f"sip:boiler@127.0.0.1:{refused};transport=tcp", "status")
    assert code == 5 and f"connection refused (nobody listens at sip:boiler@127.0.0.1:{refused};transport=tcp: " in err
    for wrong in (["boiler", "x"], ["sip:b@127.0.0.1", "x", "--from", "desk"], ["sip:b@x", "y", "--timeout", "0"]):
        code, _, err = sipmote("ask", *wrong)
        assert code == 2 and err.count("\n") == 1, err


def test_a_board_answers_who_may_ask(tmp_path: Path) -> None:
    """R0-P6: the one that it was told to write to, and nobody who doesn't say so"""
    (tmp_path / "boiler.py").write_text(PROGRAM)
    with Peer() as desk:
        settings = {"aor": "sip:boiler@127.0.0.1", "to": f"sip:desk@127.0.0.1:{desk.port}", "bind": "127.0.0.1:0"}
        (tmp_path / "mote.json").write_text(json.dumps(settings))
        (tmp_path / "flash").mkdir()
        with virtual_board(tmp_path / "flash", "128k") as port:
            program, config = str(tmp_path / "boiler.py"), str(tmp_path / "mote.json")
            with Tool("deploy", program, "--port", port, "--config", config) as deploy:
                assert deploy.wait(120) == 0, deploy.transcript()
            with Tool("monitor", "--port", port):
                desk.answer(200)
                board = f"sip:boiler@127.0.0.1:{desk.from_port}"
                assert sipmote("ask", board, "status", "--from", "sip:desk@127.0.0.1")[:2] == (0, "ok, 81 C\n")
                code, _, err = sipmote("ask", board, "status", "--from", "sip:stranger@127.0.0.1")
                assert code == 4 and "its allow" in err and "--from" in err


def test_of_all_that_a_server_brings_the_one_who_was_asked_answers(tmp_path: Path) -> None:
    """R3261-19-1: behind a proxy, where everybody's messages come from the same place"""
    with ExitStack() as ends:
        proxy = ends.enter_context(Registrar(tmp_path)).uri()
        users = [ends.enter_context(reachable(tmp_path, name, proxy, "--interactive")) for name in ("boiler", "carl")]
        boiler, carl = users
        port = free_port()
        here = (f"sip:me@127.0.0.1:{port}", "--bind", f"udp:127.0.0.1:{port}", "--timeout", "20")
        tool = Tool("ask", "sip:boiler@interop.test", "status", "--proxy", proxy, "--from", *here)
        ends.callback(tool.stop)
        assert boiler.wait_for(event="message")["body"] == "status"
        carl.type(f"{here[0]} lunch?")
        assert carl.wait_for(event="outcome")["status"] == 480
        boiler.type(f"{here[0]} 81 C")
        assert tool.wait_for(event="answer")["body"] == "81 C"
        assert tool.wait() == 0
