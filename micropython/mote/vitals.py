"""How a board does, for the command status and for heartbeats. Loaded by the first of them."""

import gc

_QUALITIES = ("none", "learned", "rtc", "host", "ntp")


def vitals(mote: object) -> tuple:
    """Return (uptime in seconds, how the clock is known, octets of free heap, alerts without an outcome)."""
    gc.collect()
    clock = mote.agent.clock
    return mote.uptime(), _QUALITIES[0 if clock is None else clock.quality], gc.mem_free(), _waiting(mote)


def _waiting(mote: object) -> int:
    outbox = mote.outbox
    if outbox is None or outbox.lanes is None:
        return len(mote._alerts) + (0 if outbox is None else len(outbox.queues))
    in_ram = [1 for alert in mote._alerts.values() if alert.outbox is None]
    return len(in_ram) + outbox.lanes.waiting() + len(outbox.queues)
