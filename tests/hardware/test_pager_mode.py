"""R3261-22-2, R3428-11.2, R3581-1, R3261-8.2-2: a board as a user of a SIP server, over TLS, and with commanders."""

import datetime
import hashlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.demo.main_job import BOILER
from tests.hardware.board import HOST, SLOW_S, here, on_a_board, running, set_clock, start
from tests.hardware.own_registrar import REALM, hashed, own_registrar
from tests.interop.kamailio import Registrar, password_of
from tests.interop.peers import free_port
from tests.interop.test_kamailio import reachable
from tests.tools import Line, Tool

pytestmark = on_a_board


_HOT = """
import gc

from mote import Mote

mote = Mote()


def tell(when):
    gc.collect()
    text = "heap %s: %d octets used, %d free" % (when, gc.mem_alloc(), gc.mem_free())
    try:
        import esp32

        regions = esp32.idf_heap_info(esp32.HEAP_DATA)
        free, largest = sum([region[1] for region in regions]), max([region[2] for region in regions])
        text += "; the system's: %d free, %d in one piece" % (free, largest)
    except ImportError:
        pass
    print(text)


@mote.every(2)
async def boiler():
    tell("before")
    await mote.alert("hot", expires=600)
    tell("after")


@mote.command("status")
async def status(message):
    return "ok, %s" % message.user


mote.run()
"""


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    """A program that sends an alert every two seconds, and tells of its memory before and after."""
    program = tmp_path / "hot.py"
    program.write_text(_HOT)
    return program


@pytest.fixture
def has_tls(has_network: None, firmware: list[str]) -> None:
    skip_without(firmware, "tls")


def skip_without(firmware: list[str], *wanted: str) -> None:
    """Skip where the firmware lacks one of those that it may lack."""
    for name in ("tls", "md5"):
        if name in [one.lower() for one in wanted] and name not in firmware:
            pytest.skip(f"the board's firmware has no {name}")


def stays_registered(monitor: Tool) -> None:
    """Wait until a board has a binding for 20 seconds, and has renewed it."""
    bound = monitor.wait_for(SLOW_S, event="log", name="registered")
    assert bound["fields"]["expires"] == 20
    monitor.wait_for(SLOW_S, event="log", name="registered", seq=lambda seq: seq > bound["seq"])


@pytest.mark.parametrize(
    ("transport", "algorithm"), [("udp", "MD5"), ("udp", "SHA256"), ("tcp", "SHA256"), ("tls", "MD5")]
)
def test_a_registered_board_sends_alerts_and_is_commanded(
    transport: str, algorithm: str, has_network: None, firmware: list[str], tmp_path: Path
) -> None:
    skip_without(firmware, transport, algorithm)
    options = ("AUTH", "NAT", "TLS", algorithm)
    with Registrar(tmp_path, *options, expires=20, host=here(), patience_ms=30000) as registrar:
        proxy = f"sips:{HOST}:{registrar.tls_port}" if transport == "tls" else f"sip:{HOST}:{registrar.port}"
        settings = {
            "aor": "sip:boiler@interop.test",
            "to": "sip:bob@interop.test",
            "password": password_of("boiler"),
            "register": 600,
            "proxy": proxy,
            "transport": transport,
            "tls_fingerprint": fingerprint((tmp_path / "server.pem").read_text()),
        }
        with (
            reachable(tmp_path, "bob", registrar.uri("udp"), "--interactive", host=here()) as bob,
            running(tmp_path, BOILER, **settings) as monitor,
        ):
            assert bob.wait_for(SLOW_S, event="message", body="Boiler at 85 C")["from"] == "sip:boiler@interop.test"
            bob.type("sip:boiler@interop.test status")
            assert bob.wait_for(SLOW_S, event="outcome")["outcome"] == "delivered", monitor.transcript()
            bob.wait_for(SLOW_S, event="message", body=lambda text: text.startswith("ok, up"))
            stays_registered(monitor)


@pytest.mark.parametrize(("transport", "algorithm"), [("udp", "MD5"), ("tcp", "SHA-256")])
def test_a_board_with_a_password_needs_no_sip_server(
    transport: str, algorithm: str, has_network: None, firmware: list[str], tmp_path: Path
) -> None:
    """R3428-11.2: a registrar and an inbox ask for it."""
    skip_without(firmware, algorithm)
    users = tmp_path / "users"
    users.write_text(f"boiler:{REALM}:{algorithm}:{hashed('boiler', 'steam', algorithm).decode()}\n")
    listen = ["--bind", f"{transport}:{here()}:0", "--db", ":memory:", "--users", str(users), "--interactive"]
    with own_registrar(transport, "boiler", "steam", algorithm, 20) as port, Tool("inbox", *listen) as inbox:
        settings = {
            "aor": f"sip:boiler@{HOST}:{port}",
            "to": f"sip:desk@{HOST}:{inbox.wait_for(event='ready')['bind'][0].rpartition(':')[2]}",
            "transport": transport,
            "password": "steam",
            "register": 600,
        }
        with running(tmp_path, BOILER, **settings) as monitor:
            assert inbox.wait_for(SLOW_S, event="message", body="Boiler at 85 C")["user"] == "boiler"
            inbox.type("status")
            assert inbox.wait_for(SLOW_S, event="outcome")["outcome"] == "delivered"
            inbox.wait_for(SLOW_S, event="message", body=lambda text: text.startswith("ok, up"))
            stays_registered(monitor)


