"""How fast alerts get through a bridge, beside what the line could carry."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.host_tools.on_serial import bridge, serial_board
from tests.soak_board import Desk
from tests.wire import Wire

ALERTS = 120
_FIRST = 20  # of them: until all that they need is loaded
_LIMIT_S = 120.0
_PROGRAM = """
from mote import Mote
mote = Mote()

@mote.every(86400)
async def begin():
    for n in range(%d):
        mote.alert("Boiler at %%d C" %% n)

mote.run()
"""


class Rate(NamedTuple):
    """What came through."""

    octets_s: int | None  # that the line carries in each direction, None for any number
    alerts_s: float
    up: float  # octets on the line for each alert, with its log record, acknowledgements and greetings
    down: float


def rates() -> Iterator[Rate]:
    """Measure at 115,200 baud, and without a limit."""
    for octets_s in (11520, None):
        desk = _Desk(is_kind=True)
        desk.start()
        try:
            with tempfile.TemporaryDirectory() as folder:
                yield _rate(Path(folder), desk, octets_s)
        finally:
            desk.end()


def _rate(folder: Path, desk: "_Desk", octets_s: int | None) -> Rate:
    to = f"sip:desk@127.0.0.1:{desk.port}"
    with (
        serial_board(folder, _PROGRAM % ALERTS, to=to) as port,
        Wire(port, octets_s) as wire,
        bridge(folder, wire.port),
    ):
        deadline = time.monotonic() + _LIMIT_S
        before = {}
        while len(desk.times) < ALERTS and time.monotonic() < deadline:
            time.sleep(0.005)
            if len(desk.times) <= _FIRST:
                before = dict(wire.octets)
    counted = len(desk.times) - _FIRST
    up, down = ((wire.octets[way] - before[way]) / counted for way in ("from board", "to board"))
    return Rate(octets_s, (counted - 1) / (desk.times[-1] - desk.times[_FIRST]), up, down)


class _Desk(Desk):
    """Notes when alerts come."""

    def __init__(self, is_kind: bool) -> None:
        super().__init__(is_kind=is_kind)
        self.times: list[float] = []

    def _take(self, request: bytes) -> bytes:
        self.times.append(time.monotonic())
        return super()._take(request)
