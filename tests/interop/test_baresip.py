"""R3428-7.1, R3261-22-2: baresip takes a message, says what it does not take, and sends one."""

from pathlib import Path

import pytest

from tests.demo.main_job import BOILER
from tests.interop.baresip import Baresip
from tests.interop.kamailio import Registrar, password_of
from tests.interop.peers import free_port
from tests.interop.test_kamailio import board, reachable, send
from tests.tools import Tool


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_messages_to_and_from_baresip(transport: str, tmp_path: Path) -> None:
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--bind", "tcp:127.0.0.1:0", "--db", ":memory:") as inbox:
        binds = inbox.wait_for(event="ready")["bind"]
        here = next(bind for bind in binds if bind.startswith(transport)).partition(":")[2]
        with Baresip(tmp_path, "sip:desk@interop.test", f"sip:{here};transport={transport}", transport) as bob:
            target = f"sip:bob@127.0.0.1:{bob.port};transport={transport}"
            with Tool("send", target, "hello bob") as sender:
                assert (sender.wait(), sender.lines[-1]["event"]) == (0, "delivered")
            bob.wait_for("hello bob")
            with Tool("send", target, "{}", "--content-type", "application/json") as sender:
                assert (sender.wait(), sender.lines[-1]["status"]) == (4, 415)
            with Tool("send", target, "in other words", "--cpim") as sender:
                assert (sender.wait(), sender.lines[-1]["event"]) == (0, "delivered"), sender.transcript()
            bob.wait_for("in other words")
            bob.send("hello desk")
            line = inbox.wait_for(event="message", body="hello desk")
            assert (line["content_type"], line["transport"]) == ("text/plain", transport)


def test_a_board_and_baresip_talk_to_each_other(tmp_path: Path) -> None:
    port = free_port()
    with Baresip(tmp_path, "sip:carol@interop.test", f"sip:127.0.0.1:{port}") as bob:
        who = {"aor": "sip:carol@interop.test", "to": f"sip:bob@127.0.0.1:{bob.port}", "bind": f"127.0.0.1:{port}"}
        with board(tmp_path, BOILER, **who, proxy=f"sip:127.0.0.1:{bob.port}", allow=["sip:bob@interop.test"]):
            bob.wait_for("Boiler at 85 C")
            bob.send("status")
            bob.wait_for("ok, up")


def test_baresip_and_an_inbox_are_users_of_one_proxy(tmp_path: Path) -> None:
    with (
        Registrar(tmp_path, "AUTH", "NAT") as registrar,
        reachable(tmp_path, "carol", registrar.uri("tcp")) as carol,
        Baresip(tmp_path, "sip:carol@interop.test", registrar.uri(), password=password_of("bob")) as bob,
    ):
        bob.wait_for(r"200 OK \(")
        assert send(tmp_path, registrar.uri(), "sip:bob@interop.test", "hello bob")[0] == 0
        bob.wait_for("hello bob")
        bob.send("hello carol")
        assert carol.wait_for(event="message", body="hello carol")["from"] == "sip:bob@interop.test"
