"""A message now and then that says that the board lives, and how: the setting heartbeat. Loaded where it is set.

Its body is words in ASCII: every=300 up=3600 free=43210 rssi=-61 clock=ntp waiting=0. It is in memory alone, is sent
once, and never stands before an alert: RFC 3428 section 8 lets one message be under way to a URI, so that an alert ends
the heartbeat that is.
"""

import asyncio
from time import ticks_diff, ticks_ms

from agent.compat import const
from agent.events import Outcome
from mote.log import WARNING
from mote.net.driver import ask
from mote.net.sockets import now

_TYPE = b"application/vnd.sipmote.heartbeat"
_FIRST_MS = const(5000)  # in which the first one leaves: after a blackout a thousand boards start at once
_PATIENCE_MS = const(8000)  # for an answer; the next one comes in any case
_JOIN_MS = const(15000)  # for a network, before a board sleeps
_STEP_MS = const(100)
_HOUR_S = const(3600)
_SHORTEST_S = const(10)
_REMEDY = "set heartbeat_to to a sipmote inbox, or heartbeat=0"


class Heartbeat:
    """Sends them, and steps between a mote.Mote and its core to hear what becomes of them.

    call_id: of the one under way.
    """

    call_id = None
    _alert = None  # that one
    _before = None  # what takes alerts and events without us
    _told_s = None  # the uptime when it was logged that they are refused

    def __init__(self, mote: object) -> None:
        self._mote = mote
        mote.heartbeat = self
        given = mote.settings.get
        to = given("to")
        self._target = (given("heartbeat_to") or (to if type(to) is str else to[0])).encode()
        self._every_s = max(given("heartbeat"), _SHORTEST_S)
        asyncio.create_task(self._beat())

    def begin(self) -> None:
        """Beat in another run of mote, too. What the earlier one has left under way isn't waited for."""
        self._give_up()
        asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        """Beat for ever: soon, then at some time within the period, so that boards part, then once a period."""
        mote = self._mote
        if self._before is None:  # by now there is a shell
            self._before = mote.submit, mote.shell._on_event
            mote.submit = self._submit
            mote.shell._on_event = self._on_event
        rest_ms = self._every_s * 1000 - _PATIENCE_MS
        wait_ms, next_ms = self._chance(_FIRST_MS), self._chance(rest_ms)
        while True:
            try:
                await asyncio.sleep_ms(wait_ms)
                wait_ms, next_ms = next_ms, rest_ms
                self._send(self._every_s)
                await asyncio.sleep_ms(_PATIENCE_MS)
                self._give_up()
            except Exception as error:
                await mote.shell.failed(error)

    async def last(self, ms: int) -> None:
        """Tell when the next one comes of a board that is about to sleep for so many ms, once it has a network."""
        try:
            await _wait_for(self._has_network, _JOIN_MS)
            self._send(max(ms // 1000, 1))
            await _wait_for(lambda: self.call_id is None, _PATIENCE_MS)
            self._give_up()
        except Exception as error:
            await self._mote.shell.failed(error)

    def _send(self, every_s: int) -> None:
        """Send one, unless there is no network, or a message is under way to the same URI, which says as much."""
        self._give_up()
        mote = self._mote
        uac = mote.agent.uac
        call_id = mote.agent.new_call_id()
        if not self._has_network() or uac.request(call_id, self._target, b"", {}).key in uac.queues:
            return
        self._alert = mote.Alert(self._target, self._body(every_s), None, mote.uptime)
        self._alert.options = {"content_type": _TYPE, "expires": every_s}
        self.call_id = call_id
        self._before[0](self._alert, call_id)
        mote._alerts.pop(call_id, None)  # it is none

    def _body(self, every_s: int) -> bytes:
        from mote.vitals import vitals

        body = "every=%d up=%d clock=%s free=%d waiting=%d" % ((every_s,) + vitals(self._mote))
        rssi = ask(_wifi(), "status", "rssi") if self._mote.settings.get("wifi") else None
        return (body if rssi is None else "%s rssi=%d" % (body, rssi)).encode()

    def _has_network(self) -> bool:
        """Is there one, as far as a board can tell: not of a cable, nor of IPv6."""
        given = self._mote.settings.get
        if not given("wifi") or given("lan") is not None or given("bind", "0.0.0.0:5060")[0] == "[":
            return True
        return bool(ask(_wifi(), "isconnected"))

    def _chance(self, most_ms: int) -> int:
        return (int.from_bytes(self._mote.agent.uac.random_bytes(4), "big") & 0x3FFFFFFF) % most_ms

    def _give_up(self) -> None:
        """Wait no longer for the answer to the one that is under way, if any; nor does the next message."""
        uac = self._mote.agent.uac
        for branch in list(uac.pending):
            request = uac.pending[branch].request
            if request.call_id == self.call_id:
                events = []
                uac.go_on(request.key, now(), events)
                del uac.pending[branch]
                self._mote.shell.carry_out(events)
        self.call_id = self._alert = None

    def _submit(self, alert: object, call_id: bytes | None = None) -> None:
        """Hand an alert to the core as mote.Mote.submit() does."""
        self._give_up()
        self._before[0](alert, call_id)

    def _on_event(self, event: object) -> None:
        if type(event) is not Outcome or event.call_id != self.call_id:
            self._before[1](event)
            return
        self._alert.end(event.name)  # mote.showing may want to know
        self.call_id = self._alert = None
        at_s = self._mote.uptime()
        is_refused = event.status >= 300 and event.name != "timeout" and event.status != 503
        if is_refused and (self._told_s is None or at_s - self._told_s >= _HOUR_S):
            self._told_s = at_s
            mote = self._mote
            mote.log(WARNING, "heartbeat_refused", status=event.status, reason=event.reason, remedy=_REMEDY)


async def _wait_for(is_so: object, most_ms: int) -> None:
    began = ticks_ms()
    while not is_so() and ticks_diff(ticks_ms(), began) < most_ms:
        await asyncio.sleep_ms(_STEP_MS)


def _wifi() -> object:
    import network

    return network.WLAN(network.STA_IF)
