"""R3261-22-2, R3581-1, R3581-3, R3428-11.2, R3428-4.9: the inbox and a board as users of Kamailio."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.demo.main_job import BOILER
from tests.interop.kamailio import registrar
from tests.tools import Tool

_PASSWORDS = {"alice": "wonder", "bob": "builder", "carol": "sing"}


@contextmanager
def user(folder: Path, name: str, proxy: str, *more: str) -> Iterator[Tool]:
    """An inbox that is registered as name@interop.test."""
    password = folder / f"{name}.password"
    password.write_text(_PASSWORDS[name])
    binds = ["--bind", "udp:127.0.0.1:0", "--bind", "tcp:127.0.0.1:0"]
    account = ["--register", f"sip:{name}@interop.test", "--user", name, "--password-file", str(password)]
    with Tool("inbox", *binds, "--db", ":memory:", *account, "--proxy", proxy, *more) as inbox:
        assert inbox.wait_for(event="registered")["expires"] > 0
        yield inbox


def send(folder: Path, proxy: str, target: str, text: str, *more: str) -> tuple[int, dict[str, object]]:
    """Send as alice; returns the exit code and the last line."""
    password = folder / "alice.password"
    password.write_text(_PASSWORDS["alice"])
    account = ["--from", "sip:alice@interop.test", "--user", "alice", "--password-file", str(password)]
    with Tool("send", target, text, *account, "--proxy", proxy, *more) as tool:
        code = tool.wait()
        return code, tool.lines[-1] if tool.lines else {}


@pytest.mark.parametrize("algorithm", ["", " AUTH_SHA256"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_user_is_reached_where_it_registered(transport: str, algorithm: str, tmp_path: Path) -> None:
    with registrar(tmp_path, "WITH_AUTH WITH_MSILO WITH_NAT" + algorithm) as port:
        proxy = f"sip:127.0.0.1:{port};transport={transport}"
        with user(tmp_path, "bob", proxy) as bob:
            code, line = send(tmp_path, proxy, "sip:bob@interop.test", "hello")
            assert (code, line["event"]) == (0, "delivered")
            message = bob.wait_for(event="message", body="hello")
            assert (message["from"], message["transport"]) == ("sip:alice@interop.test", transport)
        assert bob.lines[-1] == {"event": "registered", "expires": 0}
        code, line = send(tmp_path, proxy, "sip:bob@interop.test", "for later")
        assert (code, line["event"]) == (3, "accepted")
        with user(tmp_path, "bob", proxy) as bob:
            assert bob.wait_for(event="message", body="for later")["date"]


def test_tls_to_the_proxy(tmp_path: Path) -> None:
    with registrar(tmp_path, "WITH_AUTH WITH_NAT WITH_TLS") as port:
        proxy = f"sips:127.0.0.1:{port + 1}"
        trust = ["--tls-ca", str(tmp_path / "ca.pem")]
        with user(tmp_path, "bob", proxy, *trust) as bob:
            assert send(tmp_path, proxy, "sip:bob@interop.test", "secret", *trust)[0] == 0
            assert bob.wait_for(event="message", body="secret")["transport"] == "tls"


def test_a_wrong_password_is_told_and_tried_no_more(tmp_path: Path) -> None:
    with registrar(tmp_path, "WITH_AUTH") as port:
        password = tmp_path / "wrong"
        password.write_text("wr0ng")
        account = ["--register", "sip:bob@interop.test", "--user", "bob", "--password-file", str(password)]
        with Tool(
            "inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", *account, "--proxy", f"sip:127.0.0.1:{port}"
        ) as inbox:
            lost = inbox.wait_for(event="not_registered")
            assert lost["status"] in (401, 403) and lost["retry_s"] >= 15


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_board_registers_sends_alerts_and_is_commanded(transport: str, tmp_path: Path) -> None:
    with registrar(tmp_path, "WITH_AUTH WITH_NAT") as port:
        proxy = f"sip:127.0.0.1:{port};transport={transport}"
        settings = tmp_path / "mote.json"
        settings.write_text(
            json.dumps(
                {
                    "aor": "sip:carol@interop.test",
                    "to": "sip:bob@interop.test",
                    "proxy": proxy,
                    "transport": transport,
                    "bind": "0.0.0.0:0",
                    "register": 600,
                    "password": _PASSWORDS["carol"],
                }
            )
        )
        os.chmod(settings, 0o600)
        with (
            user(tmp_path, "bob", proxy, "--interactive") as bob,
            Tool("board", "start", "virtual", "--heap", "128k") as board,
        ):
            serial = board.wait_for(event="ready")["port"]
            with Tool("deploy", str(BOILER), "--port", serial, "--config", str(settings)) as deploy:
                assert deploy.wait(60) == 0, deploy.transcript()
            with Tool("monitor", "--port", serial) as monitor:
                assert bob.wait_for(event="message", body="Boiler at 85 C")["from"] == "sip:carol@interop.test"
                bob.type("sip:carol@interop.test status")
                assert bob.wait_for(event="outcome")["outcome"] == "delivered", monitor.transcript()
                bob.wait_for(event="message", body=lambda text: text.startswith("ok, up"))
                assert monitor.wait_for(event="log", name="outcome")["fields"]["name"] == "delivered"
