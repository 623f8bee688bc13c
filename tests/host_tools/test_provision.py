"""`sipmote provision` with virtual boards: what is written, what is tried, and what is said of each fault."""

import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serial.tools.list_ports_common import ListPortInfo

from sipmote.__main__ import main
from sipmote.board.provision_fields import Prompts, from_csv, from_env_file, from_environment
from sipmote.board.self_test import Report
from sipmote.commands import provision
from sipmote.console import Output
from sipmote.errors import ToolError
from tests.dns_server import DnsServer
from tests.hardware.own_registrar import own_registrar
from tests.host_tools.peers import until
from tests.host_tools.virtual import fill, virtual_board
from tests.sip_peer import Peer

SECRET = "open sesame"
PROGRAM = "with open('/starts','a') as f:\n f.write('.')\nimport time\nwhile True:\n time.sleep(1)\n"
OLD = {"aor": "sip:old@127.0.0.1", "to": "sip:desk@127.0.0.1:9", "bind": "127.0.0.1:0"}
DRIVER = """
STA_IF = 0
STAT_IDLE = 1000
class WLAN:
    def __init__(self, which=0): pass
    def active(self, on=None): pass
    def config(self, **options): pass
    def connect(self, ssid, key): pass
    def isconnected(self): return JOINS
    def status(self, what=None): return RSSI if what == "rssi" else STATUS
    def ifconfig(self): return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
"""


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    fill(tmp_path / "flash", PROGRAM, OLD)
    return tmp_path / "flash"


def give_driver(flash: Path, joins: bool, status: int, rssi: int = -50) -> None:
    """Put a Wi-Fi driver on a board that behaves so."""
    (flash / "lib" / "network.py").write_text(f"JOINS = {joins}\nSTATUS = {status}\nRSSI = {rssi}\n{DRIVER}")


@contextmanager
def desk() -> Iterator[tuple[str, list[str]]]:
    """A recipient who answers 200 to all; gives its URI and the texts that came."""
    texts: list[str] = []
    with Peer(b"sip:desk@127.0.0.1") as peer:

        def serve() -> None:
            while True:
                request = peer.answer(200)
                text = request.body.decode()
                if text == "end":
                    return
                if request.method == b"MESSAGE":
                    texts.append(text)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"sip:desk@127.0.0.1:{peer.port}", texts
        finally:
            with Peer() as other:
                other.send(peer.port, b"text/plain", b"end")
                thread.join()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """`sipmote provision --json` in this process with such a .env; returns the exit code and the events."""

    def call(port: str, *lines: str, code: int = 0) -> list[dict[str, Any]]:
        source = tmp_path / "board.env"
        source.write_text("\n".join(lines))
        source.chmod(0o600)
        assert main(["provision", "--port", port, "--from", str(source), "--json"]) == code
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err
        return [json.loads(line) for line in said.out.splitlines()]

    return call


def found(events: list[dict[str, Any]], about: str) -> dict[str, Any]:
    (finding,) = (event for event in events if event.get("about") == about)
    return finding


def states(events: list[dict[str, Any]]) -> dict[str, str]:
    return {event["about"]: event["state"] for event in events if event["event"] == "finding"}


def test_a_board_is_told_who_it_is_tried_and_started_again(flash: Path, run: Any) -> None:
    """The same once more changes nothing, and what is secret shows nowhere."""
    with virtual_board(flash, "128k", "--no-clock") as port, desk() as (uri, texts):
        wanted = ("SIPMOTE_AOR=sip:boiler@127.0.0.1", f'to="{uri}"', "user=boiler", f"password={SECRET}", "log=debug")
        events = run(port, "# a board", *wanted)
        assert states(events) == {
            "configuration": "ok",
            "clock": "ok",
            "network": "not_tried",
            "name": "not_tried",
            "registration": "not_tried",
            "alert": "ok",
        }
        assert found(events, "alert")["text"] == f"delivered to {uri}"
        settings = {event["key"]: event["value"] for event in events if event["event"] == "setting"}
        assert settings["password"] == "(set)" and settings["aor"] == "sip:boiler@127.0.0.1"
        stored = (flash / "mote.json").read_text()
        assert json.loads(stored) == {**settings, "password": SECRET}
        assert (flash / "clock").exists()
        (flash / "starts").unlink(missing_ok=True)
        assert found(run(port, *wanted), "configuration")["text"] == "the board has all of it already"
        assert (flash / "mote.json").read_text() == stored
        until(lambda: (flash / "starts").exists() and not (flash / "outbox").exists())
    assert len(texts) == 2 and texts[0].startswith("Test alert")


def test_a_board_without_mote_gets_it(tmp_path: Path, run: Any) -> None:
    with virtual_board(tmp_path / "flash", "128k") as port, desk() as (uri, _):
        events = run(port, "aor=sip:boiler@127.0.0.1", f"to={uri}")
    assert found(events, "files")["state"] == found(events, "alert")["state"] == "ok"


