"""Alerts to several recipients: all at once, or one after the other until somebody acknowledges. Loaded by the first.

What is raised together shares a group, a number that isn't 0.
"""

from agent.compat import const
from agent.errors import UsageError
from mote.journal import load, parts_of
from mote.log import ERROR, INFO

_LONGEST_S = const(2419200)  # 4 weeks
_MOST = const(32)  # that wait for their time; beyond that the next in time goes at once


class Held:
    """What is sent at its time. entries: [due (uptime in s), priority, target, offset, key, group], the next first."""

    def __init__(self, lanes: object) -> None:
        self._lanes = lanes
        self.entries = []

    def add(self, due_s: int, priority: int, target: bytes, offset: int, key: bytes, group: int) -> None:
        """Keep an alert that is in the journal until its time."""
        self.entries.append([due_s, priority, target, offset, key, group])
        self.entries.sort(key=lambda entry: entry[0])
        if len(self.entries) > _MOST:
            self._release(self.entries[0])

    def _release(self, entry: list) -> None:
        self._lanes.lane(entry[1], entry[2])[2].append(entry[3])
        self.entries.remove(entry)

    def rebase(self, offsets: list) -> None:
        """The journal is another one: that is where each begins."""
        for number in range(len(offsets)):
            self.entries[number][3] = offsets[number]

    def feed(self) -> None:
        """Hand what is due to the lanes."""
        at = self._lanes.mote.uptime()
        while self.entries and self.entries[0][0] <= at:
            self._release(self.entries[0])

    def hasten(self, group: int) -> None:
        """One of a group couldn't be delivered: the next one is due."""
        for entry in self.entries:
            if entry[5] == group:
                self._release(entry)
                break

    def drop(self, offset: int) -> bool:
        """Forget the alert there; False if there is none."""
        for entry in self.entries:
            if entry[3] == offset:
                self.entries.remove(entry)
                return True
        return False


def alert_several(mote: object, body: bytes, expires: int | None, to: object, is_short: bool, how: tuple) -> object:
    """Send to a list of URIs. how: priority, key, escalate_s (None: the setting). Raises agent.errors.UsageError."""
    priority, key, escalate_s = how
    if escalate_s is None:
        escalate_s = mote.settings.get("escalate_s", 0)
    if type(escalate_s) is not int or not 0 <= escalate_s <= _LONGEST_S:
        raise UsageError("escalate_s: %r is no number of seconds; 0 to %d" % (escalate_s, _LONGEST_S))
    targets = []
    for target in to:
        if target.encode() not in targets:
            targets.append(target.encode())
    if not targets:
        raise UsageError("an alert needs a recipient: to is an empty list")
    if len(targets) == 1:
        targets = targets[0]
    elif mote.outbox is None:
        raise UsageError("several recipients need the outbox, which the setting outbox leaves out")
    else:
        targets = tuple(targets)
    if mote.outbox is None:
        return mote.in_ram(targets, body, is_short, expires)
    return mote.outbox.put(mote.Alert(targets, body, expires, mote.uptime), is_short, priority, key, escalate_s)


def goals_of(lanes: object, targets: tuple, key: bytes, escalate_s: int) -> list:
    """Return (target, hold_s, group) for each recipient: who is asked when, counted from now.

    The times of an alert with the same key that is being escalated stay, lest a sensor that flaps escalates never.
    """
    group = int.from_bytes(lanes.mote.agent.uac.random_bytes(2), "big") or 1
    at = lanes.mote.uptime()
    known = {}
    if key and lanes.held is not None:
        for entry in lanes.held.entries:
            if entry[4] == key:
                known[entry[2]] = max(entry[0] - at, 1)
    return [
        (target, known.get(target, number * escalate_s) if number else 0, group)
        for number, target in enumerate(targets)
    ]


def acknowledge(lanes: object, keys: dict, key: str | None) -> list:
    """End what is held, and what waits with a key and was never sent; returns their texts. key: of these alone."""
    wanted = None if key is None else key.encode().lower()
    held = [] if lanes.held is None else [(entry[3], entry[4]) for entry in lanes.held.entries]
    found = [(offset, pair[1]) for pair in keys for offset in keys[pair]] + held
    texts = []
    for offset, name in sorted(set(found)):
        if (wanted is None or name.lower() == wanted) and not lanes.is_fixed(offset):
            content = load(lanes.outbox.journal.path, offset) or b""
            lanes.outbox.forget(offset)
            lanes.drop(offset, len(content))
            lanes.tell(offset, "acknowledged")
            *_, body, fallback = parts_of(content)[1] if content else (b"", b"")  # a body in CPIM has one in plain text
            text = (fallback or body).decode()
            if text not in texts:
                texts.append(text)
    try:
        while lanes.outbox.over:  # before anybody is told so
            lanes.outbox.append([])
    except OSError as error:
        lanes.mote.log(ERROR, "outbox_failed", error=repr(error))
    lanes.mote.log(INFO, "acknowledged", key=key, alerts=len(texts))
    return texts
