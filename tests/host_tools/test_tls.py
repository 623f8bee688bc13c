"""Messages over TLS between `sipmote send` and `sipmote inbox`, and what each says of a certificate it refuses."""

import datetime
import hashlib
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from sipmote.sip.tls import Tls
from tests.tools import Tool

_EXPIRED = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Certificates:
    """A CA, and files with what it has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)
        self.server = self.issue("server")
        self.client = self.issue("client")
        self.expired = self.issue("expired", _EXPIRED)

    def issue(
        self,
        name: str,
        until: datetime.datetime | None = None,
        since: datetime.datetime | None = None,
        host: str = "127.0.0.1",
    ) -> str:
        path = str(self._folder / f"{name}.pem")
        leaf = self._authority.issue_cert(host, not_before=since, not_after=until)
        leaf.private_key_and_cert_chain_pem.write_to_path(path)
        return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def inbox(certificates: Certificates) -> Iterator[Tool]:
    arguments = ["--bind", "tls:127.0.0.1:0", "--db", ":memory:", "--tls-cert", certificates.server]
    with Tool("inbox", *arguments) as tool:
        yield tool


def _send(inbox: Tool, *arguments: str) -> tuple[int, str, str]:
    """Send over TLS to inbox; returns exit code, reason and what was said on stderr."""
    place = inbox.wait_for(event="ready")["bind"][0].removeprefix("tls:")
    with Tool("send", f"sips:desk@{place}", "over TLS", *arguments) as send:
        code = send.wait()
        return code, send.lines[-1]["reason"] if send.lines else "", "\n".join(send.complaints)


def test_sips_message_arrives_when_the_certificate_is_vouched_for(inbox: Tool, certificates: Certificates) -> None:
    assert _send(inbox, "--tls-ca", certificates.ca)[:2] == (0, "OK")
    assert inbox.wait_for(event="message")["transport"] == "tls"


def test_a_pinned_certificate_needs_no_ca(inbox: Tool, certificates: Certificates) -> None:
    der = ssl.PEM_cert_to_DER_cert(_certificate_of(certificates.server))
    assert _send(inbox, "--tls-fingerprint", hashlib.sha256(der).hexdigest())[0] == 0


def test_another_certificate_than_the_pinned_one_gets_no_message(inbox: Tool) -> None:
    code, reason, _ = _send(inbox, "--tls-fingerprint", "00" * 32)
    assert (code, reason) == (5, "the server's certificate is not the pinned one")
    assert not [line for line in inbox.lines if line["event"] == "message"]


@pytest.mark.parametrize(
    ("names", "host", "wildcards", "refusal"),
    [
        ([("DNS", "example.org")], "example.org", False, ""),
        ([("DNS", "EXAMPLE.org")], "Example.ORG", False, ""),
        ([("URI", "sip:example.org"), ("DNS", "edge7.example.net")], "example.org", False, ""),
        ([("URI", "SIP:Example.org")], "example.org", False, ""),
        ([("URI", "sip:example.org")], "example.com", False, "it is for example.org, not for example.com"),
        ([("URI", "sip:other.org"), ("DNS", "example.org")], "example.org", False, "is for other.org"),
        ([("URI", "sip:bob@example.org"), ("DNS", "example.org")], "example.org", False, ""),  # a person's
        ([("URI", "https://other.org"), ("DNS", "example.org")], "example.org", False, ""),
        ([("URI", "sips:example.org")], "example.org", False, "is for nobody"),
        ([("DNS", "*.example.org")], "sip.example.org", False, "--tls-wildcards"),
        ([("DNS", "*.example.org")], "sip.example.org", True, ""),
        ([("DNS", "*.example.org")], "a.sip.example.org", True, "not for a.sip.example.org"),
        ([("DNS", "*.example.org")], "example.org", True, "not for example.org"),
        ([("DNS", "s*.example.org")], "sip.example.org", True, "not for sip.example.org"),
        ([("IP Address", "192.0.2.1")], "192.0.2.1", False, ""),
        ([("IP Address", "2001:DB8:0:0:0:0:0:7")], "2001:db8::7", False, ""),
        ([("DNS", "192.0.2.1x")], "192.0.2.1", False, "not for 192.0.2.1"),
        ([], "example.org", False, "is for nobody"),
    ],
)
def test_a_certificate_is_that_of_a_sip_domain(
    names: list[tuple[str, str]], host: str, wildcards: bool, refusal: str
) -> None:
    """R0-P16, RFC 5922 section 7: its SIP URIs count, its DNS names where it has none, and no wildcards"""
    stream = SimpleNamespace(getpeercert=lambda: {"subjectAltName": tuple(names)})
    said = Tls(ssl.create_default_context(), wildcards=wildcards).check(stream, host)  # type: ignore[arg-type]
    assert refusal in said and bool(said) == bool(refusal)


def test_a_certificate_that_changes_is_shown_from_then_on(tmp_path: Path) -> None:
    """R0-P16: at once at a SIGHUP; one that can't be read changes nothing"""
    one, other = Certificates(tmp_path), Certificates(_made(tmp_path / "other"))
    arguments = ["--bind", "tls:127.0.0.1:0", "--db", ":memory:", "--tls-cert", one.server]
    with Tool("inbox", *arguments) as inbox:
        assert _send(inbox, "--tls-ca", one.ca)[0] == 0
        Path(one.server).write_text("nothing")
        os.kill(inbox.pid, signal.SIGHUP)
        assert "the certificate of before stays" in inbox.wait_for(event="warning")["text"]
        assert _send(inbox, "--tls-ca", one.ca)[0] == 0
        Path(one.server).write_bytes(Path(other.server).read_bytes())
        os.kill(inbox.pid, signal.SIGHUP)
        inbox.wait_for(text=f"{one.server} has changed: new connections are shown its certificate")
        assert _send(inbox, "--tls-ca", other.ca)[0] == 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_an_unknown_ca_is_named_as_such(inbox: Tool) -> None:
    code, reason, _ = _send(inbox)
    assert code == 5 and "refused" in reason and "issuer" in reason


