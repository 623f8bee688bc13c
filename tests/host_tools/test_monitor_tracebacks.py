"""Tracebacks of deployed modules, which have no line numbers, lead to the sources; a program's own lines stay."""

from pathlib import Path

import pytest

from sipmote.console import Output
from sipmote.link.board_events import BoardEvents
from sipmote.link.frames import Record, encode_record
from sipmote.link.teller import Teller
from sipmote.link.tracebacks import located, sources
from tests.host_tools.virtual import started
from tests.vm import ROOT

PROGRAM = """
from mote import Mote
mote = Mote()
mote.command("")
"""


def _line(path: str, text: str) -> str:
    """Return "file:line" of the only line that begins so."""
    (number,) = (
        at for at, line in enumerate((ROOT / path).read_text().splitlines(), 1) if line.strip().startswith(text)
    )
    return f"{path}:{number}"


def test_a_traceback_of_a_deployed_module_names_its_source(tmp_path: Path) -> None:
    settings = {"aor": "sip:boiler@127.0.0.1", "to": "sip:desk@127.0.0.1", "bind": "127.0.0.1:0"}
    with started(tmp_path / "flash", PROGRAM, settings) as (_, monitor):
        own = monitor.wait_for(event="console", text=lambda text: 'File "main.py", line 4' in text)
        assert "source" not in own
        failure = monitor.wait_for(event="console", text=lambda text: text.startswith('  File "mote.failure"'))
        assert failure["source"] == [_line("micropython/mote/failure.py", "def command(")]


def test_people_read_the_source_and_their_own_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    at = "main.py:12 boiler, mote.failure command"
    failed = Record(1, 900, None, 0, 3, "sensor_failed", {"error": "ValueError()", "at": at}, 7)
    places = b'  File "main.py", line 4, in <module>\r\n  File "mote.failure", line 1, in command\r\n'
    printed = places + b"mote.failure command\r\n"
    board = BoardEvents("boiler")
    Teller(Output(as_json=False)).tell(board.feed(printed + encode_record(failed), 0, 0), "boiler", "port")
    own, ours, text, record = capsys.readouterr().out.splitlines()
    line = _line("micropython/mote/failure.py", "def command(")
    assert own == '  File "main.py", line 4, in <module>'
    assert ours == f'  File "{line.split(":")[0]}", line {line.split(":")[1]} (its def), in command'
    assert text == f"{line} command"
    assert record.endswith(f'at="main.py:12 boiler, {line} command"')


def test_methods_of_one_name_are_all_named_and_what_is_not_ours_stays() -> None:
    assert len(sources("mote.outbox __init__")) == 2
    for text in (
        '  File "main.py", line 1, in run',
        "my.agent send",
        "mote.nothing here",
        'File "mote", line 7, in run',
    ):
        assert (located(text), sources(text)) == (text, [])
