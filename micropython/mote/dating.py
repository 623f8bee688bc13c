"""When an alert of the outbox was raised, and how long it is valid still. Loaded for those that say so."""

from agent.compat import const
from agent.errors import UsageError
from mote.net.sockets import now

_LONGEST = const(0x7FFFFFFF)  # seconds; RFC 3261 section 20.19 has one more bit


def check(expires: int | None, priority: int) -> None:
    """Raise agent.errors.UsageError for what an alert can't have."""
    if expires is not None and not (type(expires) is int and 0 < expires <= _LONGEST):
        raise UsageError("expires: %r is no number of seconds; 600 or so, or leave it out" % (expires,))
    if type(priority) is not int or not 0 <= priority <= 255:
        raise UsageError("priority: %r is no number from 0 to 255" % (priority,))


def date(mote: object, alert: object) -> None:
    """Say of an alert when it was raised, as far as anybody knows, before each attempt.

    Its validity is counted from that time (RFC 3428 section 7); where that isn't known, from when it is sent first.
    """
    unix = getattr(alert, "unix", None)  # of an alert of an earlier start; 0: nobody knows
    if unix is None:
        clock = mote.agent.uac.clock
        today = None if clock is None else clock.unix(now())
        unix = today - mote.uptime() + alert.born_s if today else 0
    options = dict(alert.options, date=unix)  # 0: none
    if alert.expires is not None and unix:
        options["expires"] = alert.expires
    alert.options = options