def test_an_expired_certificate_is_named_as_such(certificates: Certificates) -> None:
    arguments = ["--bind", "tls:127.0.0.1:0", "--db", ":memory:", "--tls-cert", certificates.expired]
    with Tool("inbox", *arguments) as inbox:
        code, reason, _ = _send(inbox, "--tls-ca", certificates.ca)
    assert code == 5 and "certificate has expired" in reason


def test_clients_without_a_certificate_are_refused_where_one_is_asked_for(certificates: Certificates) -> None:
    needed = ["--tls-cert", certificates.server, "--tls-ca", certificates.ca, "--tls-clients"]
    with Tool("inbox", "--bind", "tls:127.0.0.1:0", "--db", ":memory:", *needed) as inbox:
        assert _send(inbox, "--tls-ca", certificates.ca)[0] == 5
        assert _send(inbox, "--tls-ca", certificates.ca, "--tls-cert", certificates.client)[0] == 0


def test_plain_bytes_on_a_tls_port_do_no_harm(inbox: Tool, certificates: Certificates) -> None:
    place = inbox.wait_for(event="ready")["bind"][0].removeprefix("tls:")
    with Tool("send", f"sip:desk@{place};transport=tcp", "in the clear") as send:
        assert send.wait() == 5
    assert _send(inbox, "--tls-ca", certificates.ca)[0] == 0


def test_a_server_that_speaks_no_tls_is_named_as_such() -> None:
    plain = socket.create_server(("127.0.0.1", 0))
    with plain, Tool("send", f"sips:desk@127.0.0.1:{plain.getsockname()[1]}", "over TLS") as send:
        stream, _ = plain.accept()
        with stream:
            stream.sendall(b"SIP/2.0 400 Bad Request\r\n\r\n")
            assert send.wait() == 5 and send.lines[-1]["reason"].startswith("no TLS is spoken at that port")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tls-ca", "/nowhere"], "--tls-ca"),
        (["--tls-fingerprint", "12"], "64 hexadecimal digits"),
    ],
)
def test_wrong_arguments_are_named(inbox: Tool, arguments: list[str], complaint: str) -> None:
    code, _, said = _send(inbox, *arguments)
    assert code == 1 and complaint in said and "Traceback" not in said


def test_keys_that_are_missing_or_of_another_certificate_are_named_as_such(certificates: Certificates) -> None:
    for more, said in (
        (["--tls-cert", certificates.ca], "--tls-key FILE"),
        (["--tls-cert", certificates.server, "--tls-key", certificates.client], "not that of the certificate"),
    ):
        with Tool("inbox", "--bind", "tls:127.0.0.1:0", "--db", ":memory:", *more) as inbox:
            assert inbox.wait() == 1 and len(inbox.complaints) == 1 and said in inbox.complaints[0]


def test_a_tls_bind_without_a_certificate_says_what_is_missing() -> None:
    with Tool("inbox", "--bind", "tls:127.0.0.1:0", "--db", ":memory:") as inbox:
        assert inbox.wait() == 1
        assert "--tls-cert" in "\n".join(inbox.complaints)


def _certificate_of(path: str) -> str:
    text = Path(path).read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    end = text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    return text[begin:end] + "\n"
