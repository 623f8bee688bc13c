"""Alerts on flash: what is accepted is in the journal before anybody hears so, and leaves it with its outcome.

An alert that has nothing to wait for needs no more than this module. Where there is more, mote.lanes has it, until all
is delivered. A receiver knows what is sent to it again by Call-ID, From and body. Left out with `outbox: false`.
Names that others use already cost a board nothing: octets, pending, fields, go_on ...
"""

import asyncio
import os
from binascii import crc32
from struct import pack

from agent.compat import const
from mote.log import ERROR
from mote.net.sockets import now

try:
    from _thread import get_ident
except ImportError:  # a firmware with one thread, whose number is 0
    get_ident = int

_PUT = const(1)  # a record whose content is an alert
_END = const(2)  # one that says where the alerts begin that have ended
_SOON_MS = const(1000)  # in which outcomes gather, to be written together
_NEVER = const(0xFFFFFFFF)  # expires
_ROOM = const(4096)  # octets of what has ended that the journal may have
_AT_ONCE = const(32)  # outcomes that one write has
_NOTHING_MORE = b"\0\0\0\0\0\0\0\0\0"
_MAX_QUEUED = const(16)  # alerts of other threads that the loop hasn't seen


class Journal:
    """A file that records are appended to, removed when nothing of it counts any more. octets: of what counts.

    A record is its kind and size, its content's CRC-32 that begins with these, and its content. What a power cut
    left half-written is cut off; what was synced before is whole, in the order in which it was written. mote.journal
    reads it.
    """

    octets = 0
    is_torn = False  # is there more in the file than counts?

    def __init__(self, path: str) -> None:
        self.path = path

    def append(self, data: bytes) -> int:
        """Write records so that they outlive a power cut; returns the offset of the first.

        Raises OSError; then nothing of them counts.
        """
        if self.is_torn:
            self.cut()
        self.is_torn = True
        try:
            with open(self.path, "ab") as file:
                if file.seek(0, 2) != self.octets:
                    raise OSError("somebody else changed it")
                file.write(data)
        except OSError:
            self.cut()  # half of it may be there
            raise
        self.is_torn = False
        self.octets += len(data)
        return self.octets - len(data)

    def cut(self) -> None:
        """Leave what counts. Raises OSError."""
        from mote.journal import cut

        cut(self.path, self.octets)
        self.is_torn = False

    def clear(self) -> None:
        """Take the file away. Raises OSError; then that is tried again before the next record."""
        self.octets = 0
        self.is_torn = True
        os.remove(self.path)
        self.is_torn = False


def record(kind: int, content: bytes) -> bytes:
    """Return a record as it is written."""
    size = len(content)
    front = kind << 16 | size
    return pack(">II", front, crc32(content, front)) + content


