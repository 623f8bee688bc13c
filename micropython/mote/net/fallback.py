"""The way out over the serial line for a board whose network has failed: the setting fallback.

An alert that nobody answers, or that can't leave, turns alerts to the line for a while, as long as a bridge greets
there. To the core that is another way for the same request: Call-ID, From and text stay, by which a receiver knows what
came by both. Commands that come over the line are answered there; replies to others and REGISTER stay with the network.
"""

from agent.compat import const
from agent.events import Outcome, Transmit
from agent.notices import Resolve
from mote.net.sockets import now

_GREETED_S = const(25)  # since when a bridge is gone; it answers each of our greetings
_AWAY_S = const(300)  # until the network is tried again


def open(mote: object, serial: object) -> None:
    """Put a line beside the board's sockets. serial: mote.net.serial.Serial."""
    flow = (b"SERIAL", b"serial.invalid", 0)
    Fallback(mote, serial(mote, flow), flow)


class Fallback:
    """A line beside the sockets of a Shell, between whose methods and their callers it steps."""

    _greeted_at = -_GREETED_S  # by mote.uptime(), as is the next
    _back_at = 0

    def __init__(self, mote: object, line: object, flow: tuple) -> None:
        """line: a mote.net.serial.Serial. flow: what the core knows it by."""
        self._mote = mote
        self._line = line
        self._flow = flow
        shell = mote.shell
        self._before = shell.carry_out, shell._send, shell._on_event, line._greeted
        shell.carry_out = self._carry_out
        shell._send = self._send
        shell._on_event = self._on_event
        line._greeted = self._greeted

    def _is_needed(self) -> bool:
        at = self._mote.uptime()
        return at < self._back_at and at < self._greeted_at + _GREETED_S

    def _greeted(self, version: int, octets: bytes) -> None:
        self._before[3](version, octets)
        if self._line._refused is None:
            self._greeted_at = self._mote.uptime()

    def _carry_out(self, events: object) -> None:
        if self._is_needed():
            events = [self._turned(event) for event in events]
        self._before[0](events)

    def _turned(self, event: object) -> object:
        """Return what takes an event's place while the network has failed."""
        kind = type(event)
        if kind is Transmit and self._is_alert(event.data):
            return Transmit(event.data, self._flow)
        if kind is Resolve:
            return lambda: self._mote.agent.resolved(event.uri, [self._flow], now())
        return event

    def _is_alert(self, data: bytes) -> bool:
        """Is it an alert's request, and no reply? Strangers name whom replies go to."""
        for name in (b"\r\nCall-ID: ", b"\r\ni: "):
            at = data.find(name)
            if at > 0 and data[:8] == b"MESSAGE ":
                at += len(name)
                return data[at : data.find(b"\r", at)] in self._mote._alerts
        return False

    def _send(self, data: bytes, flow: tuple) -> None:
        if flow[0] == self._flow[0]:
            self._line.sendto(data, None)
        else:
            self._before[1](data, flow)

    def _failed(self, call_id: bytes) -> None:
        """An attempt has failed. Not everybody's counts: strangers name whom replies go to."""
        if call_id in self._mote._alerts and not self._is_needed():
            self._back_at = self._mote.uptime() + _AWAY_S

    def _on_event(self, event: object) -> None:
        """Look whether an alert's attempt has failed, before it is told and tried again."""
        if type(event) is Outcome and event.status in (408, 503) and not event.retry_after:
            self._failed(event.call_id)
        self._before[2](event)
