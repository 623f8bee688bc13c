"""The mote.json that is on a board: read, shown without its secrets, and replaced at once or not at all."""

import base64
import hashlib
from typing import Any

from sipmote.board.config import Config, encode_config, parse_config
from sipmote.board.survey import TOOLS, answers, read_config
from sipmote.errors import ToolError
from sipmote.link.port import is_virtual
from sipmote.link.repl import Board, BoardFull

ON_BOARD = "mote.json on the board"
HIDDEN = "(set)"
_CHUNK = 512  # octets a script, which a small heap can hold three times
_BEGIN = "f=open('/mote.json.new','wb')\n"
_END = """
f.close()
h=hashlib.sha256()
with open('/mote.json.new','rb') as f:
 h.update(f.read())
say(hexlify(h.digest()).decode())
"""
_SWAP = """
os.rename('/mote.json.new','/mote.json')
if hasattr(os,'sync'):
 os.sync()
"""


def run_lean(board: Board, script: str) -> list[Any]:
    """Run a script and return what it says; after a reset if the board's program leaves too little memory for it."""
    try:
        return answers(board.run(TOOLS + script))
    except BoardFull:
        board.reset()
        return answers(board.run(TOOLS + script))


def read_stored(board: Board) -> Config | None:
    """Return the configuration of a stopped board, None where it has none; ToolError for what is no JSON object."""
    text = read_config(board)
    return None if text is None else parse_config(text, f"{ON_BOARD} (send a right one: sipmote deploy --config)")


def with_bind(config: Config, device: str) -> Config:
    """Return config, with a free port for a virtual board: it shares ours, and an inbox may have 5060."""
    return {"bind": "0.0.0.0:0", **config} if is_virtual(device) else config


def write_stored(board: Board, config: Config) -> None:
    """Put a configuration on a stopped board. It is beside the old one until it is there, to the octet."""
    data = encode_config(config)
    run_lean(board, _BEGIN)
    for at in range(0, len(data), _CHUNK):
        board.run(f"f.write(a2b_base64({base64.b64encode(data[at : at + _CHUNK])!r}))\n")
    if answers(board.run(_END)) != [(hashlib.sha256(data).hexdigest(),)]:
        raise ToolError("mote.json did not arrive as it was sent, the old one stays: check the cable and try again")
    board.run(_SWAP)


def shown(key: str, value: Any) -> Any:
    """Return a value as people may see it, JSON like before, with what is secret in it replaced by "(set)"."""
    if key == "wifi" and isinstance(value, list):
        return [_shown_network(network) for network in value]
    if key == "commanders" and isinstance(value, dict):
        return dict.fromkeys(value, HIDDEN)
    return HIDDEN if key in ("password", "wifi", "commanders") else value


def _shown_network(network: Any) -> Any:
    if isinstance(network, list) and len(network) > 1 and all(isinstance(part, str) for part in network[:2]):
        return [network[0], network[1] and HIDDEN, *network[2:]]
    return HIDDEN  # written wrongly: it may be a password
