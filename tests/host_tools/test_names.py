"""`sipmote names`, and the commands that take a name wherever they take a URI."""

import contextlib
import json
import stat
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.agent.errors import UsageError
from sipmote.board.config import set_keys
from sipmote.inbox.store import Store
from sipmote.people import named, write_name
from tests.host_tools.test_store import received
from tests.sip_peer import Peer
from tests.tools import Tool


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "sipmote"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    """Run `sipmote names` and return its lines."""
    assert main(["names", *words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_name_is_added_changed_listed_and_removed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = "sip:desk@192.0.2.1", "sip:desk@192.0.2.2;transport=tcp"
    assert said(capsys) == []
    assert said(capsys, "add", "desk", first) == [{"event": "added", "name": "desk", "uri": first}]
    assert said(capsys, "add", "desk", second) == [{"event": "changed", "name": "desk", "uri": second}]
    assert said(capsys, "add", "büro", first) == [{"event": "added", "name": "büro", "uri": first}]
    assert said(capsys) == [
        {"event": "name", "name": "büro", "uri": first},
        {"event": "name", "name": "desk", "uri": second},
    ]
    assert said(capsys, "remove", "büro") == [{"event": "removed", "name": "büro", "uri": first}]
    assert said(capsys) == [{"event": "name", "name": "desk", "uri": second}]
    assert [path.name for path in data.iterdir()] == ["names.json"]
    assert stat.S_IMODE((data / "names.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("add desk", "a name and a URI"),
        ("add desk desk@192.0.2.1", "a URI with a scheme"),
        ("add desk mailto:desk@192.0.2.1", "sip:, sips:, im: and tel:"),
        ("add sip:desk sip:desk@192.0.2.1", "is no name"),
        ("add a,b sip:desk@192.0.2.1", "is no name"),
        ("remove nigth", "is night meant?"),
        ("remove", "no name given"),
        ("remove night extra", "leave extra out"),
        ("list night", "takes no name"),
    ],
)
def test_what_is_no_name_or_no_uri_is_refused_with_the_remedy(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_name("night", "sip:night@192.0.2.1")
    assert main(["names", *line.split()]) == 1
    assert words in capsys.readouterr().err
    assert said(capsys) == [{"event": "name", "name": "night", "uri": "sip:night@192.0.2.1"}]


@pytest.mark.parametrize("text", ["{", "[]", '{"desk": 5}', "\xff", "[" * 100_000])
def test_a_damaged_file_is_told_and_left_as_it_is(data: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir()
    (data / "names.json").write_bytes(text.encode("latin-1"))
    assert main(["names", "add", "desk", "sip:desk@192.0.2.1"]) == 1
    assert f"{data / 'names.json'} holds no names" in capsys.readouterr().err
    assert (data / "names.json").read_bytes() == text.encode("latin-1")


def test_a_name_is_the_same_however_its_accents_were_typed(capsys: pytest.CaptureFixture[str]) -> None:
    composed, apart = "b\u00fcro", "bu\u0308ro"
    said(capsys, "add", composed, "sip:desk@192.0.2.1")
    assert said(capsys, "add", apart, "sip:desk@192.0.2.2")[0]["event"] == "changed"
    assert named(apart) == named(composed) == "sip:desk@192.0.2.2"
    assert set_keys({}, [f"to={apart},{composed}"]) == {"to": ["sip:desk@192.0.2.2"] * 2}
    assert said(capsys, "remove", apart) and said(capsys) == []


def test_a_name_stands_for_its_uri_and_a_slip_is_answered_with_what_is_near() -> None:
    write_name("desk", "sip:desk@192.0.2.1")
    assert named("desk") == "sip:desk@192.0.2.1" and named("sip:a@b") == "sip:a@b"
    for text, words in (("dsk", "is desk meant?"), ("bob@b", "is sip:bob@b meant?"), ("zzz", "sipmote names add")):
        with pytest.raises(UsageError) as wrong:
            named(text)
        assert words in str(wrong.value)


def test_send_and_ask_take_a_name_for_whom_and_from_whom() -> None:
    with Peer() as boiler:
        write_name("boiler", f"sip:boiler@127.0.0.1:{boiler.port}")
        write_name("desk", "sip:desk@127.0.0.1:9")
        for command in ("send", "ask"):
            with Tool(command, "boiler", "hello", "--from", "desk", "--timeout", "20") as tool:
                request = boiler.answer(404)
                assert request.uri == b"sip:boiler@127.0.0.1:%d" % boiler.port
                assert b"<sip:desk@127.0.0.1" in (request.get(b"from") or b"")
                assert tool.wait() == 4


def test_a_board_is_told_uris_and_no_names() -> None:
    """Names and URIs may be mixed, and a user's name may have commas."""
    write_name("desk", "sip:desk@192.0.2.1")
    write_name("night.shift", "sip:night@192.0.2.1")
    for value, uris in (
        ("desk", "sip:desk@192.0.2.1"),
        ("desk,night.shift", ["sip:desk@192.0.2.1", "sip:night@192.0.2.1"]),
        ("night.shift,sip:a,desk@b,desk", ["sip:night@192.0.2.1", "sip:a,desk@b", "sip:desk@192.0.2.1"]),
        ("desks", "desks"),
    ):
        assert set_keys({}, [f"to={value}"])["to"] == uris
    assert set_keys({}, ["allow=desk"])["allow"] == ["sip:desk@192.0.2.1"]


def test_history_from_a_name_is_from_that_person_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not from all whose URI has the name in it; what is no name is part of a URI, as ever."""
    write_name("boiler", "sip:boiler@192.0.2.7:5070;transport=tcp")
    db = str(tmp_path / "db")
    with contextlib.closing(Store(db)) as store:
        for number, sender in enumerate(("sip:boiler@192.0.2.7", "sip:boiler@192.0.2.8", "sip:door@192.0.2.8")):
            store.add([received(call_id=f"{number}", sender=sender)])
    for who, count in (("boiler", 1), ("boile", 2), ("192.0.2.8", 2)):
        assert main(["history", "--db", db, "--from", who, "--json"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == count, who
