"""R3261-7.1, R3261-18-9, R3261-18-10, R3261-8.2-1: the 49 messages of RFC 4475 on both interpreters."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.conformance import torture
from tests.vm import ROOT, command

_PLACES = [ROOT.parent / "shared", *(Path(place) for place in [os.environ.get("SHARED")] if place)]
FOLDER = next((place for place in _PLACES if place.is_dir()), _PLACES[0]) / "torture" / "rfc4475"
_ENTRIES = torture.entries(str(FOLDER)) if FOLDER.is_dir() else []


def _need_folder() -> None:
    """Skip where the messages are not beside the clone, fail when CI is set."""
    if not FOLDER.is_dir():
        reason = "the RFC 4475 messages are neither in ../shared/torture/rfc4475 nor in $SHARED/torture/rfc4475"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def test_all_messages_are_there_octet_for_octet() -> None:
    _need_folder()
    assert len(_ENTRIES) == 49
    for entry in _ENTRIES:
        data = torture.read(str(FOLDER), entry)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"]), entry["name"]


@pytest.mark.parametrize("entry", _ENTRIES, ids=lambda entry: entry["name"])
def test_message_is_read_and_answered_as_its_entry_allows(entry: dict) -> None:
    assert torture.problems(entry, torture.read(str(FOLDER), entry)) == []


def test_message_with_its_missing_line_added_is_answered() -> None:
    _need_folder()
    (entry,) = [entry for entry in _ENTRIES if "variants" in entry]
    (variant,) = entry["variants"]
    data = torture.read(str(FOLDER), variant)
    allowed = [outcome for outcome in entry["outcomes"] if outcome["action"] != "drop"]
    assert torture.problems({**entry, "outcomes": allowed}, data) == []


@pytest.mark.parametrize("bits", [32, 64])
def test_messages_are_read_and_answered_alike_on_micropython(bits: int) -> None:
    _need_folder()
    folder = os.path.relpath(FOLDER, ROOT)
    program = str(Path(torture.__file__).relative_to(ROOT))
    done = subprocess.run([*command(bits), program, folder], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "49 messages, 0 problems\n"
