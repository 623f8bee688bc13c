"""R3261-22-2, R3428-11.2, R3581-1, R3261-8.2-2: a board as a user of a SIP server, over TLS, and with commanders."""

import datetime
import hashlib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.demo.main_job import BOILER
from tests.hardware.board import HOST, here, mpremote, on_a_board, running
from tests.interop.kamailio import Registrar, password_of
from tests.interop.peers import free_port
from tests.interop.test_kamailio import reachable
from tests.tools import Line, Tool

pytestmark = on_a_board

_SLOW_S = 60  # a board's join of a network, its handshake and its hashes, one after the other
_HOT = """
import gc

from mote import Mote

mote = Mote()


def tell(when):
    gc.collect()
    system = ""
    try:
        import esp32

        regions = esp32.idf_heap_info(esp32.HEAP_DATA)
        system = ", of the system %d, in one piece %d" % (sum([r[1] for r in regions]), max([r[2] for r in regions]))
    except ImportError:
        pass
    print("octets free %s: %d%s" % (when, gc.mem_free(), system))


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
    if "tls" not in firmware:
        pytest.skip("the board's firmware has no tls")


@pytest.mark.parametrize(
    ("transport", "algorithm"), [("udp", "MD5"), ("udp", "SHA256"), ("tcp", "SHA256"), ("tls", "MD5")]
)
def test_a_registered_board_sends_alerts_and_is_commanded(
    transport: str, algorithm: str, has_network: None, firmware: list[str], tmp_path: Path
) -> None:
    for needed in {"MD5": ["md5"]}.get(algorithm, []) + {"tls": ["tls"]}.get(transport, []):
        if needed not in firmware:
            pytest.skip(f"the board's firmware has no {needed}")
    with Registrar(tmp_path, "AUTH", "NAT", "TLS", algorithm, expires=20, host=here()) as registrar:
        certificate = ssl.PEM_cert_to_DER_cert((tmp_path / "server.pem").read_text())
        proxy = f"sips:{HOST}:{registrar.tls_port}" if transport == "tls" else f"sip:{HOST}:{registrar.port}"
        settings = {
            "aor": "sip:boiler@interop.test",
            "to": "sip:bob@interop.test",
            "password": password_of("boiler"),
            "register": 600,
            "proxy": proxy,
            "transport": transport,
            "tls_fingerprint": hashlib.sha256(certificate).hexdigest(),
        }
        with (
            reachable(tmp_path, "bob", registrar.uri("udp"), "--interactive", host=here()) as bob,
            running(tmp_path, BOILER, **settings) as monitor,
        ):
            bound = monitor.wait_for(_SLOW_S, event="log", name="registered")
            assert bound["fields"]["expires"] == 20
            assert bob.wait_for(_SLOW_S, event="message", body="Boiler at 85 C")["from"] == "sip:boiler@interop.test"
            bob.type("sip:boiler@interop.test status")
            assert bob.wait_for(_SLOW_S, event="outcome")["outcome"] == "delivered", monitor.transcript()
            bob.wait_for(_SLOW_S, event="message", body=lambda text: text.startswith("ok, up"))
            monitor.wait_for(_SLOW_S, event="log", name="registered", seq=lambda seq: seq > bound["seq"])


class Certificates:
    """A CA, and certificates for HOST that it has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(self, since: datetime.datetime | None = None) -> trustme.LeafCert:
        """Return one that is valid from a time on, or has been since 2000."""
        return self._authority.issue_cert(HOST, not_before=since)


@contextmanager
def alerting(
    folder: Path, program: Path, certificate: trustme.LeafCert, *trust: str, **settings: str
) -> Iterator[tuple[Tool, Tool]]:
    """An inbox with this certificate, and the monitor of a board that sends alerts to it over TLS."""
    pem = folder / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
    listen = ["--bind", f"tls:{here()}:0", "--db", ":memory:", "--tls-cert", str(pem)]
    with Tool("inbox", *listen) as inbox:
        port = inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2]
        to = f"sips:desk@{HOST}:{port}"
        with running(folder, program, *trust, aor=f"sip:boiler@{HOST}", to=to, **settings) as monitor:
            yield inbox, monitor


