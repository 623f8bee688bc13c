"""The journal of a board, over writes that power is cut in, at any octet; on the VM."""

import json
from typing import Any

import pytest

from tests.vm import run_program

_BEGIN = """
import json, os, sys
from mote.outbox import Journal, record
from mote.journal import load, read_all
from mote.compaction import rewrite

PUT, END = 1, 2
path = sys.argv[1] + "/journal"
found = []

def octets():
    with open(path, "rb") as file:
        return file.read()

def put(data):
    with open(path, "wb") as file:
        file.write(data)

def begin():
    journal = Journal(path)
    read = []
    try:
        for kind, offset, content in read_all(path):
            if kind is None:
                journal.octets = offset
                journal.is_torn = content > offset
            else:
                read.append(bytes(content).decode() if kind else None)
    except OSError:
        pass
    return journal, read

def contents():
    return begin()[1]
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
    ends.append(journal.octets)
whole = octets()
texts = ["one", "", "three", "four"]
for length in range(len(whole) + 1):
    put(whole[:length])
    journal, read = begin()
    left = [text for text, end in zip(texts, ends) if end <= length]
    if read != left:
        found.append([length, "read"])
    journal.append(record(PUT, b"after"))
    if contents() != left + ["after"]:
        found.append([length, "after"])
found.append(len(whole))
"""
    assert run(program, tmp_path) == [4 * 8 + 3 + 5 + 4]


def test_what_was_garbled_is_not_taken_for_a_record_and_what_is_behind_it_is_read(tmp_path: Any) -> None:
    """R0-P5: at any octet; None stands for what is lost"""
    program = """
journal = Journal(path)
journal.append(record(PUT, b"one"))
second = journal.append(record(PUT, b"two"))
third = journal.append(record(PUT, b"three"))
whole = octets()
for at in range(second, len(whole)):
    put(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
    if contents() != (["one", None, "three"] if at < third else ["one", "two"]):
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
found.append(contents())
found.append("journal.new" in os.listdir(sys.argv[1]))
lists = [[offsets[1]], [], [offsets[4]]]
keys, handles, journal.octets = rewrite(path, lists, {"key": (offsets[4],)}, {offsets[1]: "handle"})
found.append([[bytes(load(path, offset)).decode() for offset in one] for one in lists])
found.append([keys["key"] == (lists[2][0],), handles[lists[0][0]], journal.octets == len(octets())])
journal.append(record(END, b"x"))
found.append(contents())
journal.clear()
found.append(contents())
"""
    assert run(program, tmp_path) == [
        ["0", "1", "2", "3", "4"],
        False,
        [["1"], [], ["4"]],
        [True, "handle", True],
        ["1", "4", "x"],
        [],
    ]


@pytest.mark.parametrize("failing", ["open", "write", "close", "again"])
def test_what_the_flash_does_not_take_does_not_count(tmp_path: Any, failing: str) -> None:
    """A full disk: half of it is cut off again, at once or before the next record, which is read"""
    program = f"""
import builtins

class Full:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *args):
        self.file.close()
        if {failing!r} == "close":
            raise OSError(28)
    def seek(self, *where):
        return self.file.seek(*where)
    def write(self, data):
        if {failing!r} != "close":
            self.file.write(data[:5])
            raise OSError(28)
        return self.file.write(data)

def full(path, mode):
    if {failing!r} == "open" or mode == "wb":
        raise OSError(28)
    file = _open(path, mode)
    return Full(file) if mode == "ab" else file

def cut_fails(path, mode):
    if mode == "wb" and {failing!r} != "again":
        return _open(path, mode)
    return full(path, mode)

journal = Journal(path)
journal.append(record(PUT, b"one"))
_open = builtins.open
builtins.open = cut_fails
try:
    journal.append(record(PUT, b"two"))
except OSError as error:
    found.append(error.errno)
builtins.open = _open
found.append(journal.is_torn)
journal.append(record(PUT, b"three"))
found.append(contents())
"""
    is_torn = failing in ("open", "again")  # where nothing can be opened nothing can be cut
    assert run(program, tmp_path) == [28, is_torn, ["one", "three"]]
