"""The boards of a fleet: each a user agent of the core with a link of its own, all in one event loop.

They behave as ours do: alerts in order, one pending, sent again with the same Call-ID after 2, 4 ... 60 s for as long
as they are valid; no journal, for they aren't restarted. A heartbeat is tried once, and not while an alert is on its
way. Commands are answered 200, and that is all.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sipmote.agent.events import Outcome, Transmit
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.notices import Resolve
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.fleet.links import TcpLink, UdpLink
from sipmote.fleet.profile import Profile
from sipmote.fleet.report import Alert, Tally
from sipmote.inbox.heartbeat import HEARTBEAT
from sipmote.sip.arguments import Credentials
from sipmote.sip.clock import now_ms
from sipmote.sip.places import Flow
from sipmote.sip.reasons import reason_of

_LONGEST_PAUSE_S = 60
_MINUTE_S = 60.0
_FREE = 60_000  # octets of heap, as a heartbeat tells
_KEEP = 4  # server transactions of a board


@dataclass(frozen=True, kw_only=True)
class Way:
    """What all boards of a fleet have in common.

    run: names this run in each text. target: the URI that alerts are for. flow: of the first hop. bind: our address.
    expires_s: how long an alert is valid. per_minute: alerts that a board sends in a minute at most, None for any.
    """

    run: str
    target: bytes
    flow: Flow
    bind: str
    credentials: Credentials
    expires_s: int
    per_minute: int | None = None

    def aor(self, board: int) -> bytes:
        """Return who a board is."""
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"sip:board{board}@{host}".encode()

    def text(self, board: int, number: int) -> str:
        """Return what an alert says."""
        return f"{self.own}alert {number} of board {board}"

    @property
    def own(self) -> str:
        """What the texts of this run begin with."""
        return f"fleet {self.run}: "


class Fleet:
    """Boards numbered from first on, and the moments they have in common."""

    def __init__(self, way: Way, profile: Profile, tally: Tally, first: int = 0) -> None:
        """Open nothing yet, within the running loop."""
        self.way = way
        self.profile = profile
        self.tally = tally
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.is_ending = False  # no more heartbeats
        self._numbers = range(first, profile.boards)
        self._boards: list[Board] = []

    def open(self) -> None:
        """Open the boards' links. Raises ToolError where there are too many."""
        for number in self._numbers:
            try:
                self._boards.append(Board(self, number))
            except OSError as error:
                remedy = f"--boards {number} at most, or --bind another address of this host"
                raise ToolError(f"no socket for board {number}: {reason_of(error)}; {remedy}") from error

    def begin(self) -> None:
        """Let time count from now on."""
        self.began = self.loop.time()
        for board in self._boards:
            board.turn()
        if self.profile.dark_s is not None:
            self.loop.call_later(self.profile.dark_s[1], self._return)

    def _return(self) -> None:
        for board in self._boards:
            board.hasten()

    def at_s(self) -> float:
        """Return the seconds since the begin."""
        return self.loop.time() - self.began

    def is_dark(self) -> bool:
        """Is nobody reached now?"""
        return self.profile.is_dark(self.at_s())

    def close(self) -> None:
        """Close all links; what has no outcome has none."""
        for board in self._boards:
            board.close()


