"""What `sipmote operator` writes, but for Kamailio's part, which tests/interop/test_front.py runs."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from sipmote.__main__ import whole_parser
from tests.host_tools.peers import ROOT, sipmote

_FOLDER = ROOT / "host_tools" / "operator"
_UNIT = _FOLDER / "sipmote-inbox@.service"


def test_files_are_written_once_and_never_over_others(tmp_path: Path) -> None:
    code, out, _ = sipmote("operator", str(tmp_path / "new"), "--json")
    written = {Path(line["file"]).name: line["state"] for line in map(json.loads, out.splitlines())}
    names = {path.name for path in _FOLDER.iterdir() if path.suffix != ".md"}
    assert code == 0 and written == dict.fromkeys(names, "written")
    for name in names:
        assert (tmp_path / "new" / name).read_text() == (_FOLDER / name).read_text()
    (tmp_path / "new" / "dispatcher.list").write_text("1 sip:192.0.2.1\n")
    (tmp_path / "new" / "kamailio.cfg").unlink()
    code, out, err = sipmote("operator", str(tmp_path / "new"))
    assert code == 1 and "dispatcher.list" in err and "Traceback" not in err
    assert (tmp_path / "new" / "dispatcher.list").read_text() == "1 sip:192.0.2.1\n"
    assert (tmp_path / "new" / "kamailio.cfg").exists()
    assert sipmote("operator", str(tmp_path / "new" / "users.sql"))[0] == 1


def _unit() -> dict[str, str]:
    """Return the settings of the service, the last of each."""
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(_UNIT)
    return dict(parser["Service"])


def test_the_unit_gives_an_inbox_no_more_than_it_needs(tmp_path: Path) -> None:
    """R0-P17: secrets come as credentials, neither as arguments nor in the environment"""
    unit = _unit()
    for name in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateDevices", "MemoryDenyWriteExecute"):
        assert unit[name] == "yes", name
    assert unit["ProtectSystem"] == "strict" and unit["CapabilityBoundingSet"] == "" and unit["UMask"] == "0077"
    assert unit["LoadCredential"].startswith("inbox:") and unit["StateDirectory"] == "sipmote"
    if not shutil.which("systemd-analyze"):
        return  # its own checks, where it is there
    copy = tmp_path / _UNIT.name  # verify wants the program to be there
    copy.write_text(_UNIT.read_text().replace("/opt/sipmote/bin/sipmote", "/bin/true"))
    for words in (["verify"], ["security", "--offline=true", "--threshold=15"]):
        done = subprocess.run(["systemd-analyze", *words, "--no-pager", str(copy)], capture_output=True, text=True)
        assert done.returncode == 0 and "Unknown" not in done.stderr, done.stdout + done.stderr


def test_the_password_of_the_database_is_in_a_file_that_libpq_takes(tmp_path: Path) -> None:
    """It refuses one that its group can read, as credentials are."""
    line = shlex.split(_unit()["ExecStartPre"].removeprefix("-").replace("$$", "$"))
    secret, target = tmp_path / "inbox_pgpass", tmp_path / "run"
    environment = {"SECRETS": str(tmp_path / "inbox"), "PGPASSFILE": str(target)}
    assert subprocess.run(line, env=environment).returncode == 0 and not target.exists()
    secret.write_text("db:5432:*:sipmote:secret\n")
    assert subprocess.run(line, env=environment).returncode == 0
    assert target.read_text() == secret.read_text() and target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("file", [_UNIT.name, "Containerfile"])
def test_examples_have_arguments_that_there_are(file: str) -> None:
    text = (_FOLDER / file).read_text()
    options = set(re.findall(r" (--(?:bind|domain|db|users|tls-cert|password-file)) ", text))
    known = set(re.findall(r"--[a-z-]+", _help("inbox")))
    assert options and options <= known


def _help(command: str) -> str:
    commands = next(action for action in whole_parser()._actions if action.choices and command in action.choices)
    return str(commands.choices[command].format_help())  # type: ignore[index,call-overload]


def test_the_container_runs_as_nobody_s_root_and_is_asked_whether_it_lives() -> None:
    """It can't be built here: its instructions are in an order that works, and nothing is copied but the wheel."""
    text = re.sub(r"\\\n", "", (_FOLDER / "Containerfile").read_text())
    lines = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    names = [name for name, _ in lines]
    values = dict(lines)
    assert names[0] == "FROM" and re.fullmatch(r"python:3\.\d+-slim-\w+", values["FROM"])
    assert values["USER"].isdigit() and values["USER"] != "0" and names.index("RUN") < names.index("USER")
    assert names.count("COPY") == 1 and values["COPY"] == "sipmote-*.whl /tmp/"
    assert values["VOLUME"] == "/data" and values["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(values["ENTRYPOINT"]) == ["sipmote", "inbox"]
    check = json.loads(values["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["sipmote", "doctor"] and f" {check[2]} " in _help("doctor")
