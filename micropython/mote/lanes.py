"""Alerts of the outbox that wait: for one before them, for their time, for sockets. Loaded by the first of them.

In RAM there is where each begins, and of each recipient the one that is under way.
"""

import asyncio
import gc
from struct import pack

from agent.compat import const
from agent.errors import UsageError
from mote.journal import load, parts_of, tidy
from mote.log import ERROR, WARNING
from mote.net.sockets import now

_PUT = const(1)  # kinds of records, see mote.outbox
_END = const(2)
_MORE = ">BIHH"  # flags, seconds before which it isn't sent, group, how often it was repeated
_USUAL = const(4)  # it is for whom the setting `to` names
_NEVER = const(0xFFFFFFFF)  # expires
_COMPACT = const(1)  # flags
_GOES_ON = const(2)  # it is a part of the text that the one before it begins
_ROOM = const(4096)  # octets of what has ended that the journal may have, beside twice what waits
_MAX_HANDLES = const(16)  # programs' alerts that are told their outcome, beside those that are awaited
_OCTETS = const(262144)  # of alerts that may wait, unless the setting outbox says how many
_EACH = const(6)  # octets of free memory for each alert that may wait: four, and two while a list doubles
_APART = const(16384)  # of that memory at least isn't for them: for what an outage loads, the reserve and an exchange
_KEY = const(8)  # as much as so many of them a key takes
_LONGEST_KEY = const(255)  # octets
_RESERVE = const(2048)  # octets that are free, while alerts wait, for an answer to come in
_MANY = const(32)  # that wait
_LATE_S = const(30)  # from when on an alert says when it was raised
_LOST = "an alert can't be read any more"
_MINUTE_MS = const(60000)
_RTC = const(2)  # of agent.qualities


