"""`sipmote provision --protect`: a board makes its key, and has the keys of others."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sipmote.__main__ import main
from sipmote.agent.cms.tables import GENERATOR, make_table
from sipmote.board.protecting import Protecting
from sipmote.board.transfer import stopped_board
from sipmote.errors import ToolError
from sipmote.smime.keys import identifiers
from sipmote.smime.store import KeyStore
from tests.host_tools.virtual import fill, virtual_board

BOARD = "sip:boiler@127.0.0.1"
DESK = "sip:desk@127.0.0.1:9"
PROGRAM = "import time\nwhile True:\n time.sleep(1)\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return KeyStore()


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    fill(tmp_path / "flash", PROGRAM, {"aor": BOARD, "to": DESK, "bind": "127.0.0.1:0"})
    return tmp_path / "flash"


def provision(capsys: pytest.CaptureFixture[str], port: str, *words: str) -> tuple[int, dict[str, Any]]:
    """Run it without a trial; returns its exit code, and what is said of each thing."""
    capsys.readouterr()
    code = main(["provision", "--port", port, "--no-try", "--json", *words])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, {line["about"]: line for line in lines if line["event"] == "finding"}


def kept(flash: Path, name: str) -> Any:
    return json.loads((flash / "smime" / name).read_text())


def test_a_board_makes_its_key_and_keeps_it(store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R0-P17: the private key stays there"""
    store.create(DESK)
    (flash / "smime").mkdir()
    (flash / "smime" / "seen").write_text('{"sip:desk@')
    with virtual_board(flash, "128k") as port:
        code, said = provision(capsys, port, "--protect", "sign+encrypt")
        assert code == 0, said
        assert not (flash / "smime" / "seen").exists()  # no signed command was taken as long as it was damaged
        assert said["keys"]["text"].endswith(" octets fits")
        assert json.loads((flash / "mote.json").read_text())["protect"] == "sign+encrypt"
        own, (peer,) = kept(flash, "own"), kept(flash, "peers")
        certificate = store.certificate(BOARD)
        assert certificate is not None
        assert own["ids"] == [one.hex() for one in identifiers(certificate)] and own["id"] == own["ids"][0]
        numbers = certificate.public_key().public_numbers()  # type: ignore[union-attr]
        ours = ec.derive_private_key(int(own["secret"], 16), ec.SECP256R1()).public_key().public_numbers()
        assert numbers == ours
        desk = store.certificate(DESK)
        assert desk is not None and peer["uri"] == DESK and peer["id"] == identifiers(desk)[0].hex()
        point = desk.public_key().public_numbers()  # type: ignore[union-attr]
        assert (flash / "smime" / peer["table"]).read_bytes() == make_table(point.x, point.y)  # type: ignore[union-attr]
        assert (flash / "smime" / "g").read_bytes() == make_table(*GENERATOR)
        assert own["secret"] not in "".join(path.read_text() for path in store.folder.rglob("*.*"))

        assert provision(capsys, port, "--protect", "sign")[0] == 0  # the same key
        assert kept(flash, "own") == own and store.certificate(BOARD) == certificate

        assert provision(capsys, port, "--protect", "sign", "--new-key")[0] == 0
        assert kept(flash, "own")["secret"] != own["secret"] and store.certificate(BOARD) != certificate