class Certified:
    """A server's certificate for HOST, and the CA that has signed it."""

    def __init__(self, folder: Path, since: datetime.datetime | None = None) -> None:
        """since: when its time begins, None for the year 2000."""
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST, not_before=since)
        self.pem = folder / "server.pem"
        self.ca = folder / "ca.pem"
        self.fingerprint = fingerprint(certificate.cert_chain_pems[0].bytes().decode())
        certificate.private_key_and_cert_chain_pem.write_to_path(str(self.pem))
        authority.cert_pem.write_to_path(str(self.ca))


def fingerprint(certificate: str) -> str:
    """Return the SHA-256 of a certificate in PEM."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


@contextmanager
def alerting(
    folder: Path, program: Path, server: Certified, trusted: Certified, how: str
) -> Iterator[tuple[Tool, Tool]]:
    """A server's inbox, and the monitor of a board that sends alerts to it over TLS.

    trusted: whom the board is told to trust; how: by "ca" or by "pin".
    """
    listen = ["--bind", f"tls:{here()}:0", "--db", ":memory:", "--tls-cert", str(server.pem)]
    with Tool("inbox", *listen) as inbox:
        port = inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2]
        trust = ["--tls-ca", str(trusted.ca)] if how == "ca" else ["--set", f"tls_fingerprint={trusted.fingerprint}"]
        settings = {"aor": f"sip:boiler@{HOST}", "to": f"sips:desk@{HOST}:{port}"}
        with running(folder, program, *trust, **settings) as monitor:
            yield inbox, monitor


def outcome(monitor: Tool, fits: Callable[[Line], bool]) -> Line:
    """Wait until a sending ends as wanted; those before may have had no network yet."""
    fields: Line = monitor.wait_for(SLOW_S, event="log", name="outcome", fields=fits)["fields"]
    return fields


@pytest.mark.parametrize("how", ["pin", "ca"])
def test_an_alert_arrives_over_tls(
    how: str, has_tls: None, hot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Certified(tmp_path)
    with alerting(tmp_path, hot, server, server, how) as (inbox, monitor):
        outcome(monitor, lambda fields: fields["name"] == "delivered")
        assert inbox.wait_for(event="message", body="hot")["transport"] == "tls"
        monitor.wait_for(event="console", text=lambda text: text.startswith("heap after"))
        with capsys.disabled():
            print(
                "", *[line["text"] for line in monitor.lines if line.get("text", "").startswith("heap ")][:2], sep="\n"
            )


@pytest.mark.parametrize(
    ("how", "reason"), [("pin", "not the pinned one"), ("ca", "not correctly signed by the trusted CA")]
)
def test_a_server_that_nobody_vouches_for_gets_no_alert(
    how: str, reason: str, has_tls: None, hot: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with alerting(tmp_path, hot, Certified(tmp_path), Certified(tmp_path / "other"), how) as (inbox, monitor):
        outcome(monitor, lambda fields: reason in fields.get("reason", ""))
        assert not [line for line in inbox.lines if line["event"] == "message"]


@pytest.fixture
def unset_clock(has_tls: None, kept_clock: None) -> None:
    """A board whose clock shows what it does after power-on."""
    set_clock(datetime.datetime(2000, 1, 1))


def test_a_board_with_an_unset_clock_says_that_it_can_not_check_a_certificate(
    unset_clock: None, hot: Path, tmp_path: Path
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    server = Certified(tmp_path, since=now - datetime.timedelta(days=1))
    with alerting(tmp_path, hot, server, server, "ca") as (inbox, monitor):
        blamed = "the board's clock is not set"
        ended = outcome(monitor, lambda fields: fields["name"] == "delivered" or blamed in fields["reason"])
        if ended["name"] == "delivered":
            pytest.skip("this board's TLS doesn't go by the board's clock")
        monitor.stop()
        set_clock(now)
        start()
        inbox.wait_for(SLOW_S, event="message", body="hot")


def test_only_a_commander_with_a_password_is_obeyed(
    has_network: None, hot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIPMOTE_COMMANDER_PASSWORD", "wonder")
    port = free_port()
    settings = {"aor": f"sip:boiler@{HOST}", "to": f"sip:desk@{HOST}:{port}"}
    with running(tmp_path, hot, "--commander", "alice", **settings) as monitor:
        for user, password, expected in (
            ("", "", "failed"),
            ("alice", "w0nder", "failed"),
            ("alice", "wonder", "delivered"),
        ):
            monkeypatch.setenv("SIPMOTE_PASSWORD", password)
            account = ["--user", user] if user else []
            bind = ["--bind", f"udp:{here()}:{port}", "--db", ":memory:"]
            with Tool("inbox", *bind, "--interactive", *account) as inbox:
                inbox.wait_for(SLOW_S, event="message", body="hot")
                inbox.type("status")
                outcome = inbox.wait_for(SLOW_S, event="outcome")
                assert outcome["outcome"] == expected
                if expected == "delivered":
                    inbox.wait_for(SLOW_S, event="message", body="ok, alice")
                else:
                    assert outcome["status"] == 401
        obeyed = [line["fields"]["user"] for line in monitor.lines if line.get("name") == "command"]
        assert obeyed == ["alice"]
