"""What an earlier mote.run() has left behind: its tasks are gone, and nothing waits for them. Loaded by a second."""

import asyncio
import sys
from asyncio import core

from mote.net.sockets import now


def begin(mote: object) -> None:
    """Let go of what tasks of an earlier loop held, once there are sockets."""
    for name in ("commands", "power"):  # what runs there has ended with its task: they are loaded anew
        if sys.modules.pop("mote." + name, None) is not None:
            delattr(sys.modules["mote"], name)
    for sensor in mote._sensors:
        sensor[3] = False
    outbox = mote.outbox
    alerts = list(mote._alerts.values())
    if outbox is not None:
        alerts += [outbox.pending] + list(getattr(outbox.lanes, "_handles", {}).values())
        alerts += [queued[0] for queued in outbox.queues]
    for alert in alerts:
        if alert is not None:
            alert.waiting = None  # else its end would wake tasks of then
    for call_id in list(mote._alerts):
        alert = mote._alerts[call_id]
        if alert.outbox is None and getattr(alert, "loop", None) not in (None, core._task_queue):
            from mote.alerts import send_again

            asyncio.create_task(send_again(mote, alert, call_id, alert.pause_s))
    if mote.shell._others is not None:
        others = mote.shell._others
        mote.shell._others = None
        _hang_up(mote.shell, others)


def _hang_up(shell: object, others: object) -> None:
    """Tell the core of the streams and look-ups that have ended with their tasks."""
    if others._streams is not None:
        others._streams.drop_all(b"run() has ended")
    if others._resolver is not None:
        for uri in others._resolver._busy:
            shell.carry_out(shell.user_agent.resolved(uri, [], now(), b"run() has ended"))