def outcome(monitor: Tool) -> Line:
    """What became of the first alert."""
    fields: Line = monitor.wait_for(_SLOW_S, event="log", name="outcome")["fields"]
    return fields


@pytest.mark.parametrize("how", ["pinned", "ca"])
def test_an_alert_arrives_over_tls(
    how: str, has_tls: None, hot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates = Certificates(tmp_path)
    certificate = certificates.issue()
    trust, settings = ["--tls-ca", certificates.ca], {}
    if how == "pinned":
        der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
        trust, settings = [], {"tls_fingerprint": hashlib.sha256(der).hexdigest()}
    with alerting(tmp_path, hot, certificate, *trust, **settings) as (inbox, monitor):
        assert outcome(monitor)["name"] == "delivered"
        assert inbox.wait_for(event="message", body="hot")["transport"] == "tls"
        for when in ("before", "after"):
            told = monitor.wait_for(event="console", text=lambda text: text.startswith(f"octets free {when}"))["text"]  # noqa: B023
            with capsys.disabled():
                print(f"\n{told} an alert over TLS ({how})")


@pytest.mark.parametrize("how", ["pinned", "ca"])
def test_a_server_that_nobody_vouches_for_gets_no_alert(how: str, has_tls: None, hot: Path, tmp_path: Path) -> None:
    certificate = Certificates(tmp_path).issue()
    other = tmp_path / "other"
    other.mkdir()
    trust, settings, reason = ["--tls-ca", Certificates(other).ca], {}, "not correctly signed by the trusted CA"
    if how == "pinned":
        trust, settings, reason = [], {"tls_fingerprint": "00" * 32}, "not the pinned one"
    with alerting(tmp_path, hot, certificate, *trust, **settings) as (inbox, monitor):
        fields = outcome(monitor)
        assert fields["status"] == 503 and reason in fields["reason"]
        assert not [line for line in inbox.lines if line["event"] == "message"]


def set_clock(to: datetime.datetime) -> None:
    """Set the board's clock."""
    mpremote("exec", f"from machine import RTC; RTC().datetime({(*to.timetuple()[:3], 0, *to.timetuple()[3:6], 0)})")


@pytest.fixture
def unset_clock(has_tls: None) -> Iterator[None]:
    """A board whose clock shows what it does after power-on; set right again in the end, if it was."""
    year, month, day, _, *rest = map(int, mpremote("exec", "from machine import RTC; print(*RTC().datetime())").split())
    before, began = datetime.datetime(year, month, day, *rest[:3]), time.monotonic()
    set_clock(datetime.datetime(2000, 1, 1))
    yield
    set_clock(before + datetime.timedelta(seconds=time.monotonic() - began))


def test_a_board_with_an_unset_clock_says_that_it_can_not_check_a_certificate(
    unset_clock: None, hot: Path, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    now = datetime.datetime.now(datetime.UTC)
    certificate = certificates.issue(since=now - datetime.timedelta(days=1))
    with alerting(tmp_path, hot, certificate, "--tls-ca", certificates.ca) as (inbox, monitor):
        fields = outcome(monitor)
        if fields["name"] == "delivered":
            pytest.skip("this board's TLS doesn't go by the board's clock")
        assert "the board's clock is not set" in fields["reason"]
        monitor.stop()
        set_clock(datetime.datetime.now(datetime.UTC))
        mpremote("soft-reset")
        inbox.wait_for(_SLOW_S, event="message", body="hot")


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
                inbox.wait_for(_SLOW_S, event="message", body="hot")
                inbox.type("status")
                outcome = inbox.wait_for(_SLOW_S, event="outcome")
                assert outcome["outcome"] == expected
                if expected == "delivered":
                    inbox.wait_for(_SLOW_S, event="message", body="ok, alice")
                else:
                    assert outcome["status"] == 401
        obeyed = [line["fields"]["user"] for line in monitor.lines if line.get("name") == "command"]
        assert obeyed == ["alice"]
