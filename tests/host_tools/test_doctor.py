"""`sipmote doctor`: each fault is provoked alone, and is named with its remedy; what depends on it isn't tried."""

import asyncio
import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.board import diagnosis
from sipmote.commands import doctor
from sipmote.link import repl
from sipmote.sip.probe import probe
from sipmote.sip.resolver import Resolver
from tests.dns_server import DnsServer
from tests.hardware.own_registrar import own_registrar
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.test_provision import desk, give_driver
from tests.host_tools.virtual import fill, modules, virtual_board
from tests.vm import terminal

PROGRAM = "with open('/starts','a') as f:\n f.write('.')\nimport time\nwhile True:\n time.sleep(1)\n"
SETTINGS = {"aor": "sip:boiler@127.0.0.1", "to": "sip:desk@127.0.0.1:9;transport=tcp", "bind": "127.0.0.1:0"}
SECRET = "steam engine"


class Doctor:
    """`sipmote doctor --json` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.code = 0

    def __call__(self, port: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the findings."""
        self.code = main(["doctor", "--port", port, "--json", *arguments])
        said = self._capsys.readouterr()
        assert SECRET not in said.out + said.err
        findings = [json.loads(line) for line in said.out.splitlines()]
        assert all(finding["event"] == "finding" and finding["text"] for finding in findings)
        assert self.code == int(any(finding["state"] == "failed" for finding in findings))
        return findings


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys)


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fill() puts on a board is compiled already."""
    wanted = {path: data for path, data in modules().items() if path.startswith("/lib/")}
    monkeypatch.setattr(diagnosis, "compile_packages", lambda: wanted)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits to hear whether a board starts again and again says so."""
    monkeypatch.setattr(diagnosis, "_LISTEN_S", 0.2)


def end_of_program(port: str) -> None:
    """Wait until the board is at its prompt."""
    with terminal(port) as person:
        person.write(b"\r")
        person.read_until(b">>> ")


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    fill(tmp_path / "flash", PROGRAM, SETTINGS)
    return tmp_path / "flash"


def configure(flash: Path, **settings: Any) -> None:
    (flash / "mote.json").write_text(json.dumps(SETTINGS | settings))


def states(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(finding["about"], finding["state"]) for finding in findings]


def one(findings: list[dict[str, Any]], about: str, words: str = "") -> dict[str, Any]:
    found = [each for each in findings if each["about"] == about and words in f"from {each['side']}: {each['text']}"]
    assert len(found) == 1, findings
    return found[0]


