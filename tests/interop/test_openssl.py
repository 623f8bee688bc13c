"""R3428-11.3: what OpenSSL's own tools see of the inbox, of `sipmote send` and of a board, and what those say of them.

s_client is a person who pipes a MESSAGE into the inbox, s_server one who reads it and types the answer.
"""

import socket
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.host_tools.peers import PATIENCE, message, sipmote
from tests.host_tools.test_tls import Certificates
from tests.interop.openssl import ask, server
from tests.interop.peers import program, wait_until
from tests.interop.test_kamailio import board, outcomes
from tests.tools import Tool

# certificate: what `sipmote send` says of it, what a board says
_REFUSED = {
    "expired": ("certificate has expired (renew it at the server, or set this computer's clock)", "expired"),
    "tomorrow's": ("certificate is not yet valid (renew it at the server, or set this computer's clock)", "future"),
    "elsewhere": ("it is for other.example.org, not for 127.0.0.1", "does not match"),
    "foreign": ("(add --tls-ca FILE with the CA that signed it", "not correctly signed"),
    "self-signed": ("self-signed certificate (add --tls-ca FILE", "not correctly signed"),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def untrusted(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the certificates that _REFUSED speaks of."""
    folder = tmp_path_factory.mktemp("untrusted")
    own = str(folder / "own.pem")
    command = [
        program("openssl", "openssl"),
        "req",
        "-x509",
        "-nodes",
        "-newkey",
        "ec",
        "-subj",
        "/CN=own",
        "-days",
        "9",
    ]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", own, "-out", own], check=True, capture_output=True)
    return {
        "expired": certificates.expired,
        "tomorrow's": certificates.issue("tomorrow", since=datetime.now(UTC) + timedelta(days=1)),
        "elsewhere": certificates.issue("elsewhere", host="other.example.org"),
        "foreign": Certificates(folder).server,
        "self-signed": own,
    }


_ALERTS = """
from mote import Mote

mote = Mote()


@mote.every(3600)
async def once():
    for to in TARGETS:
        await mote.alert("from a board", expires=1, to=to)


mote.run()
"""


def inbox(certificates: Certificates, *more: str) -> Tool:
    return Tool("inbox", "--bind", "tls:127.0.0.1:0", "--db", ":memory:", "--tls-cert", certificates.server, *more)


def place_of(tool: Tool) -> str:
    bind: str = tool.wait_for(event="ready")["bind"][0]
    return bind.removeprefix("tls:")


def bodies(tool: Tool) -> list[str]:
    return [line["body"] for line in tool.lines if line["event"] == "message"]


def test_a_person_pipes_a_message_into_the_inbox_and_reads_the_200(certificates: Certificates, tmp_path: Path) -> None:
    """R3428-4.1: with TLS 1.2, with TLS 1.3, and with line ends as a keyboard makes them."""
    with inbox(certificates) as tool:
        place = place_of(tool)
        for number, options in enumerate((["-tls1_2"], ["-tls1_3"], ["-crlf"])):
            request = message(f"pipe-{number}", b"by hand %d" % number, transport="TLS")
            if "-crlf" in options:
                request = request.replace(b"\r\n", b"\n")
            assert "SIP/2.0 200 OK" in ask(tmp_path, place, certificates.ca, request, *options), options
        old = ask(tmp_path, place, certificates.ca, request, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
        assert "SIP/2.0" not in old
        assert bodies(tool) == ["by hand 0", "by hand 1", "by hand 2"]


def test_a_person_without_a_certificate_is_refused_where_one_is_asked_for(
    certificates: Certificates, untrusted: dict[str, str], tmp_path: Path
) -> None:
    mine = ["-cert", certificates.client, "-key", certificates.client]
    strange = ["-cert", untrusted["foreign"], "-key", untrusted["foreign"]]
    with inbox(certificates, "--tls-ca", certificates.ca, "--tls-clients") as tool:
        place = place_of(tool)
        for version in ("-tls1_2", "-tls1_3"):
            request = message(f"known{version}", transport="TLS")
            assert "SIP/2.0 200 OK" in ask(tmp_path, place, certificates.ca, request, version, *mine)
            for options in ([], strange):
                said = ask(tmp_path, place, certificates.ca, request, version, *options)
                assert "SIP/2.0" not in said, options
        assert len(bodies(tool)) == 2


def test_garbage_before_within_and_after_the_handshake_keeps_nobody_out(
    certificates: Certificates, tmp_path: Path
) -> None:
    """R3261-18-10"""
    with inbox(certificates) as tool:
        place = place_of(tool)
        hello = b"\x16\x03\x01\x00\xa0\x01\x00\x00\x9c\x03\x03"
        for garbage in (b"\xff" * 4096, hello, hello + b"\x00" * 149, hello + b"\xff" * 4096):
            host, _, port = place.partition(":")
            with socket.create_connection((host, int(port)), PATIENCE) as stream:
                stream.sendall(garbage)
        assert "SIP/2.0 200" not in ask(tmp_path, place, certificates.ca, b"\x00\xff" * 2000 + b"\r\n\r\n")
        assert "SIP/2.0 200 OK" in ask(tmp_path, place, certificates.ca, message("after", transport="TLS"))
        assert len(bodies(tool)) == 1


def test_send_says_in_one_line_why_it_trusts_no_server_and_tells_it_nothing(
    certificates: Certificates, untrusted: dict[str, str], tmp_path: Path
) -> None:
    for name, (said, _) in _REFUSED.items():
        with server(tmp_path, untrusted[name]) as peer:
            target = f"sips:desk@127.0.0.1:{peer.port}"
            code, out, err = sipmote("send", target, "a secret", "--tls-ca", certificates.ca)
            assert (code, out, err.count("\n")) == (5, "", 1), err
            assert err.startswith(f"sipmote: {target}: failed: the server's certificate is refused: ") and said in err
            assert b"secret" not in peer.received()


def test_send_and_a_person_at_a_server_of_each_version_get_along(certificates: Certificates, tmp_path: Path) -> None:
    asked = ["-Verify", "1", "-CAfile", certificates.ca]
    trust = ["--tls-ca", certificates.ca]
    for version in ("-tls1_2", "-tls1_3"):
        with server(tmp_path, certificates.server, version, *asked) as peer:
            target = f"sips:desk@127.0.0.1:{peer.port}"
            with Tool("send", target, "well met", *trust, "--tls-cert", certificates.client) as sender:
                assert peer.answer("200 OK").endswith(b"\r\n\r\nwell met")
                assert (sender.wait(), sender.lines[-1]["event"]) == (0, "delivered")
            code, _, err = sipmote("send", target, "nobody", *trust)
            assert code == 5 and "--tls-cert FILE" in err and err.count("\n") == 1, err


def test_a_board_says_why_it_trusts_no_server_and_alerts_the_one_it_does(
    certificates: Certificates, untrusted: dict[str, str], tmp_path: Path
) -> None:
    """R3428-11.3: a board without a clock says that it has none, until it has learned the time from an answer."""
    with ExitStack() as stack:
        bad = {name: stack.enter_context(server(tmp_path, untrusted[name])) for name in _REFUSED}
        asked = ["-Verify", "1", "-CAfile", certificates.ca]
        good = stack.enter_context(server(tmp_path, certificates.server, *asked))
        alerts = tmp_path / "alerts.py"
        peers = (good, bad["expired"], good, *bad.values())
        alerts.write_text(_ALERTS.replace("TARGETS", repr([f"sips:desk@127.0.0.1:{peer.port}" for peer in peers])))
        files = ["--tls-ca", certificates.ca, "--tls-cert", certificates.client, "--no-clock"]
        how = {"aor": "sip:pump@127.0.0.1", "transport": "tls"}
        monitor = stack.enter_context(board(tmp_path, alerts, *files, start=["--no-clock"], **how))
        monitor.wait_for(event="ready")  # what the board logged before is gone
        assert good.answer("200 OK").endswith(b"\r\n\r\nfrom a board")
        assert good.answer(f"200 OK\r\nDate: {formatdate(usegmt=True)}").endswith(b"\r\n\r\nfrom a board")
        wait_until(lambda: len(outcomes(monitor)) == len(peers), monitor.transcript)
        first, unset, second, *failed = outcomes(monitor)
        assert (first["name"], second["name"]) == ("delivered", "delivered")
        assert "the board's clock is not set" in unset["reason"]
        for (_, said), outcome, peer in zip(_REFUSED.values(), failed, bad.values(), strict=True):
            assert said in outcome["reason"] and b"MESSAGE" not in peer.received()
