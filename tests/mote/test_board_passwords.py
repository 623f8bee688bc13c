"""R3428-11.2, R3261-8.2-2, R7616-6: a board with a password of its own, and commanders who have to know theirs."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sipmote.__main__ import main
from tests.host_tools.peers import inbox, sipmote
from tests.host_tools.test_auth import passwd
from tests.host_tools.virtual import virtual_board
from tests.interop.kamailio import free_port
from tests.tools import Tool

PROGRAM = """
from mote import Mote
mote = Mote()
@mote.every(1)
async def boiler():
    print("alert:", await mote.alert("hot", expires=600))
@mote.command("status")
async def status(message):
    return "ok, %s" % message.user
mote.run()
"""


@contextmanager
def board(folder: Path, *arguments: str, **settings: object) -> Iterator[Tool]:
    """A virtual board with these settings, deployed with these arguments, and the tool that watches it."""
    config = {"aor": "sip:boiler@127.0.0.1", "log": "debug", **settings}
    program, configuration = folder / "boiler.py", folder / "mote.json"
    program.write_text(PROGRAM)
    configuration.write_text(json.dumps(config))
    flash = folder / "flash"
    flash.mkdir()
    with virtual_board(flash, "128k") as port:
        deploy = ["deploy", str(program), "--port", port, "--config", str(configuration), *arguments]
        assert main(deploy) == 0
        with Tool("monitor", "--port", port) as monitor:
            monitor.wait_for(event="ready")
            yield monitor


def test_an_alert_gets_through_to_an_inbox_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R3428-11.2: the password is on the board and in no output."""
    users = tmp_path / "users"
    passwd(users, "boiler", "steam", "--realm", "interop.test")
    monkeypatch.setenv("SIPMOTE_PASSWORD", "steam")
    with inbox("--users", str(users)) as desk:
        to = f"sip:desk@127.0.0.1:{desk.ports['udp']}"
        with board(tmp_path, "--user", "boiler", to=to, bind="127.0.0.1:0") as monitor:
            event = desk.event("message")
            assert (event["user"], event["body"]) == ("boiler", "hot")
            monitor.wait_for(event="console", text="alert: delivered")
            assert "steam" not in monitor.transcript()
    assert json.loads((tmp_path / "flash" / "mote.json").read_text())["password"] == "steam"


def test_only_a_commander_with_his_password_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R3261-8.2-2, R7616-6: whatever From says; who commands is told by name."""
    port = free_port()
    monkeypatch.setenv("SIPMOTE_COMMANDER_PASSWORD", "wonder")
    here = f"127.0.0.1:{port}"
    with board(tmp_path, "--commander", "alice", to="sip:desk@127.0.0.1:9", bind=here) as monitor:
        for user, password, expected in (("alice", "w0nder", 4), ("eve", "wonder", 4), ("alice", "wonder", 0)):
            environment = {**os.environ, "SIPMOTE_PASSWORD": password}
            command = ["send", f"sip:boiler@{here}", "status", "--from", "sip:desk@127.0.0.1", "--user", user]
            assert sipmote(*command, env=environment)[0] == expected
        assert sipmote("send", f"sip:boiler@{here}", "status", "--from", "sip:desk@127.0.0.1")[0] == 4
        fields = monitor.wait_for(event="log", name="command")["fields"]
        assert (fields["word"], fields["user"], fields["known"]) == ("status", "alice", True)
        assert len([line for line in monitor.lines if line.get("name") == "command"]) == 1
        assert "wonder" not in monitor.transcript()
    stored = json.loads((tmp_path / "flash" / "mote.json").read_text())
    assert list(stored["commanders"]) == ["alice"] and "wonder" not in json.dumps(stored)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "password=steam"], "use --user NAME"),
        (["--set", "commanders=alice"], "use --commander NAME"),
        (["--user", 'bo"iler'], "user must be a name without colons"),
        (["--commander", "a:b"], "without colons"),
        (["--set", "aor=sip:boiler@other.example"], "old host in aor"),
        (["--set", "to=nobody"], "to must be a URI"),
    ],
)
def test_what_is_wrong_with_passwords_is_said_before_the_board_is_disturbed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    config = {"aor": "sip:boiler@example.org", "to": "sip:desk@example.org", "password": "steam"}
    path = tmp_path / "mote.json"
    path.write_text(json.dumps({**config, "commanders": {"alice": "0" * 64, "bob": "0" * 32}}))
    monkeypatch.setenv("SIPMOTE_PASSWORD", "steam")
    monkeypatch.setenv("SIPMOTE_COMMANDER_PASSWORD", "wonder")
    assert main(["deploy", "--port", str(tmp_path / "no-port"), "--config", str(path), *arguments]) == 1
    said = capsys.readouterr()
    assert complaint in said.err and "\n" not in said.err.rstrip()
    for secret in ("steam", "wonder", "0000"):
        assert secret not in said.out + said.err


@pytest.mark.parametrize(
    "wrong",
    [{"commanders": {"alice": "wonder"}}, {"commanders": ["alice"]}, {"password": ""}, {"password": 5, "user": "x"}],
)
def test_wrong_values_are_named_by_key_and_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, object]
) -> None:
    path = tmp_path / "mote.json"
    path.write_text(json.dumps({"aor": "sip:boiler@example.org", "to": "sip:desk@example.org", **wrong}))
    assert main(["deploy", "--port", str(tmp_path / "no-port"), "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert f"{next(iter(wrong))} must be" in said and "wonder" not in said
