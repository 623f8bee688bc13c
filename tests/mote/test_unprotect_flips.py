"""R0-P12, R8591-8: commands with an octet changed or cut off, opened by a board's own code in one process on the VM."""

import json
import os
from pathlib import Path

from sipmote.agent.cms.der_reader import decode
from tests.mote.board_keys import write_keys
from tests.mote.test_unprotect import board_key, desk_key, inside, protect
from tests.vm import run_program

PROGRAM = """
import json
import sys
from binascii import unhexlify

from agent.cms import agreement
from agent.errors import ParseError
from mote import envelope, keys, verdict


class Given:
    def __init__(self, content_type, body):
        self.content_type = content_type
        self.body = body

    def get(self, name):
        return self.content_type


class Table:  # without the file between
    def __init__(self, name):
        with open(keys._FOLDER + name, "rb") as file:
            self._data = file.read()

    def __call__(self):
        return self._data


folder = sys.argv[1]
keys._FOLDER = folder + "/smime/"
tables = {name: Table(name) for name in ("g", "1")}
verdict.table = tables.get
secret = unhexlify(keys.own()["secret"])
with open(folder + "/commands") as file:
    given = json.load(file)
tried = 0


def look(content_type, body, agreed):
    while True:
        found = envelope.open_envelope(Given(content_type, body), agreed, None)
        if type(found) is tuple:
            return found
        try:
            agreed[found] = agreement.agree(secret, found, 5)
        except ValueError:
            agreed[found] = b""


def judge(how, right, content_type, body, agreed, turn):
    try:
        found = look(content_type, body, agreed)
        if found == right:
            return 200
        if found[3] is not None:
            if turn:
                return 0  # a signature that is another one, or of something else
            verdict.check(found[3][0], found[3][1], found[3][2], found[3][3], found[4], 493 if found[2] else 403)
    except ParseError as error:
        return error.status
    raise AssertionError((how, body, found))


for how, content_type, body, step in given:
    content_type, body, agreed = content_type.encode(), unhexlify(body), {}
    right = look(content_type, body, agreed)
    if right[3] is not None:
        verdict.check(right[3][0], right[3][1], right[3][2], right[3][3], right[4], 403)
    cut = [judge(how, right, content_type, body[:at], agreed, 0) for at in range(0, len(body), step)]
    flipped = []
    for at in range(0, len(body), step):
        changed = body[:at] + bytes((body[at] ^ 1 << at % 8,)) + body[at + 1 :]
        flipped.append(judge(how, right, content_type, changed, agreed, at % 8))
    print(json.dumps([how, cut, flipped]))
"""


STEPS = {"sign": 3, "sign+encrypt": 19, "shared": 9}  # the VM takes up to 30 ms for one that is encrypted


def test_no_octet_changed_or_cut_off_makes_another_command(tmp_path: Path) -> None:
    """FUZZ=1 tries each octet and each length, else one of STEPS.

    What still opens is what was sent: a version, or the name of a digest that nobody needs, has changed. Behind the
    cipher there is one answer. Of what reaches the signature, which takes long, one in eight is verified.
    """
    write_keys(tmp_path, board_key, desk_key, shared="sip:desk@127.0.0.1")
    commands = {how: protect(how, inside()) for how in STEPS}
    steps = dict.fromkeys(STEPS, 1) if "FUZZ" in os.environ else STEPS
    given = [(how, kind.decode(), body.hex(), steps[how]) for how, (kind, body) in commands.items()]
    (tmp_path / "commands").write_text(json.dumps(given))
    told = [json.loads(line) for line in run_program(PROGRAM, str(tmp_path), "2m").stdout.splitlines()]
    assert [how for how, _, _ in told] == list(STEPS)
    for how, cut, flipped in told:
        body = commands[how][1]
        places = range(0, len(body), steps[how])
        assert cut == [400] * len(places) and len(flipped) == len(places), how
        if how == "sign":
            assert set(flipped) == {0, 200, 400, 403}
            assert changed(body, body.index(b"From: "), 130, places, flipped) == {403}
        else:
            assert set(flipped) <= {200, 400, 493}
            hidden = decode(body).parts[1].parts[0].parts[2].parts[2].octets
            assert changed(body, body.index(hidden), len(hidden), places, flipped) == {493}


def changed(body: bytes, start: int, size: int, places: range, statuses: list[int]) -> set[int]:
    """Return what was answered where an octet of a stretch was flipped."""
    return {status for at, status in zip(places, statuses, strict=True) if start <= at < start + size}
