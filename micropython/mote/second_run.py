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
        alerts += [queued[0] for queued in outbox.queues if queued is not None]
    for alert in alerts:
        if alert is not None:
            alert.waiting = None  # else its end would wake tasks of then
    _begin_alerts(mote)
    if mote.settings.get("heartbeat"):
        mote.heartbeat.begin()
    if mote.shell._others is not None:
        others = mote.shell._others
        mote.shell._others = None
        _hang_up(mote.shell, others)


def _begin_alerts(mote: object) -> None:
    """Go on with alerts that the core doesn't have: they paused, or Ctrl-C came as they were begun or ended."""
    known = [request.call_id for queue in mote.agent.uac.queues.values() for request in queue]
    under_way = []
    for call_id in list(mote._alerts):
        alert = mote._alerts[call_id]
        if call_id in known:
            under_way.append(alert)
        elif alert.outbox is None and getattr(alert, "loop", None) is not core._task_queue:
            from mote.alerts import send_again

            asyncio.create_task(send_again(mote, alert, call_id, alert.pause_s))
    lanes = getattr(mote.outbox, "lanes", None)
    for lane in () if lanes is None else lanes._lanes:
        if lane[3] is not None and lane[3] not in under_way:
            lane[3] = None
            lane[4] = True  # it may have been sent


def _hang_up(shell: object, others: object) -> None:
    """Tell the core of the streams and look-ups that have ended with their tasks."""
    if others._streams is not None:
        others._streams.drop_all(b"run() has ended")
    if others._resolver is not None:
        for uri in others._resolver._busy:
            shell.carry_out(shell.user_agent.resolved(uri, [], now(), b"run() has ended"))