def test_a_recipient_without_a_certificate_is_named_before_the_board_is_touched(
    store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with virtual_board(flash, "128k") as port:
        code, said = provision(capsys, port, "--protect", "encrypt")
        assert code == 1 and f"there is no certificate of {DESK} to encrypt to" in said["board"]["text"]
        assert not (flash / "smime").exists() and "protect" not in (flash / "mote.json").read_text()
        assert provision(capsys, port, "--protect", "sign")[0] == 0  # which needs none


def test_a_shared_key_is_at_both_ends(store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_board(flash, "128k") as port:
        assert provision(capsys, port, "--protect", "shared")[0] == 0
        (peer,) = kept(flash, "peers")
        shared = store.shared(DESK)
        assert shared is not None
        assert (bytes.fromhex(peer["name"]), bytes.fromhex(peer["key"])) == shared and peer["uri"] == DESK


def test_who_is_written_to_no_more_has_no_table_left(
    store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for uri in (DESK, "sip:other@127.0.0.1"):
        store.create(uri)
    with virtual_board(flash, "128k") as port:
        assert provision(capsys, port, "--protect", "encrypt")[0] == 0
        before = {path.name for path in (flash / "smime").iterdir()}
        monkeypatch.setenv("SIPMOTE_TO", "sip:other@127.0.0.1")
        assert provision(capsys, port, "--protect", "encrypt")[0] == 0
        after = {path.name for path in (flash / "smime").iterdir()}
    assert len(before) == len(after) == 5 and len(before & after) == 4


def test_a_firmware_without_ciphers_is_told_before_the_configuration_changes(
    store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (flash / "cryptolib.py").write_text("raise ImportError('no cryptolib')\n")
    with virtual_board(flash, "128k") as port:
        code, said = provision(capsys, port, "--protect", "sign")
        assert code == 1 and "lack what protection needs" in said["board"]["text"]
        assert "protect" not in (flash / "mote.json").read_text()


def test_a_board_that_protected_nothing_gets_the_modules_for_it(
    store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (flash / "lib" / "mote" / "new_key.mpy").unlink()
    with virtual_board(flash, "128k") as port:
        assert provision(capsys, port, "--protect", "sign")[0] == 0
        assert (flash / "lib" / "mote" / "new_key.mpy").exists()


def test_what_is_wrong_with_a_boards_keys_is_found(
    store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As doctor asks: each with its remedy, and nothing is changed"""
    store.create(DESK)
    config = {"aor": BOARD, "to": DESK, "protect": "sign+encrypt"}
    with virtual_board(flash, "128k") as port:

        def check(**more: str) -> str:
            with stopped_board(port, print) as board:
                try:
                    return Protecting(board, store).check({**config, **more})
                except ToolError as error:
                    return f"{error}"

        assert check().startswith("there are none on the board: sipmote provision --protect")
        assert not (flash / "smime").exists()
        assert provision(capsys, port, "--protect", "sign+encrypt")[0] == 0
        own = store.certificate(BOARD)
        assert own is not None
        assert check() == f"its own, certified until {own.not_valid_after_utc:%F}, and keys for 1"
        assert "no key is shared with sip:desk" in check(protect="shared")
        store.trust(store.issue(BOARD, own.public_key()))  # type: ignore[arg-type]
        assert "isn't the one that sipmote keys has for sip:boiler" in check()
        store.trust(own)
        assert "isn't what sipmote keys has for to and allow" in check(to="sip:desk@127.0.0.1:10")
        for name, words in (("own", "no key of its own"), ("g", "/smime/g is missing"), ("peers", "there are none")):
            octets = (flash / "smime" / name).read_bytes()
            (flash / "smime" / name).unlink()
            assert words in check()
            (flash / "smime" / name).write_bytes(octets)
        store.rotate(DESK)
        assert "another key of sip:desk@127.0.0.1:9 than sipmote keys has" in check()


def test_a_configuration_that_needs_keys_is_not_deployed_without(
    flash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what no deploy brings back stays when the rest is taken off, unless that is wanted"""
    before = (flash / "mote.json").read_bytes()
    with virtual_board(flash, "128k") as port:
        assert main(["deploy", "--port", port, "--set", "protect=sign"]) == 1
        assert "sipmote provision --protect sign first" in capsys.readouterr().err
        assert (flash / "mote.json").read_bytes() == before
        (flash / "smime").mkdir()
        (flash / "smime" / "own").write_text("{}")
        assert main(["deploy", "--port", port, "--set", "protect=sign"]) == 0
        assert main(["uninstall", "--port", port, "--yes"]) == 0
        assert "kept    /smime, the board's keys (--keys takes them, too)" in capsys.readouterr().out
        assert main(["uninstall", "--port", port, "--yes", "--keys"]) == 0
        assert not (flash / "smime").exists()


def test_a_password_that_leaves_no_room_is_told_before_the_configuration_changes(
    store: KeyStore, flash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.create(DESK)
    config = {"aor": BOARD, "to": DESK, "bind": "127.0.0.1:0", "password": "wonder"}
    (flash / "mote.json").write_text(json.dumps(config))
    with virtual_board(flash, "128k") as port:
        code, said = provision(capsys, port, "--protect", "sign+encrypt")
        assert code == 1 and "beside what a server's challenge takes, protect=sign+encrypt" in said["board"]["text"]
        assert "protect" not in (flash / "mote.json").read_text()
        code, said = provision(capsys, port, "--protect", "encrypt")
        assert code == 0 and " octets fits" in said["keys"]["text"]