def contents(flash: Path) -> dict[str, str]:
    files = [path for path in flash.rglob("*") if path.is_file() and path.name != "starts"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_board_that_is_well_has_all_in_order_and_nothing_on_it_changes(flash: Path, examine: Doctor) -> None:
    with desk() as (uri, texts), virtual_board(flash, "128k") as port:
        configure(flash, to=uri, watchdog=20)
        before = contents(flash)
        findings = examine(port)
        assert contents(flash) == before
    assert (examine.code, states(findings)) == (
        0,
        [
            ("host", "ok"),
            ("port", "ok"),
            ("board", "ok"),
            ("firmware", "ok"),
            ("files", "ok"),
            ("configuration", "ok"),
            ("clock", "ok"),
            ("network", "not_tried"),
            ("name", "not_tried"),
            ("name", "not_tried"),
            ("server", "ok"),
            ("registration", "not_tried"),
            ("message", "ok"),
            ("message", "ok"),
        ],
    )
    assert [text.split()[0] for text in texts] == ["Test", "Test"]
    assert "program was running" in one(findings, "board")["text"]


def test_the_program_of_a_board_starts_again(flash: Path, examine: Doctor) -> None:
    with virtual_board(flash, "128k") as port:
        examine(port, "--no-send")
        examine(port, "--no-send")
    assert (flash / "starts").read_text() >= ".."


def test_no_test_message_is_sent_where_none_may_be(flash: Path, examine: Doctor) -> None:
    with desk() as (uri, texts), virtual_board(flash, "128k") as port:
        configure(flash, to=uri)
        findings = examine(port, "--no-send")
    assert examine.code == 0 and texts == []
    assert [finding["state"] for finding in findings if finding["about"] == "message"] == ["not_tried"] * 2


def test_without_a_port_nothing_behind_it_is_tried(examine: Doctor) -> None:
    findings = examine("/dev/nowhere")
    assert one(findings, "port")["text"].startswith("no port /dev/nowhere (ports there are: ")
    assert {finding["state"] for finding in findings[2:]} == {"not_tried"}


def test_a_board_without_a_prompt_is_told_with_the_remedy(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_ENTER_S", (0.1,)), ("_PRESSES_S", 0.5), ("_BUTTON_S", 0.1)):
        monkeypatch.setattr(repl, name, seconds)
    with FakeBoard(deaf=True) as board:
        findings = examine(board.port)
    assert "no MicroPython prompt" in one(findings, "board")["text"]
    assert {finding["state"] for finding in findings[3:]} == {"not_tried"}


def test_a_program_that_ends_as_it_starts_is_told_by_its_line(flash: Path, examine: Doctor) -> None:
    (flash / "main.py").write_text("import time\n\nprint(mode)\n")
    with virtual_board(flash, "128k") as port:
        end_of_program(port)
        board = one(examine(port, "--no-send"), "board")
    assert board["state"] == "failed" and "main.py line 3: NameError" in board["text"]


def test_a_board_without_a_program_is_told(flash: Path, examine: Doctor) -> None:
    (flash / "main.py").unlink()
    with virtual_board(flash, "128k") as port:
        end_of_program(port)
        board = one(examine(port, "--no-send"), "board")
    assert board["state"] == "failed" and "no program runs" in board["text"]


def test_a_board_that_starts_again_and_again_is_told(
    flash: Path, examine: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "_LISTEN_S", 2.0)
    (flash / "main.py").write_text("import machine, time\ntime.sleep(0.2)\nmachine.soft_reset()\n")
    with virtual_board(flash, "128k") as port:
        board = one(examine(port, "--no-send"), "board")
    assert board["state"] == "failed" and board["text"].startswith("it started ")


def test_a_firmware_that_lacks_what_is_needed_is_told(flash: Path, examine: Doctor) -> None:
    with virtual_board(flash, "128k", "--no-network") as port:
        findings = examine(port, "--no-send")
    assert "lacks" in one(findings, "firmware")["text"] and "socket" in one(findings, "firmware")["text"]
    assert one(findings, "network")["text"] == "firmware first"


def test_old_files_are_counted_and_the_rest_is_tried_all_the_same(flash: Path, examine: Doctor) -> None:
    (flash / "lib/mote/cut.mpy").write_bytes((flash / "lib/mote/durations.mpy").read_bytes())
    (flash / "lib/mote/left_over.mpy").write_bytes(b"M")
    with desk() as (uri, _), virtual_board(flash, "128k") as port:
        configure(flash, to=uri)
        findings = examine(port)
    files = one(findings, "files")
    assert files["text"].startswith("2 files are not") and files["remedy"] == "sipmote deploy"
    assert one(findings, "message", "from board")["state"] == "ok"


def test_a_file_of_the_users_that_hides_the_package_is_named(flash: Path, examine: Doctor) -> None:
    (flash / "mote.py").write_text("import socket\n")
    with virtual_board(flash, "128k") as port:
        findings = examine(port, "--no-send")
    files = one(findings, "files")
    assert "/mote.py" in files["text"] and files["remedy"].startswith("mpremote fs rm -r :mote.py")
    assert one(findings, "network")["text"] == "files first"


def test_a_board_without_mote_is_told(tmp_path: Path, examine: Doctor) -> None:
    with virtual_board(tmp_path / "flash", "128k") as port:
        findings = examine(port)
    assert one(findings, "files")["text"] == "mote isn't on the board"
    assert one(findings, "configuration")["remedy"] == "sipmote provision"
    assert one(findings, "network")["text"] == "files and configuration first"


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"aor": ', "is not JSON"), ('{"aor": "sip:a@x"}', "lacks to"), ('{"aor": "x", "to": "sip:a@x"}', "aor must be")],
)
def test_a_wrong_configuration_is_told(text: str, words: str, flash: Path, examine: Doctor) -> None:
    (flash / "mote.json").write_text(text)
    with virtual_board(flash, "128k") as port:
        findings = examine(port)
    assert one(findings, "configuration")["state"] == "failed" and words in one(findings, "configuration")["text"]
    assert one(findings, "server")["state"] == "not_tried"


def test_a_clock_that_was_never_set_is_told_unless_a_time_server_will(flash: Path, examine: Doctor) -> None:
    with virtual_board(flash, "128k", "--no-clock") as port:
        clock = one(examine(port, "--no-send"), "clock")
        assert (clock["state"], clock["text"]) == ("failed", "it was never set")
        configure(flash, ntp="time.test")
        assert one(examine(port, "--no-send"), "clock")["state"] == "ok"


def test_a_wrong_wifi_password_is_told_from_the_board_and_the_way_from_here_is_gone_all_the_same(
    flash: Path, examine: Doctor
) -> None:
    give_driver(flash, joins=False, status=202)
    with desk() as (uri, texts), virtual_board(flash, "128k") as port:
        configure(flash, to=uri, wifi=[["home", SECRET]])
        findings = examine(port)
    assert one(findings, "network")["text"] == "home: wrong password"
    assert one(findings, "message", "from board")["state"] == "not_tried"
    assert one(findings, "message", "from here")["state"] == "ok" and len(texts) == 1


def test_a_server_that_is_not_there_is_told_and_gets_no_message(flash: Path, examine: Doctor) -> None:
    with virtual_board(flash, "128k") as port:
        findings = examine(port)
    server = one(findings, "server")
    assert server["state"] == "failed" and "connection refused" in server["text"]
    assert one(findings, "message", "from here")["state"] == "not_tried"
    assert one(findings, "message", "from board")["state"] == "failed"


def test_keys_that_a_configuration_asks_for_are_looked_at(flash: Path, examine: Doctor) -> None:
    configure(flash, protect="sign")
    with virtual_board(flash, "128k") as port:
        found = one(examine(port, "--no-send"), "keys")
        assert (found["state"], found["remedy"]) == ("failed", "sipmote provision --protect gives it what it lacks")


def test_a_name_is_looked_up_from_the_board_and_from_here(
    flash: Path, examine: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board has no such name, this computer has it."""
    with (
        desk() as (uri, _),
        DnsServer({}) as none,
        DnsServer({("desk.test", "A"): ["127.0.0.1"]}) as dns,
        virtual_board(flash, "128k") as port,
    ):
        monkeypatch.setattr(doctor, "Resolver", lambda transport: Resolver(transport, ("127.0.0.1", dns.port)))
        monkeypatch.setattr(doctor, "_message", lambda to, config: doctor.Finding("message", "ok", to, side="here"))
        configure(flash, to=uri.replace("127.0.0.1", "desk.test"), dns=none.place)
        findings = examine(port)
    assert one(findings, "name", "from board")["state"] == "failed"
    assert one(findings, "name", "from here")["text"].startswith("desk.test is 127.0.0.1 port ")
    assert one(findings, "server")["state"] == "ok"


def test_a_name_that_nobody_knows_here_is_told(flash: Path, examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with DnsServer({}) as dns, virtual_board(flash, "128k") as port:
        monkeypatch.setattr(doctor, "Resolver", lambda transport: Resolver(transport, ("127.0.0.1", dns.port)))
        configure(flash, to="sip:desk@nowhere.test", dns=dns.place)
        findings = examine(port)
    assert one(findings, "name", "from here: no address found for nowhere.test")["state"] == "failed"
    assert one(findings, "server")["state"] == "not_tried"


def test_a_wrong_password_is_told_by_the_registrar_and_by_the_server(flash: Path, examine: Doctor) -> None:
    registrar = own_registrar("udp", "boiler", "steam", "SHA-256", 20, "127.0.0.1")
    with registrar as server, virtual_board(flash, "128k") as port:
        where = f"127.0.0.1:{server}"
        configure(flash, to=f"sip:desk@{where}", proxy=f"sip:{where}", register=20, user="boiler", password=SECRET)
        findings = examine(port)
    assert "401" in one(findings, "registration")["text"]
    assert one(findings, "message", "from board")["state"] == "not_tried"
    here = one(findings, "message", "from here")
    assert here["state"] == "failed" and here["remedy"] == "check the name and the password"


def test_what_answers_at_a_port_and_is_no_sip_server_is_told() -> None:
    """Over TCP and over UDP."""

    async def ask(transport: bytes) -> str:
        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"HTTP/1.1 400 Bad Request\r\n")
            writer.close()

        server = await asyncio.start_server(web, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        echo, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Echo, ("127.0.0.1", port))
        try:
            return await probe((transport, b"127.0.0.1", port), b"sip:127.0.0.1")
        finally:
            echo.close()
            server.close()

    for transport in (b"TCP", b"UDP"):
        with pytest.raises(OSError, match="isn't SIP"):
            asyncio.run(ask(transport))


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(data, addr)


def test_a_closed_port_is_told_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    for transport in (b"UDP", b"TCP"):
        with pytest.raises(OSError, match="connection refused"):
            asyncio.run(probe((transport, b"127.0.0.1", port), b"sip:127.0.0.1"))