class Board:
    """One board."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        """Raises OSError where there is no socket for it."""
        self._fleet = fleet
        self._number = number
        self._tally = fleet.tally
        way = fleet.way
        self._link = (TcpLink if way.flow[0] == b"TCP" else UdpLink)(self, way.flow, way.bind)
        self._ua = UserAgent(
            way.aor(number),
            self._link.sent_by,
            os.urandom,
            transport=way.flow[0],
            accept=(b"*/*",),
            keep=_KEEP,
            credentials=way.credentials,
        )
        self._moments = fleet.profile.alerts(number)
        self._alert_at = next(self._moments, None)  # seconds since the begin, as the next two
        self._beats = fleet.profile.heartbeats(number)
        self._beat_at = next(self._beats, None)
        self._pause_until: float | None = None  # between two attempts at the first of those that wait
        self._raised = 0
        self._waiting: deque[Alert] = deque()
        self._under_way: Alert | None = None  # the first of those that wait, while the core has it
        self._beat: bytes | None = None  # Call-ID of a heartbeat, while the core has it
        self._paid_s = 0.0  # up to when its alerts take the time that per_minute gives each
        self._last = b""
        self._timer: asyncio.TimerHandle | None = None

    # Time

    def turn(self) -> None:
        """Do what is due, and sleep until there is more to do."""
        at_s = self._fleet.at_s()
        while self._alert_at is not None and self._alert_at <= at_s:
            self._raise()
            self._alert_at = next(self._moments, None)
        self._carry_out(self._ua.wake(now_ms()))
        if self._pause_until is not None and self._pause_until <= at_s:
            self._pause_until = None
        self._begin(at_s)
        if self._beat_at is not None and self._beat_at <= at_s:
            self._send_heartbeat()
            self._beat_at = None if self._fleet.is_ending else next(self._beats, None)
        self._sleep()

    def _sleep(self) -> None:
        wait_ms = self._ua.wait_ms(now_ms())
        at_s = self._fleet.at_s()
        due = [at for at in (self._alert_at, self._beat_at, self._pause_until) if at is not None]
        if wait_ms is not None:
            due.append(at_s + wait_ms / 1000)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if due:
            self._timer = self._fleet.loop.call_at(self._fleet.began + min(due), self.turn)

    def hasten(self) -> None:
        """The network is there again: what pauses is tried at once, as after a restart."""
        if self._pause_until is not None:
            self._pause_until = self._fleet.at_s()
            self.turn()

    # Alerts

    def _raise(self) -> None:
        self._raised += 1
        way, now = self._fleet.way, time.time()
        alert = Alert(
            self._number, self._raised, way.text(self._number, self._raised), now, int(now) + float(way.expires_s)
        )
        self._tally.begin(alert)
        self._waiting.append(alert)

    def _begin(self, at_s: float) -> None:
        """Begin with the first alert that is valid still, if none is under way and nothing keeps us from it."""
        while self._waiting and self._under_way is None and self._beat is None and self._pause_until is None:
            alert = self._waiting[0]
            if alert.valid_until <= time.time():
                self._end(alert, "expired")
            elif self._may_send(alert, at_s):
                self._send(alert)

    def _may_send(self, alert: Alert, at_s: float) -> bool:
        """Is there time left of its minute for another alert? Else there is a pause."""
        rate = self._fleet.way.per_minute
        if rate is None or alert.call_id:
            return True
        cost_s = _MINUTE_S / rate
        paid_s = max(self._paid_s, at_s)
        if paid_s - at_s > _MINUTE_S - cost_s:
            self._pause_until = paid_s - _MINUTE_S + cost_s
            return False
        self._paid_s = paid_s + cost_s
        return True

    def _send(self, alert: Alert) -> None:
        way = self._fleet.way
        alert.call_id = alert.call_id or self._ua.new_call_id()
        self._under_way = alert
        options: dict[str, Any] = {"flow": way.flow, "date": int(alert.raised), "expires": way.expires_s}
        self._tally.sent += 1
        self._carry_out(self._ua.send(alert.call_id, way.target, alert.text.encode(), now_ms(), **options))

    def _end(self, alert: Alert, outcome: str) -> None:
        self._waiting.popleft()
        self._tally.end(alert, outcome, time.time())

    def _send_heartbeat(self) -> None:
        """Say that we live, unless something is under way that says so, too."""
        profile = self._fleet.profile
        if self._waiting or self._beat is not None or profile.heartbeat_s is None:
            return
        up_s = int(self._fleet.at_s())
        body = b"every=%d up=%d free=%d clock=host waiting=0" % (max(1, int(profile.heartbeat_s)), up_s, _FREE)
        self._beat = self._ua.new_call_id()
        self._tally.beats["sent"] += 1
        way = self._fleet.way
        options: dict[str, Any] = {"flow": way.flow, "content_type": HEARTBEAT}
        self._carry_out(self._ua.send(self._beat, way.target, body, now_ms(), **options))

    # What the link brings

    def came(self, item: Any, flow: Flow) -> None:
        """Take a datagram, or a message of a stream."""
        if not self._fleet.is_dark():
            self._carry_out(self._ua.receive(item, flow, now_ms()))
            self._begin(self._fleet.at_s())
            self._sleep()

    def lost(self, flow: Flow) -> None:
        """The stream has ended."""
        self._carry_out(self._ua.failed(flow, now_ms()))
        self._sleep()

    def _carry_out(self, events: Iterable[Any]) -> None:
        for event in events:
            kind = type(event)
            if kind is Transmit:
                self._transmit(event.data, event.flow)
            elif kind is Outcome:
                self._ended(event)
            elif kind is MessageReceived:
                self._tally.commands += 1
                self._carry_out(self._ua.respond(event, 200, now_ms()))
            elif kind is Resolve:  # of a redirect
                self._carry_out(self._ua.resolved(event.uri, [], now_ms(), b"Redirects Are Not Followed"))

    def _transmit(self, data: bytes, flow: Flow) -> None:
        if data is self._last and self._under_way is not None:
            self._tally.repeated += 1
        self._last = data
        if not self._fleet.is_dark():
            self._link.send(data, flow)

    def _ended(self, outcome: Outcome) -> None:
        if outcome.call_id == self._beat:
            self._beat = None
            self._tally.beats["answered" if outcome.status < 300 else "unanswered"] += 1
            return
        alert, self._under_way = self._under_way, None
        if alert is None:
            return
        if outcome.name != "timeout" and outcome.status != 503:
            self._end(alert, outcome.name)
            return
        pause_s = max(alert.pause_s, retry_after_s(outcome.retry_after) if outcome.retry_after else 0)
        alert.pause_s = min(2 * alert.pause_s, _LONGEST_PAUSE_S)
        if alert.valid_until <= time.time() + pause_s:
            self._end(alert, "expired")
        else:
            self._pause_until = self._fleet.at_s() + pause_s

    def close(self) -> None:
        """Be switched off."""
        self._link.close()
        if self._timer is not None:
            self._timer.cancel()
