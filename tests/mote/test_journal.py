"""The journal of a board, over writes that power is cut in, at any octet; on the VM."""

import json
from typing import Any

import pytest

from tests.vm import run_program

_BEGIN = """
import json, os, sys
from mote.journal import END, PUT, Journal, record

path = sys.argv[1] + "/journal"
found = []

def octets():
    with open(path, "rb") as file:
        return file.read()

def put(data):
    with open(path, "wb") as file:
        file.write(data)

def contents(journal):
    return [bytes(content).decode() for _, _, content in journal.read_all()]
"""
_END = """
print(json.dumps(found))
"""


def run(program: str, folder: Any) -> Any:
    return json.loads(run_program(_BEGIN + program + _END, str(folder), "256k").stdout)


def test_a_last_write_that_was_torn_at_any_octet_costs_that_record_alone(tmp_path: Any) -> None:
    """What follows is written behind the whole ones; every prefix of what was ever written is read"""
    program = """
journal = Journal(path)
ends = []
for text in (b"one", b"", b"three\\0\\xff"[:5], b"four"):
    journal.append(record(PUT, text))
    ends.append(journal.size)
whole = octets()
texts = ["one", "", "three", "four"]
for length in range(len(whole) + 1):
    put(whole[:length])
    journal = Journal(path)
    left = [text for text, end in zip(texts, ends) if end <= length]
    if contents(journal) != left:
        found.append([length, "read"])
    journal.append(record(PUT, b"after"))
    if contents(Journal(path)) != left + ["after"]:
        found.append([length, "after"])
found.append(len(whole))
"""
    assert run(program, tmp_path) == [4 * 7 + 3 + 5 + 4]


def test_what_was_garbled_is_not_taken_for_a_record(tmp_path: Any) -> None:
    program = """
journal = Journal(path)
journal.append(record(PUT, b"one"))
second = journal.append(record(PUT, b"two"))
whole = octets()
for at in range(second, len(whole)):
    put(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
    if contents(Journal(path)) != ["one"]:
        found.append(at)
"""
    assert run(program, tmp_path) == []


def test_a_rewriting_keeps_what_is_named_and_one_that_was_cut_changes_nothing(tmp_path: Any) -> None:
    program = """
journal = Journal(path)
offsets = [journal.append(record(PUT, b"%d" % n)) for n in range(5)]
put_ = octets()
with open(path + ".new", "wb") as file:
    file.write(put_[:9])
journal = Journal(path)
found.append(contents(journal))
found.append("journal.new" in os.listdir(sys.argv[1]))
new = journal.rewrite([offsets[1], offsets[4]])
found.append([bytes(journal.load(offset)).decode() for offset in new])
journal.append(record(END, b"x"))
found.append(contents(Journal(path)))
journal.clear()
found.append(contents(Journal(path)))
"""
    assert run(program, tmp_path) == [["0", "1", "2", "3", "4"], False, ["1", "4"], ["1", "4", "x"], []]


@pytest.mark.parametrize("failing", ["write", "flush"])
def test_what_the_flash_does_not_take_does_not_count(tmp_path: Any, failing: str) -> None:
    """A full disk: half of it is cut off again, and the next record is read"""
    program = f"""
class Full:
    def __init__(self, file):
        self.file = file
    def write(self, data):
        if {failing!r} == "write":
            self.file.write(data[:5])
            raise OSError(28)
        return self.file.write(data)
    def flush(self):
        raise OSError(28)
    def close(self):
        self.file.close()

journal = Journal(path)
journal.append(record(PUT, b"one"))
journal._file = Full(journal._file)
try:
    journal.append(record(PUT, b"two"))
except OSError as error:
    found.append(error.errno)
journal.append(record(PUT, b"three"))
found.append(contents(Journal(path)))
"""
    assert run(program, tmp_path) == [28, ["one", "three"]]
