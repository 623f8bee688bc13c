"""Makes a board's own key, of which only the public point leaves it. `sipmote provision` runs it, from the prompt."""

import json
import os
from binascii import hexlify, unhexlify

from agent.cms.p256 import N, multiply
from mote.combs import table
from mote.keys import own

_OWN = "/smime/own"


def make(anew: bool) -> str:
    """Return the public point of our key, uncompressed, in hexadecimal. Without a key, or anew, one is made.

    A new one is used once name() is called.
    """
    secret = None if anew else own().get("secret")
    if secret is None:
        secret = hexlify((int.from_bytes(os.urandom(40), "big") % (N - 1) + 1).to_bytes(32, "big")).decode()
    _write({"secret": secret})
    z = int.from_bytes(os.urandom(32), "big") % (N - 1) + 1
    x, y = multiply(z, (int.from_bytes(unhexlify(secret), "big"), table("g")()))
    return hexlify(b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")).decode()


def name(ids: list) -> None:
    """Use the key that make() has told of. ids: of its certificate, DER in hexadecimal, the shortest first."""
    with open(_OWN + ".new") as file:
        made = json.load(file)
    _write({"secret": made["secret"], "id": ids[0], "ids": ids})
    os.rename(_OWN + ".new", _OWN)


def _write(made: dict) -> None:
    with open(_OWN + ".new", "w") as file:
        json.dump(made, file)
