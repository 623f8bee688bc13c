"""What earlier starts have left in the journal is read, and what waits is rewritten. Loaded and freed by those."""

import os
from struct import unpack

from agent.compat import const
from mote.journal import load, parts_of, read_all, tidy
from mote.log import ERROR

_PUT = const(1)  # kinds of records, see mote.outbox
_END = const(2)
_USUAL = const(4)  # a flag, see mote.lanes


class Rescue:
    """What is done with Lanes seldom."""

    def __init__(self, lanes: object) -> None:
        self._lanes = lanes
        self._outbox = lanes.outbox
        self._mote = lanes.mote

    def rescue(self) -> None:
        """Read what earlier starts have left. What can't be read at all is put aside."""
        from mote.slept import slept

        lanes, journal = self._lanes, self._outbox.journal
        lanes.slept = slept()
        for is_last in (False, True):  # flash may be read the second time
            try:
                self._redirect(self._read_all())
                break
            except OSError as error:
                self._clear()
                if is_last:
                    self._mote.log(ERROR, "outbox_failed", error="put aside as %s.lost: %r" % (journal.path, error))
                    try:
                        os.rename(journal.path, journal.path + ".lost")
                    except OSError:
                        pass  # then it can't be written to either, and alerts are sent from memory
        if not lanes.waiting():
            self._outbox.lanes = None
            journal.is_torn = True  # whatever there is goes before the first record
            journal.octets = 0

    def _clear(self) -> None:
        lanes = self._lanes
        lanes._lanes.clear()
        lanes._keys.clear()
        lanes.held = None
        lanes._octets = 0

    def _usual(self) -> bytes:
        """Return who gets alerts, or the first of them."""
        to = self._mote.settings["to"]
        return (to if type(to) is str else to[0]).encode()

    def _redirect(self, astray: list) -> None:
        """Alerts for whom the setting `to` named before go to whom it names now, but for what may have been sent."""
        lanes = self._lanes._lanes
        if not astray or not any(offset in lane[2][1:] for offset in astray for lane in lanes):
            return
        from mote.readdressed import goes_to

        kept = [load(self._outbox.journal.path, lane[2][0]) for lane in lanes if lane[2]]
        try:
            self.change(goes_to(kept, self._usual()))
        except MemoryError:  # they go to whom they were for
            return
        self._clear()
        self._read_all()
        for lane in lanes:  # a first one that was redirected has been sent to nobody
            lane[4] = bool(lane[2]) and load(self._outbox.journal.path, lane[2][0]) in kept

    def _read_all(self) -> list:
        """Read the journal; returns where alerts begin that were for whom the setting `to` named before."""
        journal = self._outbox.journal
        astray = []
        for kind, offset, content in read_all(journal.path):
            if kind is None:
                journal.octets = offset
                journal.is_torn = content > offset
                continue
            try:
                if kind == _PUT:
                    self._take(offset, content, astray)
                elif kind == _END:
                    if len(content) % 4:
                        raise ValueError
                    for at in unpack(">%dI" % (len(content) // 4), content):
                        self._lanes.drop(at, len(load(journal.path, at) or b""))
            except ValueError:  # another version has written it
                kind = 0
            if kind == 0:
                self._mote.log(ERROR, "outbox_failed", error="an alert can't be read any more")
        for lane in self._lanes._lanes:
            lane[4] = True  # its first one may have been sent
        return astray

    def _take(self, offset: int, content: bytes, astray: list) -> None:
        front, (_, target, key, _, _) = parts_of(content)
        born_s = self._lanes.read(offset, content)[1].born_s
        self._lanes.keep(born_s, front[0], target, offset, len(content), key, front[6:9])
        if front[6] & _USUAL and target != self._usual():
            astray.append(offset)

    def change(self, changed: object) -> None:
        """Rewrite what waits. changed: a function that returns a record's content as it is then."""
        outbox, lanes = self._outbox, self._lanes
        outbox._is_busy = True
        try:
            lanes.rewrite(lambda content: lanes._record(_PUT, changed(content)))
            outbox.over.clear()
        except OSError as error:
            self._mote.log(ERROR, "outbox_failed", error=repr(error))
        finally:
            outbox._is_busy = False
            tidy(outbox.journal.path)
