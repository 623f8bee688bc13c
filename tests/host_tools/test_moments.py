"""Numbers and times in arguments: what is taken, and what is refused with the remedy."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.moments import seconds, whole


@pytest.mark.parametrize(("text", "number"), [("10", 10), ("2.5", 2.5), (".5", 0.5), ("0", 0), ("5m", 300)])
def test_seconds_are_a_number_or_a_span(text: str, number: float) -> None:
    assert seconds(text) == number


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((seconds, text) for text in ("nan", "inf", "-inf", "-5", "1e3", "٣", "", " 1", "9999999999", "999999w")),
        *((whole(1), text) for text in ("0", "-1", "1.5", "1_0", "+1", "٣", "nan", "")),
    ],
)
def test_what_is_no_number_of_anything_is_refused(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        read(text)


@pytest.mark.parametrize(
    "words",
    [
        "monitor --seconds=nan",
        "monitor --seconds=-5",
        "monitor --db x --max-mb=0.1",
        "boards --seconds=nan",
        "boards --seconds=-1",
        "boards --seconds=inf",
        "flash --baud=0",
        "send sip:desk@192.0.2.1 hi --wait=nan",
        "send sip:desk@192.0.2.1 hi --expires=-1",
        "history --limit=-1",
    ],
)
def test_every_command_refuses_it_before_it_does_anything(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err