def test_a_wrong_wifi_password_is_named_with_the_remedy_and_nothing_behind_it_is_tried(flash: Path, run: Any) -> None:
    give_driver(flash, joins=False, status=202)
    with virtual_board(flash, "128k") as port:
        events = run(port, "wifi=home", f"wifi_password={SECRET}", "register=600", code=1)
    network = found(events, "network")
    assert (network["state"], network["text"]) == ("failed", "home: wrong password")
    assert network["remedy"].endswith("sipmote config set --wifi home")
    assert states(events)["registration"] == states(events)["alert"] == "not_tried"
    assert json.loads((flash / "mote.json").read_text())["wifi"] == [["home", SECRET]]


def test_a_network_that_is_joined_tells_its_strength(flash: Path, run: Any) -> None:
    give_driver(flash, joins=True, status=1010, rssi=-81)
    with virtual_board(flash, "128k") as port, desk() as (uri, _):
        events = run(port, "wifi=home", f"wifi_password={SECRET}", f"to={uri}")
    assert found(events, "network")["text"].startswith("joined home as 127.0.0.1, -81 dBm, weak")
    assert found(events, "alert")["state"] == "ok"


def test_a_name_that_is_not_found_is_told_and_no_alert_is_sent_there(flash: Path, run: Any) -> None:
    with DnsServer({}) as dns, virtual_board(flash, "128k") as port:
        events = run(port, "to=sip:desk@nowhere.test", f"dns={dns.place}", code=1)
    assert "no address found for nowhere.test" in found(events, "name")["text"]
    assert found(events, "alert")["text"] == "sip:desk@nowhere.test: its name is not found"


def test_a_name_is_told_with_its_address(flash: Path, run: Any) -> None:
    with (
        desk() as (uri, _),
        DnsServer({("desk.test", "A"): ["127.0.0.1"]}) as dns,
        virtual_board(flash, "128k") as port,
    ):
        named = uri.replace("127.0.0.1", "desk.test")
        events = run(port, f"to={named}", f"dns={dns.place}")
    assert found(events, "name")["text"].startswith("desk.test is 127.0.0.1 port ")
    assert found(events, "alert")["state"] == "ok"


@pytest.mark.parametrize("password", ["steam", "stream"])
def test_a_registrar_says_whether_the_password_is_right(password: str, flash: Path, run: Any) -> None:
    registrar = own_registrar("udp", "boiler", "steam", "SHA-256", 20, "127.0.0.1")
    with registrar as server, virtual_board(flash, "128k") as port:
        where = f"127.0.0.1:{server}"
        aor, to, proxy = "aor=sip:boiler@127.0.0.1", f"to=sip:desk@{where}", f"proxy=sip:{where}"
        login = ("register=20", "user=boiler", f"password={password}")
        events = run(port, aor, to, proxy, *login, code=int(password != "steam"))
    registration = found(events, "registration")
    if password == "steam":
        assert (registration["state"], states(events)["alert"]) == ("ok", "ok")
    else:
        assert (registration["state"], states(events)["alert"]) == ("failed", "not_tried")
        assert "401" in registration["text"] and "--user NAME" in registration["remedy"]


def test_a_recipient_whom_nobody_answers_for_is_told(flash: Path, run: Any) -> None:
    with virtual_board(flash, "128k") as port:
        events = run(port, "to=sip:desk@127.0.0.1:9;transport=tcp", code=1)
    alert = found(events, "alert")
    assert alert["state"] == "failed" and alert["text"].startswith("sip:desk@127.0.0.1:9;transport=tcp: no answer")
    assert "host, port and transport" in alert["remedy"]


