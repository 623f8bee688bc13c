"""Alerts on flash: what is accepted is in the journal before anybody hears so, and leaves it with its outcome.

In RAM there is where each begins, and of each recipient the one that is under way. A receiver knows what is sent to it
again by Call-ID, From and body. Left out with the setting `outbox: false`.
"""

import asyncio
from struct import pack, unpack

from agent.compat import const
from mote.journal import END, PUT, Journal, record
from mote.log import ERROR, WARNING
from mote.net.sockets import now

try:
    from _thread import get_ident
except ImportError:  # a firmware with one thread

    def get_ident() -> int:
        """Return the same for the only one."""
        return 0


_PATH = "/outbox"
_FRONT = ">BBIIHIBBH"  # flags, priority, expires, when it was raised (Unix time, start, uptime), three sizes
_FRONT_SIZE = const(20)
_COMPACT = const(1)  # flags
_SOON_MS = const(1000)  # in which outcomes gather, to be written together
_LATE_S = const(30)  # from when on an alert says when it was raised
_NEVER = const(0xFFFFFFFF)  # expires
_OCTETS = const(262144)  # of alerts that may wait, unless the setting outbox says how many
_ROOM = const(4096)  # octets of what has ended that the journal may have, beside twice what waits
_MAX_HANDLES = const(16)  # programs' alerts that are told their outcome, beside those that are awaited


class Stored:
    """The alert that is under way in a lane, as mote.Alert is in RAM; size: of its record's content."""

    outcome = expires = None
    pause_s = 2

    def __init__(self, outbox: "Outbox", lane: list, size: int, target: bytes, body: bytes) -> None:
        self.outbox = outbox
        self.lane = lane
        self.size = size
        self.target = target
        self.body = body

    def end(self, outcome: str) -> None:
        """It has its outcome."""
        if self.outcome is None:
            self.outbox.ended(self, outcome)
            self.outcome = outcome