class Lanes:
    """Lanes of alerts, one for each recipient and priority: [priority, target, offsets, under way, is frozen].

    The first of a lane is sent until it has an outcome; of a recipient's lanes the one of the highest priority goes on.
    Frozen is a first one that an earlier start may have sent; nothing changes it any more.
    """

    slept = {}  # start -> seconds between then and now, see mote.slept; never changed

    def __init__(self, outbox: object, record: object) -> None:
        """record: the function of mote.outbox."""
        self.outbox = outbox
        self._record = record
        self.mote = outbox.mote
        self._lanes = []
        self._octets = 0  # of what waits
        gc.collect()
        free = gc.mem_free()
        self._most = 2 * _MANY  # alerts: as many as a list has places for without another doubling
        while 2 * self._most * _EACH <= min(free // 3, free - _APART):
            self._most *= 2
        self._handles = {}  # by offset, the program's alerts
        self._keys = {}  # (target, key) -> offsets of the newest, of each part
        self.held = None  # mote.escalation.Held, where something waits for its time
        self._is_limited = self._is_ticking = False
        self._patience = 0  # octets that the journal has before it is tried again to rewrite it
        first = outbox.pending
        if first is None:
            return
        lane = self.lane(first.priority, first.target)
        lane[2].append(first.at)
        self._octets = first.octets
        if outbox.call_id is None:
            lane[3] = first
        else:  # it isn't begun
            first.outbox = None
            self._handles[first.at] = first
        outbox.pending = outbox.call_id = None

    def lane(self, priority: int, target: bytes) -> list:
        """Return the lane, made if there is none."""
        for lane in self._lanes:
            if lane[0] == priority and lane[1] == target:
                return lane
        lane = [priority, target, [], None, False]
        self._lanes.append(lane)
        self._lanes.sort(key=lambda lane: -lane[0])
        return lane

    def need_held(self) -> object:
        """Return what waits for its time."""
        if self.held is None:
            from mote.escalation import Held

            self.held = Held(self)
        return self.held

    def rescue(self) -> None:
        """Read what earlier starts have left."""
        from mote.rescue import Rescue

        Rescue(self).rescue()

    def keep(self, born_s: int, priority: int, target: bytes, offset: int, size: int, key: bytes, more: tuple) -> None:
        """Keep an alert that is in the journal. more: flags, hold_s, group."""
        flags, hold_s, group = more
        lane = self.lane(priority, target)
        self._octets += size
        if key:
            before = self._keys.get((lane[1], key), ()) if flags & _GOES_ON else ()
            self._keys[lane[1], key] = before + (offset,)
        if hold_s:
            self.need_held().add(born_s + hold_s, priority, lane[1], offset, key, group)
        else:
            lane[2].append(offset)

    def drop(self, offset: int, size: int) -> None:
        """Nobody needs the alert at offset any more, if it is still there."""
        for lane in self._lanes:
            if offset in lane[2]:
                lane[2].remove(offset)
                break
        else:
            if self.held is None or not self.held.drop(offset):
                return
        self._octets -= size
        for key, offsets in self._keys.items():
            if offset in offsets:  # another alert may begin there once the journal is cleared
                try:
                    self._keys[key] = tuple([other for other in offsets if other != offset])
                except MemoryError:
                    self._keys[key] = ()
                if not self._keys[key]:
                    del self._keys[key]
                break

    def waiting(self) -> int:
        """Return how many alerts have no outcome yet."""
        return sum([len(lane[2]) for lane in self._lanes]) + (0 if self.held is None else len(self.held.entries))

    # From the program

    def begin(self) -> None:
        """The loop is a new one."""
        self._is_ticking = False

    def go_on(self) -> None:
        """Take what was queued, and begin with what can be sent."""
        self._take_queued()
        self._feed()

    def _take_queued(self) -> None:
        """Accept what other threads and scheduled functions have raised."""
        outbox = self.outbox
        while outbox.queues:
            if outbox.queues[0] is None:
                self.mote.log(WARNING, "alert_refused")
                outbox.queues.pop(0)
                continue
            alert, *how = outbox.queues[0]
            try:
                self.accept(alert, *how)
            except MemoryError:
                raise  # it is tried again
            except Exception as error:
                alert.end("failed")
                self.mote.log(ERROR, "alert_failed", error=repr(error))
            outbox.queues.pop(0)

    def failed(self, alert: object, error: OSError) -> object:
        """The flash doesn't take an alert: it is sent from RAM. Returns it."""
        from mote.without_flash import send_from_ram

        self.mote.log(ERROR, "outbox_failed", error=repr(error))
        return send_from_ram(self.mote, alert)

    def accept(self, alert: object, is_short: bool, priority: int, key: str | None, escalate_s: int) -> object:
        """Write an alert down that waits; see mote.outbox.Outbox.put()."""
        name = b"" if key is None else str(key).encode()
        if len(name) > _LONGEST_KEY:
            raise UsageError("key: %d octets are too many; %d at most" % (len(name), _LONGEST_KEY))
        if type(alert.target) is bytes:
            goals = ((alert.target, 0, 0),)
            old, count = self._repeated(alert, priority, name) if is_short else (None, 0)
        else:
            from mote.escalation import goals_of

            goals = goals_of(self, alert.target, name, escalate_s)
            old, count = None, 0
        new = []
        for target, hold_s, group in goals:
            for content in self._contents(alert, target, is_short, priority, name, (hold_s, group, count)):
                new.append((target, hold_s, group, content))
        replaced = [] if old is None else [old]
        if name:
            replaced += self._of_key([goal[0] for goal in goals], name)
        if not replaced and self._is_full(new, priority):
            self.mote.log(WARNING, "outbox_full", octets=self._octets, alerts=self.waiting())
            alert.end("failed")
            return alert
        try:
            self._write(alert, new, priority, name, set(replaced))
        except OSError as error:
            return self.failed(alert, error)
        return alert

    def _is_full(self, new: list, priority: int) -> bool:
        """Is there no room for these parts? The last eighth is for what has a priority."""
        most = self.mote.settings.get("outbox")
        if type(most) is not int:
            most = _OCTETS
        number = self._most
        if priority:
            number += number // 8
        else:
            most -= most // 8
        octets = self._octets + sum([len(one[3]) for one in new])
        return octets > most or self.waiting() + len(new) + _KEY * len(self._keys) > number

    def _contents(self, alert: object, target: bytes, is_short: bool, priority: int, key: bytes, more: tuple) -> list:
        """Return the content of each part's record. more: hold_s, group, count."""
        mote, expires = self.mote, alert.expires
        if is_short:
            bodies = ((mote.agent.new_call_id(), alert.body, ()),)
        else:
            from mote.fitting import fitted

            bodies = fitted(mote, target, alert.body, expires)
        contents = []
        for call_id, body, options in bodies:
            flags = (_COMPACT if "compact" in options else 0) | (_GOES_ON if contents else 0)
            if is_short and not more[1] and mote.settings["to"] == target.decode():
                flags |= _USUAL
            text = options["fallback"][1] if "fallback" in options else b""
            parts = (call_id, target, key, body, text)
            contents.append(self.outbox.content(parts, expires, priority, mote.uptime(), pack(_MORE, flags, *more)))
        return contents

    def _repeated(self, alert: object, priority: int, key: bytes) -> tuple:
        """Return (offset, count) of what waits and is repeated by an alert, (None, 0) if it says something new."""
        offsets = self.lane(priority, alert.target)[2]
        offset = (self._keys.get((alert.target, key), ()) if key else offsets)[-1:]
        offset = offset[0] if offset else None
        if offset not in offsets or self.is_fixed(offset):
            return None, 0
        content = self._load(offset)
        if content is None:
            return None, 0
        front, parts = parts_of(content)
        validity = _NEVER if alert.expires is None else alert.expires  # a shorter one isn't the same
        is_same = parts[2:] == (key, alert.body, b"") and front[2] == validity
        return (offset, min(front[9] + 1, 0xFFFF)) if is_same else (None, 0)

    def _load(self, offset: int) -> bytes | None:
        """Return the content of a record; flash may be read the second time."""
        for _ in range(2):
            try:
                return load(self.outbox.journal.path, offset)
            except OSError:
                pass
        return None

    def is_fixed(self, offset: int) -> bool:
        """Was the alert sent before, or may it have been?"""
        for lane in self._lanes:
            if lane[2] and lane[2][0] == offset:
                return lane[3] is not None or lane[4]
        return False

    def _of_key(self, targets: list, key: bytes) -> list:
        """Return where what waits for these recipients under a key begins, unless it was sent."""
        offsets = []
        for target in targets:
            offsets += self._keys.get((target, key), ())
        return [offset for offset in offsets if not self.is_fixed(offset)]

    def _write(self, alert: object, new: list, priority: int, key: bytes, replaced: set) -> None:
        """Write parts down in the place of others. new: (target, hold_s, group, content) of each.

        In RAM first, where memory may be missing: what is on flash is kept.
        """
        outbox = self.outbox
        shell = self.mote.shell
        if shell.reserve is None:  # an answer has needed it
            shell.reserve = bytearray(_RESERVE)
        journal = outbox.journal
        ends = [(offset, len(load(journal.path, offset) or b"")) for offset in replaced]
        records = [self._record(_PUT, one[3]) for one in new]
        data = records + ([self._record(_END, pack(">%dI" % len(ends), *[end[0] for end in ends]))] if ends else [])
        kept = []
        keys = dict(self._keys) if key else self._keys
        are_few = self.waiting() < _MANY
        try:
            self._keep_all(alert, new, priority, key, [len(one) for one in records], kept)
            outbox.append(data)  # the new ones first: a torn write loses none
        except Exception:
            for one in kept:
                self.drop(*one)
                self._handles.pop(one[0], None)
            self._keys = keys
            raise
        alert.accepted = True
        if are_few and self.waiting() >= _MANY:
            self._prepare()
        for end in ends:
            self.drop(*end)
            self.tell(end[0], "replaced")
        if ends:  # a sensor may flap all night
            self._compact()

    def _keep_all(self, alert: object, new: list, priority: int, key: bytes, sizes: list, kept: list) -> None:
        """Keep parts where the journal will have them; kept gets (offset, size) of each."""
        at = self.outbox.journal.octets
        born_s = self.mote.uptime()
        for number, (target, hold_s, group, content) in enumerate(new):
            is_last = number + 1 == len(new) or new[number + 1][0] != target
            flags = _GOES_ON if number and new[number - 1][0] == target else 0
            kept.append((at, len(content)))
            self.keep(born_s, priority, target, at, len(content), key, (flags, hold_s, group))
            if is_last:  # its outcome is that of the whole
                self._handle(at, alert)
            at += sizes[number]

    def _prepare(self) -> None:
        """Load what sends them late, before more that wait take the room for it."""
        try:
            import agent.full_request
            import mote.dating  # noqa: F401

            if self.mote.agent.uac.clock is not None:
                import agent.headers.date_writer  # noqa: F401
        except MemoryError:
            pass

    def _handle(self, offset: int, alert: object) -> None:
        if len(self._handles) >= _MAX_HANDLES:
            for other in sorted(self._handles):  # the oldest first
                if not self._handles[other].waiting:
                    self._handles.pop(other).end("unknown")
                    break
        self._handles[offset] = alert

    # To the network

    def _feed(self) -> None:
        """Begin with the first of each lane whose recipient has none under way, once there are sockets."""
        if self.held is not None:
            self.held.feed()
        self._expire()
        taken = []
        for lane in self._lanes:
            if lane[3] is not None and not getattr(lane[3], "is_pausing", False):
                taken.append(lane[1])
        for lane in self._lanes:  # the highest first: while one pauses, lower ones wait
            if lane[2] and lane[1] not in taken and (lane[0] or lane[3] is not None or self._may_send(lane[1])):
                taken.append(lane[1])
                if lane[3] is None:
                    self._send(lane)
        if not self._is_ticking and (
            self._is_limited
            or (self.held is not None and self.held.entries)
            or [1 for alert in self._handles.values() if alert.expires is not None]
        ):
            self._is_ticking = True
            asyncio.create_task(self._tick())

    def _expire(self) -> None:
        """End what somebody awaits, and what is valid no longer while another one is tried."""
        at = self.mote.uptime()
        under_way = [lane[3].at for lane in self._lanes if lane[3] is not None]
        for offset in list(self._handles):
            alert = self._handles[offset]
            if alert.expires is not None and offset not in under_way and alert.expires <= at - alert.born_s:
                self.outbox.forget(offset)
                self.drop(offset, len(load(self.outbox.journal.path, offset) or b""))
                self.tell(offset, "expired")
                self.mote.log(WARNING, "alert_expired", age_s=at - alert.born_s, expires=alert.expires)

    def _may_send(self, target: bytes) -> bool:
        """Does the setting per_minute leave room for another one to a recipient?"""
        rate = self.mote.settings.get("per_minute")
        if not rate:
            return True
        from mote.limits import has_credit

        cost_ms = _MINUTE_MS // rate
        if has_credit(self.mote, b">" + target, cost_ms, _MINUTE_MS - cost_ms):
            return True
        self._is_limited = True
        return False

    async def _tick(self) -> None:
        await asyncio.sleep(1)
        self._is_ticking = self._is_limited = False
        self.outbox.wake.set()

    def _send(self, lane: list) -> None:
        offset = lane[2][0]
        content = self._load(offset)
        if content is None:
            self.mote.log(ERROR, "outbox_failed", error=_LOST)
            self.drop(offset, 0)
            self.tell(offset, "failed")
            self.outbox.wake.set()
            return
        call_id, alert = self.read(offset, content)
        alert.outbox = self.outbox
        lane[3] = alert
        try:
            age_s = self.mote.uptime() - alert.born_s
            if alert.expires is not None and alert.expires <= age_s:
                alert.end("expired")
                self.mote.log(WARNING, "alert_expired", age_s=age_s, expires=alert.expires)
                return
            if alert.expires is not None or age_s > _LATE_S:
                from mote.dating import date

                date(self.mote, alert)
            self.mote.submit(alert, call_id)
        except MemoryError:
            lane[3] = None
            raise
        except Exception as error:
            alert.end("failed")
            self.mote.log(ERROR, "alert_failed", error=repr(error))

    def read(self, offset: int, content: bytes) -> tuple:
        """Return (Call-ID, mote.Alert) of a record."""
        outbox = self.outbox
        front, (call_id, target, _, body, text) = parts_of(content)
        _, quality, expires, unix, uptime, start, flags, _, group, count = front
        if count:
            body += b" (repeated once)" if count == 1 else b" (repeated %d times)" % count
        if start != outbox.start:
            clock = self.mote.agent.uac.clock
            today = None if clock is None else clock.unix(now())
            if today and quality == _RTC != clock.quality:  # a better clock has spoken since: that one may have erred
                unix = 0
            age_s = max(today - unix if unix and today else 0, self.slept.get(start, uptime) - uptime)
            uptime = self.mote.uptime() - max(age_s, 0)
        alert = self.mote.Alert(target, body, None if expires == _NEVER else expires, self.mote.uptime)
        alert.at = offset
        alert.octets = len(content)
        alert.born_s = uptime
        alert.group = group
        if start != outbox.start:
            alert.unix = unix
        if flags & _COMPACT:
            alert.options = {"compact": True}
        if text:
            from agent.cpim.imdn import CPIM

            alert.options = dict(alert.options, content_type=CPIM, fallback=(b"text/plain", text))
        return call_id, alert

    # What became of it

    def ended(self, alert: object, outcome: str) -> None:
        """See mote.outbox.Outbox.ended(). What memory may be missing for comes first: it is called again then."""
        self.tell(alert.at, outcome)
        if getattr(alert, "group", 0) and self.held is not None and outcome not in ("delivered", "accepted"):
            self.held.hasten(alert.group)
        self.outbox.forget(alert.at)
        for lane in self._lanes:
            if lane[3] is alert:
                lane[3] = None
                lane[4] = False
        self.drop(alert.at, alert.octets)

    def tell(self, offset: int, outcome: str) -> None:
        """Tell the program. One to several recipients has the outcome of the first that it reaches, or of the last."""
        alert = self._handles.get(offset)
        if alert is None:
            return
        others = [other for other in self._handles if other != offset and self._handles[other] is alert]
        if alert.outcome is None and (outcome in ("delivered", "accepted") or not others):
            alert.end(outcome)  # before it is forgotten: memory may be missing
        self._handles.pop(offset, None)

    def acknowledge(self, key: str | None) -> list:
        """Somebody has seen to it: what waits under a key (None: any), or for its time, is not sent. Returns texts."""
        from mote.escalation import acknowledge

        outbox = self.outbox
        was_busy, outbox._is_busy = outbox._is_busy, True  # an alert of a scheduled function comes behind this
        try:
            return acknowledge(self, self._keys, key)
        finally:
            outbox._is_busy = was_busy

    def settle(self) -> None:
        """Leave out of the journal what has ended, where that is most of it. Raises OSError."""
        outbox = self.outbox
        if not self.waiting():
            self.mote.shell.reserve = None
            if not self.mote.settings.get("per_minute"):  # else each alert asks whether it may leave
                outbox.lanes = None
                outbox.is_free = True
            outbox.over.clear()
            outbox.journal.clear()
        else:
            self._compact()

    def _compact(self) -> None:
        """Rewrite a journal of which little counts, what has ended left out."""
        journal = self.outbox.journal
        if journal.octets > max(_ROOM + 2 * self._octets, self._patience):
            try:
                self.rewrite()
                self.outbox.over.clear()
            except (MemoryError, OSError):  # it grows until fewer wait, and not every second all is written for nothing
                self._patience = journal.octets + _ROOM
                tidy(journal.path)

    def rewrite(self, changed: object = None) -> None:
        """Keep what waits alone. All that memory may be missing for is done before the new file counts.

        changed: a function that makes another record of a content.
        """
        from mote.compaction import rewrite

        journal = self.outbox.journal
        held = [] if self.held is None else [entry[3] for entry in self.held.entries]
        lists = [lane[2] for lane in self._lanes] + [held]
        self._keys, self._handles, journal.octets = rewrite(journal.path, lists, self._keys, self._handles, changed)
        journal.is_torn = False
        self._patience = 0
        for lane in self._lanes:
            if lane[3] is not None:
                lane[3].at = lane[2][0]
        if held:
            self.held.rebase(held)