def test_an_alert_that_expired_on_a_slow_board_has_had_no_answer_in_time() -> None:
    to = "sip:desk@192.0.2.1"
    alert = Report({"aor": "sip:boiler@192.0.2.7", "to": to}, [("alert", to, "expired")], [to]).findings()[-1]
    assert (alert.state, alert.text) == ("failed", f"{to}: no answer in time")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["aor=boiler"], "aor must be a URI"),
        (["wifi=home"], "wifi_password is missing"),
        (["wifi=home", "wifi_password=short"], "8 to 63 characters"),
        (["wifi_password=open sesame"], "wifi is missing"),
        (["commander=alice"], "commander_password is missing"),
        (["commander=al:ice", "commander_password=x"], "without colons"),
        (["colour=red"], "unknown name 'colour'"),
        (["wfi=home"], "is wifi meant?"),
        (["aor"], "line 1: NAME=VALUE"),
        ([], "nothing to write"),
    ],
)
def test_what_is_wrong_is_said_before_a_board_is_touched(
    lines: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "x.env"
    source.write_text("\n".join(lines))
    assert main(["provision", "--port", "/dev/nowhere", "--from", str(source)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert words in said[-1] and "/dev/nowhere" not in said[-1]


def test_a_batch_tells_those_that_failed_in_the_end(
    tmp_path: Path, flash: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One board is known by its serial number, one isn't there; the password is in the environment."""
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", SECRET)
    give_driver(flash, joins=True, status=1010)
    source = tmp_path / "boards.csv"
    with virtual_board(flash, "128k") as port, desk() as (uri, texts):
        usb = ListPortInfo(port)
        usb.vid, usb.pid, usb.serial_number = 1, 2, "7001"
        monkeypatch.setattr(provision, "usb_ports", lambda: [usb])
        source.write_text(
            f"\ufeffserial;aor;to;wifi\n7002;sip:gone@127.0.0.1;{uri};home\n7001;sip:boiler@127.0.0.1;{uri};home\n;;;\n"
        )
        assert main(["provision", "--from", str(source), "--json"]) == 1
    said = capsys.readouterr().out
    assert SECRET not in said
    events = [event for event in map(json.loads, said.splitlines()) if event["event"] in ("provisioned", "batch")]
    assert [(event.get("board"), event["ok"]) for event in events] == [("7001", True), ("7002", False), (None, 1)]
    assert events[1]["failed"][0]["text"] == "no board has the serial number 7002 (there are: 7001)"
    assert (events[2]["failed"], events[2]["left"], len(texts)) == (1, 0, 1)
    assert json.loads((flash / "mote.json").read_text())["wifi"] == [["home", SECRET]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aor,to\nsip:a@x,sip:b@x\n", "a column port or serial"),
        ("port,colour\n/dev/a,red\n", "unknown name 'colour'"),
        ("port,aor,aor\n", "aor is there twice"),
        ("port,aor\n/dev/a,sip:a@x\n/dev/a,sip:b@x\n", "line 3: /dev/a is in line 2, too"),
        ("port,aor\n,sip:a@x\n", "line 2: which board?"),
        ("port,to\n/dev/a,sip:a@x,sip:b@x\n", "line 2: 2 values were expected"),
        ("port,to\n/dev/a\n", "line 2: 2 values were expected"),
        ('port,to\n/dev/a,"sip:a@x\n', "line 1: unexpected end of data"),
    ],
)
def test_a_csv_that_can_be_read_otherwise_is_refused_by_its_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "boards.csv"
    path.write_text(text)
    with pytest.raises(ToolError, match=words.replace("?", r"\?")):
        list(from_csv(path))


def test_all_rows_are_checked_before_a_board_is_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "boards.csv"
    path.write_text("port,aor,to\n/dev/nowhere,sip:a@x,sip:b@x\n/dev/nowhere2,a@x,sip:b@x\n")
    assert main(["provision", "--from", str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "/dev/nowhere2: " in said.err and "aor must be" in said.err


def test_two_rows_for_one_board_are_refused_before_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, port = tmp_path / "boards.csv", tmp_path / "ttyUSB0"
    port.touch()
    usb = ListPortInfo(str(port))
    usb.vid, usb.pid, usb.serial_number = 1, 2, "7001"
    monkeypatch.setattr(provision, "usb_ports", lambda: [usb])
    path.write_text(f"port,serial,aor,to\n{port},,sip:a@x,sip:b@x\n,7001,sip:c@x,sip:b@x\n")
    assert main(["provision", "--from", str(path)]) == 1
    assert f"7001 and {port} are one board" in capsys.readouterr().err


def test_fields_of_a_file_and_of_the_environment_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says counts more; the password of nobody here, which other commands take, stays out."""
    for name, value in {"AOR": "sip:env@x", "TO": "sip:desk@x", "PASSWORD": SECRET, "WIFI_PASSWORD": SECRET}.items():
        monkeypatch.setenv(f"SIPMOTE_{name}", value)
    path = tmp_path / ".env"
    path.write_text("export SIPMOTE_AOR='sip:file@x'\nWIFI = home\n")
    assert from_environment(from_env_file(path)) == {
        "aor": "sip:file@x",
        "to": "sip:desk@x",
        "wifi": "home",
        "wifi_password": SECRET,
    }


def test_a_prompt_asks_again_for_what_is_wrong_and_nothing_for_what_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ["desk", "sip:desk@x, sip:night@x", "home", "", "boiler", ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in answers)))
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", SECRET)
    monkeypatch.setenv("SIPMOTE_PASSWORD", "steam")
    fields = Prompts(Output(False), {"aor": "sip:boiler@x"}).ask()
    assert fields == {
        "aor": "sip:boiler@x",
        "to": "sip:desk@x, sip:night@x",
        "wifi": "home",
        "wifi_password": SECRET,
        "user": "boiler",
        "password": "steam",
    }
    said = capsys.readouterr().err
    assert "to must be a URI" in said and "who is this board" not in said and SECRET not in said
    with pytest.raises(ToolError, match="the answers ended"):
        Prompts(Output(False), {}).ask()