class Outbox:
    """Lanes of alerts, one for each recipient and priority: [priority, target, offsets, what is under way].

    The first of a lane is sent until it has an outcome; of a recipient's lanes the one of the highest priority goes on.
    """

    def __init__(self, mote: object) -> None:
        self._mote = mote
        most = mote.settings.get("outbox")
        self._most = most if type(most) is int else _OCTETS
        self._thread = get_ident()
        self._start = unpack(">H", mote.agent.uac.random_bytes(2))[0]  # tells this start from others
        self._journal = Journal(_PATH)
        self._lanes = []
        self._octets = 0  # of what waits
        self._handles = {}  # by offset, the program's alerts
        self._keys = {}  # offsets of what waits
        self._over = b""  # records of what has ended, not written yet
        self._queued = []  # what other threads and scheduled functions have raised
        self._is_busy = self._is_settling = self._is_open = False
        self._flag = asyncio.ThreadSafeFlag()
        for kind, offset, content in self._journal.read_all():
            if kind == PUT:
                self._lane(content[1], _target(content))[2].append(offset)
                self._octets += len(content)
            else:
                self._forget(*unpack(">IH", content))
        asyncio.create_task(self._work())

    def _lane(self, priority: int, target: bytes) -> list:
        for lane in self._lanes:
            if lane[0] == priority and lane[1] == target:
                return lane
        lane = [priority, target, [], None]
        self._lanes.append(lane)
        self._lanes.sort(key=lambda lane: -lane[0])
        return lane

    def _forget(self, offset: int, size: int) -> None:
        for lane in self._lanes:
            if offset in lane[2]:
                lane[2].remove(offset)
                self._octets -= size

    # From the program

    def put(
        self, target: bytes, body: bytes, is_short: bool, expires: int | None, priority: int, key: str | None
    ) -> object:
        """Accept an alert. It is on flash when this returns; from another thread, and where this has interrupted
        itself, as soon as the loop has its turn.

        is_short: does it fit as it is? Raises agent.errors.UsageError for a text that doesn't at all.
        """
        alert = self._mote.Alert(target, body, expires, self._mote.uptime)
        alert.accepted = False
        if self._is_busy or get_ident() != self._thread:
            self._queued.append((alert, is_short, expires, priority, key))
        else:
            self._is_busy = True
            try:
                alert = self._accept(alert, is_short, expires, priority, key)
            finally:
                self._is_busy = False
        self._flag.set()
        return alert

    def _accept(self, alert: object, is_short: bool, expires: int | None, priority: int, key: str | None) -> object:
        """Write an alert down; where the flash doesn't take it, it is sent from RAM. Returns the one to wait for."""
        mote, target = self._mote, alert.target
        if is_short:
            parts = ((mote.agent.new_call_id(), alert.body, ()),)
        else:
            from mote.alerts import fitted

            parts = fitted(mote, target, alert.body, expires)
        clock = mote.agent.uac.clock
        unix = None if clock is None else clock.unix(now())
        raised = (_NEVER if expires is None else expires, unix or 0, self._start, mote.uptime())
        contents = []
        for call_id, body, options in parts:
            text = options["fallback"][1] if "fallback" in options else b""
            sizes = (len(call_id), len(target), len(text))
            front = pack(_FRONT, _COMPACT if "compact" in options else 0, priority, *raised, *sizes)
            contents.append(b"".join((front, call_id, target, body, text)))
        size = sum([len(content) for content in contents])
        if self._octets + size > self._most:
            mote.log(WARNING, "outbox_full", octets=self._octets)
            alert.end("failed")
            return alert
        try:
            self._write(alert, contents, priority, key)
        except OSError as error:
            mote.log(ERROR, "outbox_failed", error=repr(error))
            return mote.in_ram(target, alert.body, is_short, expires)
        return alert

    def _write(self, alert: object, contents: list, priority: int, key: str | None) -> None:
        lane = self._lane(priority, alert.target)
        old = self._keys.get(key)
        if old in lane[2] and not (lane[3] and lane[2][0] == old):
            size = len(self._journal.load(old))
            self._over += _end(old, size)
            self._forget(old, size)
            self._tell(old, "replaced")
        for content in contents:
            offset = self._journal.append(record(PUT, content) + self._over)
            self._over = b""
            lane[2].append(offset)
            self._octets += len(content)
        alert.accepted = True
        if key:
            self._keys[key] = offset
        if len(self._handles) >= _MAX_HANDLES:
            for other in self._handles:
                if self._handles[other].waiting is None:
                    self._handles.pop(other).end("unknown")
                    break
        self._handles[offset] = alert  # that of the last part, whose outcome it has

    def waiting(self) -> int:
        """Return how many alerts have no outcome yet."""
        return sum([len(lane[2]) for lane in self._lanes]) + len(self._queued)

    def is_idle(self) -> bool:
        """Has each alert its outcome, and is that written down?"""
        return not self.waiting() and not self._over

    def has_all(self, alerts: object) -> bool:
        """Is all that was raised on flash, what is under way included?"""
        return not self._queued and not [alert for alert in alerts if type(alert) is not Stored]

    # To the network

    def open(self) -> None:
        """There are sockets: what waits may leave."""
        self._is_open = True
        self._flag.set()

    async def _work(self) -> None:
        while True:
            try:
                await self._flag.wait()
                self._is_busy = True
                self._take_queued()
                self._feed()
                self._is_busy = False
                if self._over and not self._is_settling:
                    self._is_settling = True
                    asyncio.create_task(self._settle())
            except Exception as error:
                self._is_busy = False
                self._flag.set()
                await self._mote.shell.failed(error)

    def _take_queued(self) -> None:
        while self._queued:
            alert, *more = self._queued[0]
            try:
                self._accept(alert, *more)
            except MemoryError:
                raise  # it is tried again
            except Exception as error:
                alert.end("failed")
                self._mote.log(ERROR, "alert_failed", error=repr(error))
            self._queued.pop(0)

    def _feed(self) -> None:
        """Begin with the first of each lane whose recipient has none under way, once there are sockets."""
        if not self._is_open:
            return
        taken = [lane[1] for lane in self._lanes if lane[3] is not None]
        for lane in self._lanes:
            if lane[2] and lane[1] not in taken:
                taken.append(lane[1])
                self._send(lane)

    def _send(self, lane: list) -> None:
        content = self._journal.load(lane[2][0])
        if content is None:  # the flash has lost it
            self._mote.log(ERROR, "outbox_failed", error="an alert can't be read any more")
            self._tell(lane[2].pop(0), "failed")
            self._flag.set()
            return
        call_id, alert = self._read(lane, content)
        lane[3] = alert
        if alert.expires is not None and alert.expires <= 0:
            alert.end("expired")
            return
        try:
            self._mote.submit(alert, call_id)
        except MemoryError:
            lane[3] = None
            raise
        except Exception as error:
            alert.end("failed")
            self._mote.log(ERROR, "alert_failed", error=repr(error))

    def _read(self, lane: list, content: bytes) -> tuple:
        """Return (Call-ID, alert) of a record, as it is to be sent now."""
        flags, _, expires, unix, start, uptime, *sizes = unpack(_FRONT, content[:_FRONT_SIZE])
        at = _FRONT_SIZE + sizes[0] + sizes[1]
        end = len(content) - sizes[2]
        alert = Stored(self, lane, len(content), lane[1], content[at:end])
        options = alert.options = {"compact": True} if flags & _COMPACT else {}
        self._date(alert, None if expires == _NEVER else expires, unix, start, uptime)
        if sizes[2]:
            from agent.cpim.imdn import CPIM

            options["content_type"] = CPIM
            options["fallback"] = (b"text/plain", content[end:])
        return content[_FRONT_SIZE : _FRONT_SIZE + sizes[0]], alert

    def _date(self, alert: Stored, expires: int | None, unix: int, start: int, uptime: int) -> None:
        """Say of an alert when it was raised, as far as anybody knows, and how long it is valid still.

        Its validity is counted from that time (RFC 3428 section 7); where that isn't known, from when it is sent.
        """
        mote = self._mote
        clock = mote.agent.uac.clock
        today = None if clock is None else clock.unix(now())
        if start == self._start:
            passed = mote.uptime() - uptime
            if not unix and today:
                unix = today - passed
        else:
            passed = max(today - unix, 0) if unix and today else 0
        if expires is not None:
            alert.expires = expires - passed
            alert.born_s = mote.uptime()
            if unix:
                alert.options["expires"] = expires
        if expires is not None or passed > _LATE_S:
            alert.options["date"] = unix  # 0: none

    # What became of it

    def ended(self, alert: Stored, outcome: str) -> None:
        """The alert of a lane has its outcome. After a MemoryError it has not."""
        lane = alert.lane
        offset = lane[2][0]
        self._over += _end(offset, alert.size)
        lane[2].pop(0)
        lane[3] = None
        self._octets -= alert.size
        self._tell(offset, outcome)
        self._flag.set()

    def _tell(self, offset: int, outcome: str) -> None:
        for key in self._keys:
            if self._keys[key] == offset:  # another alert may begin there once the journal is cleared
                del self._keys[key]
                break
        alert = self._handles.pop(offset, None)
        if alert is not None:
            alert.end(outcome)

    async def _settle(self) -> None:
        """Write down what has ended, a second's worth together; until then a restart sends it again."""
        try:
            await asyncio.sleep_ms(_SOON_MS)
            self._is_busy = True
            if not [lane for lane in self._lanes if lane[2]]:
                self._octets = 0
                self._journal.clear()  # littlefs writes 256 octets for an alert in a small file, 4 KB in a large one
            elif self._journal.size > _ROOM + 2 * self._octets:
                self._rewrite()
            elif self._over:
                self._journal.append(self._over)
            self._over = b""
        except Exception as error:
            if type(error) is OSError:
                self._mote.log(ERROR, "outbox_failed", error=repr(error))
            else:
                await self._mote.shell.failed(error)
        finally:
            self._is_busy = self._is_settling = False

    def _rewrite(self) -> None:
        """Keep what waits alone."""
        old = []
        for lane in self._lanes:
            old += lane[2]
        new = self._journal.rewrite(old)
        for key in self._keys:
            self._keys[key] = new[old.index(self._keys[key])]
        handles = self._handles
        self._handles = {}
        for offset in handles:
            self._handles[new[old.index(offset)]] = handles[offset]
        at = 0
        for lane in self._lanes:
            lane[2][:] = new[at : at + len(lane[2])]
            at += len(lane[2])


def _end(offset: int, size: int) -> bytes:
    return record(END, pack(">IH", offset, size))


def _target(content: bytes) -> bytes:
    call_id, size = content[16:18]
    return content[_FRONT_SIZE + call_id : _FRONT_SIZE + call_id + size]