class Outbox:
    """What the program raises and what has no outcome yet."""

    lanes = None  # mote.lanes.Lanes, while one alert has to wait for another, or for its time
    pending = None  # else the only one, from when it is accepted until it has its outcome
    call_id = None  # of pending, while it is not begun
    wake = None  # a flag that there is something to do, once there are sockets
    is_free = False  # can an alert be sent at once?
    _is_busy = False

    def __init__(self, mote: object) -> None:
        self.mote = mote
        self.start = mote.agent.uac.random_bytes(2)  # tells this start from others
        self.journal = Journal("/outbox")
        self.over = []  # where alerts begin that have ended, which isn't written yet
        self.queues = []  # what other threads and scheduled functions have raised
        self._thread = get_ident()
        if [name for name in os.listdir("/") if name in ("outbox", "outbox.new")]:
            self.need_lanes().rescue()

    def need_lanes(self) -> object:
        """Return the lanes, loaded if they aren't yet."""
        if self.lanes is None:
            from mote.lanes import Lanes

            self.lanes = Lanes(self, record)
            self.is_free = False
        return self.lanes

    def put(self, alert: object, is_short: bool, priority: int, key: str | None, escalate_s: int) -> object:
        """Accept a mote.Alert. It is on flash when this returns; from another thread, and where this has interrupted
        itself, as soon as the loop has its turn. is_short: does it fit as it is? The rest: see mote.Mote.alert().

        Returns the alert, or what stands for it. Raises agent.errors.UsageError for a text that doesn't fit at all.
        """
        alert.accepted = False
        if self._is_busy or get_ident() != self._thread:
            if len(self.queues) < _MAX_QUEUED:
                self.queues.append((alert, is_short, priority, key, escalate_s))
            else:
                alert.end("failed")
                if len(self.queues) == _MAX_QUEUED:
                    self.queues.append(None)  # for a record
        else:
            self._is_busy = True
            try:
                if self.is_free and is_short and key is None and type(alert.target) is bytes:
                    alert = self._accept(alert, priority)
                else:
                    alert = self.need_lanes().accept(alert, is_short, priority, key, escalate_s)
            finally:
                self._is_busy = False
        if self.wake is not None:
            self.wake.set()
        return alert

    def _accept(self, alert: object, priority: int) -> object:
        """Write an alert down that is sent at once."""
        call_id = self.mote.agent.new_call_id()
        alert.born_s = self.mote.uptime()
        fields = (call_id, alert.target, b"", alert.body, b"")
        content = self.content(fields, alert.expires, priority, alert.born_s, _NOTHING_MORE)
        journal = self.journal
        try:
            if journal.octets > _ROOM:  # all in it has ended
                self.over.clear()
                journal.clear()
            alert.at = journal.append(record(_PUT, content))
        except OSError as error:
            return self.need_lanes().failed(alert, error)
        alert.octets = len(content)
        alert.priority = priority
        alert.outbox = self
        alert.accepted = True
        self.is_free = False
        self.pending = alert
        self.call_id = call_id
        return alert

    def content(self, fields: tuple, expires: int | None, priority: int, born_s: int, more: bytes) -> bytes:
        """Return the content of a record.

        fields: Call-ID, target, key, body, text of a fallback. born_s: the uptime when it was raised. more: 9 octets of
        mote.lanes.
        """
        clock = self.mote.agent.uac.clock
        unix = quality = 0
        if clock is not None:
            unix, quality = clock.unix(now()) or 0, clock.quality
        call_id, target, key, body, text = fields
        front = pack(
            ">BBIII2s9sHHHHH",
            priority,
            quality,
            _NEVER if expires is None else expires,
            unix,
            born_s,
            self.start,
            more,
            len(call_id),
            len(target),
            len(key),
            len(body),
            len(text),
        )
        return b"".join((front, call_id, target, key, body, text))

    def open(self) -> None:
        """There are sockets: what waits may leave."""
        self.wake = asyncio.ThreadSafeFlag()
        self.wake.set()
        if self.pending is not None or self.mote.settings.get("per_minute"):  # pending from an earlier run
            self.need_lanes()
        if self.lanes is None:
            self.is_free = True
        else:
            self.lanes.begin()
        asyncio.create_task(self._main())
        if self.over:
            asyncio.create_task(self.settle())  # an earlier run's has ended with its loop

    async def _main(self) -> None:
        while True:
            try:
                await self.wake.wait()
                failure = self.go_on()
            except Exception as error:  # of memory, while it begins to wait
                failure = error
            if failure is not None:
                await self.mote.shell.failed(failure)

    def go_on(self) -> Exception | None:
        """Begin with what can be sent, in any task that has nothing else to do; returns what the outbox's has to tell.

        It is tried again there.
        """
        self.wake.clear()
        self._is_busy = True
        failure = None
        try:
            if self.queues:
                self.need_lanes()
            if self.lanes is not None:
                self.lanes.go_on()
            elif self.call_id is not None:
                self._send()
        except Exception as error:
            failure = error
            self.wake.set()
        self._is_busy = False
        return failure

    def _send(self) -> None:
        if self.pending.expires is not None:
            from mote.dating import date

            date(self.mote, self.pending)
        try:
            self.mote.submit(self.pending, self.call_id)
            self.call_id = None
        except MemoryError:
            raise
        except Exception:
            self.need_lanes().go_on()  # it tries once more, and tells

    def ended(self, alert: object, outcome: str) -> None:
        """An alert that was under way has its outcome. After a MemoryError it has not."""
        was_busy, self._is_busy = self._is_busy, True  # an alert of a scheduled function comes behind this
        try:
            if self.lanes is None:
                self.forget(alert.at)
                self.pending = None
                self.is_free = True
            else:
                self.lanes.ended(alert, outcome)
                self.wake.set()
        except MemoryError:
            alert.outcome = None
            raise
        finally:
            self._is_busy = was_busy

    def forget(self, at: int) -> None:
        """Nobody needs the alert there any more; a restart before that is written down sends it again."""
        if not self.over:
            asyncio.create_task(self.settle())
        self.over.append(at)

    def append(self, data: list) -> int:
        """Write the records in data, and some of what has ended; returns the offset of the first. Raises OSError."""
        ended = self.over[:_AT_ONCE]
        if ended:
            data = data + [record(_END, pack(">%dI" % len(ended), *ended))]
        at = self.journal.append(b"".join(data))
        del self.over[: len(ended)]
        return at  # type: ignore[no-any-return]

    async def settle(self) -> None:
        """Write down what has ended, a second's worth together."""
        while self.over:
            try:
                await asyncio.sleep_ms(_SOON_MS)
                self._is_busy = True
                if self.over and self.lanes is not None:
                    self.lanes.settle()
                elif self.over and self.pending is None:
                    self.journal.clear()  # littlefs writes 256 octets for an alert in a small file, 4 KB in a large one
                    self.over.clear()
                while self.over:
                    self.append([])
                self._is_busy = False
            except Exception as error:
                self._is_busy = False
                if type(error) is OSError:
                    self.over.clear()  # it would grow for ever
                    self.mote.log(ERROR, "outbox_failed", error=repr(error))
                else:
                    await self.mote.shell.failed(error)
