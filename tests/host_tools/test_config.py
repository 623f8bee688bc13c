"""`sipmote config` with a virtual board: what is shown, what is changed, and what never shows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.board.config import _CHECKS as CHECKS
from sipmote.board.stored import shown
from tests.host_tools.peers import until
from tests.host_tools.virtual import virtual_board

SECRET = "open sesame"
STORED = {
    "aor": "sip:boiler@example.org",
    "to": ["sip:desk@example.org", "sip:night@example.org"],
    "bind": "127.0.0.1:0",
    "user": "boiler",
    "password": SECRET,
    "wifi": [["home", SECRET], ["guests", ""]],
    "commanders": {"desk": "0123456789abcdef" * 4},
}
PROGRAM = "with open('/starts','a') as f:\n f.write('.')\nimport time\nwhile True:\n time.sleep(1)\n"


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    folder = tmp_path / "flash"
    folder.mkdir()
    (folder / "mote.json").write_text(json.dumps(STORED))
    (folder / "main.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def port(flash: Path) -> Iterator[str]:
    with virtual_board(flash) as name:
        yield name


@pytest.fixture
def config(capsys: pytest.CaptureFixture[str]) -> Any:
    """`sipmote config --json` in this process; returns the exit code, the events and stderr."""

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = main(["config", *arguments, "--json"])
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err and "0123456789abcdef" not in said.out + said.err
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return run


def stored(flash: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((flash / "mote.json").read_text())
    return found


def starts(flash: Path) -> int:
    """Return how often the program has started."""
    return len((flash / "starts").read_text()) if (flash / "starts").exists() else 0


def test_all_is_shown_but_secrets(port: str, flash: Path, config: Any) -> None:
    code, events, _ = config("show", "--port", port)
    assert code == 0
    values = {event["key"]: event["value"] for event in events}
    assert values == STORED | {
        "password": "(set)",
        "wifi": [["home", "(set)"], ["guests", ""]],
        "commanders": {"desk": "(set)"},
    }
    assert stored(flash) == STORED


def test_one_key_is_got_and_one_that_is_not_set_has_its_default(port: str, config: Any) -> None:
    code, events, _ = config("get", "aor", "log", "--port", port)
    assert code == 1
    assert [(event["key"], event["value"]) for event in events] == [("aor", STORED["aor"]), ("log", None)]
    assert events[1]["default"] == "info"


def test_a_change_is_told_and_the_program_starts_again(port: str, flash: Path, config: Any) -> None:
    until(lambda: starts(flash) == 1)
    code, events, _ = config("set", "--port", port, "register=600", "to=sip:desk@192.0.2.1")
    assert code == 0
    until(lambda: starts(flash) == 2)
    assert [(event["key"], event["old"], event["new"]) for event in events] == [
        ("register", None, 600),
        ("to", STORED["to"], "sip:desk@192.0.2.1"),
    ]
    assert stored(flash) == STORED | {"register": 600, "to": "sip:desk@192.0.2.1"}
    code, events, _ = config("set", "register=600", "--port", port)
    assert (code, [event["event"] for event in events]) == (0, ["unchanged"])
    assert config("unset", "register", "--port", port)[0] == 0
    assert "register" not in stored(flash)


@pytest.mark.parametrize(
    ("key", "words"),
    [("commanders", "who writes in a name of to commands the board"), ("allow", "those in to")],
)
def test_taking_out_what_keeps_others_from_commanding_is_told(
    key: str, words: str, port: str, flash: Path, config: Any
) -> None:
    value = {"desk": "0" * 64} if key == "commanders" else ["sip:desk@192.0.2.1"]
    told = {name: stored(flash)[name] for name in ("aor", "to")} | {key: value}
    (flash / "mote.json").write_text(json.dumps(told))
    code, events, _ = config("unset", key, "--port", port)
    assert code == 0 and events[-1]["event"] == "warning" and words in events[-1]["text"]


def test_passwords_come_from_the_environment_and_never_show(
    port: str, flash: Path, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", SECRET + "!")
    code, events, _ = config("set", "--wifi", "home", "--port", port)
    assert code == 0 and events[0]["new"] == [["home", "(set)"], ["guests", ""]]
    assert stored(flash)["wifi"] == [["home", SECRET + "!"], ["guests", ""]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "regster=600"), "is register meant?"),
        (("set", "register=often"), "must be a number of seconds"),
        (("set", "password=steam"), "use --user NAME"),
        (("set",), "KEY=VALUE was expected"),
        (("get",), "which key?"),
        (("unset", "aor"), "lacks aor"),
        (("show", "--wifi", "home"), "sipmote config set, not show"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_changes_nothing(
    arguments: tuple[str, ...], words: str, port: str, flash: Path, config: Any
) -> None:
    code, events, complaint = config(*arguments, "--port", port)
    assert (code, events) == (1, [])
    assert words in complaint and complaint.count("\n") == 1
    assert stored(flash) == STORED


def test_what_no_board_understands_can_be_replaced_and_taken_out(port: str, flash: Path, config: Any) -> None:
    (flash / "mote.json").write_text(json.dumps(STORED | {"register": "often", "colour": "red"}))
    code, _, complaint = config("set", "register=60", "--port", port)
    assert code == 1 and "unknown key 'colour'" in complaint
    code, _, complaint = config("unset", "colour", "--port", port)
    assert code == 1 and "register must be" in complaint
    assert config("unset", "colour", "register", "--port", port)[0] == 0
    assert stored(flash) == STORED


def test_a_board_without_a_configuration_or_with_a_torn_one_says_so(port: str, flash: Path, config: Any) -> None:
    (flash / "mote.json").write_text('{"aor": ')
    assert "is not JSON" in config("show", "--port", port)[2]
    (flash / "mote.json").unlink()
    assert "no mote.json yet" in config("show", "--port", port)[2]


def test_a_configuration_longer_than_one_script_arrives_whole(port: str, flash: Path, config: Any) -> None:
    many = ",".join(f"sip:receiver{number}@example.org" for number in range(60))
    assert config("set", f"to={many}", "--port", port)[0] == 0
    assert stored(flash)["to"] == many.split(",")
    assert not (flash / "mote.json.new").exists()


def test_all_keys_are_listed_without_a_board(config: Any) -> None:
    code, events, _ = config("keys")
    assert code == 0 and {event["key"] for event in events} == set(CHECKS)
    assert [event["key"] for event in config("keys", "log")[1]] == ["log"]


@pytest.mark.parametrize("wrong", ["open sesame", [SECRET], {"ssid": SECRET}, [[["home"], SECRET]], [[SECRET]], 7])
def test_what_is_not_written_as_networks_is_hidden(wrong: Any) -> None:
    """It may be a password."""
    assert SECRET not in json.dumps(shown("wifi", wrong))
