"""Alerts whose answer isn't the usual one: attempts that failed are repeated. Loaded by the first of them."""

import asyncio
from asyncio import core

from agent.compat import const
from mote.log import ERROR, WARNING

_LONGEST_PAUSE_S = const(60)


def answered(mote: object, alert: object, outcome: object) -> None:
    """Deal with an outcome that isn't the usual one: log it, try again later, or end the alert (None: nobody's)."""
    if outcome.status >= 300:
        call_id = outcome.call_id.decode()
        mote.log(WARNING, "outcome", name=outcome.name, status=outcome.status, call_id=call_id, reason=outcome.reason)
    if alert is None:
        return
    is_told_more = False
    if outcome.name == "accepted" and mote.settings.get("notify"):
        from mote.notify import wait_for

        is_told_more = wait_for(mote, alert, outcome.call_id)
    if not is_told_more:
        if outcome.status in (406, 415, 488, 493) and mote.settings.get("protect"):
            from mote.unread import refused

            refused(mote, alert, outcome)
            return
        if outcome.name != "timeout" and outcome.status != 503:
            mote.ended(outcome.call_id, outcome.name)
            return
        wait_s = alert.pause_s
        if outcome.retry_after:
            from agent.headers.delta import retry_after_s

            wait_s = max(wait_s, retry_after_s(outcome.retry_after))
        if alert.expires is not None and alert.expires <= mote.uptime() - alert.born_s + wait_s:
            mote.ended(outcome.call_id, "expired")
            return
    if alert.outbox is not None:
        alert.is_pausing = True  # before it has a task: memory may be missing for either
        alert.outbox.wake.set()  # what has a higher priority goes on meanwhile
    else:
        alert.loop = core._task_queue  # of the run in which it pauses
    if not is_told_more:
        asyncio.create_task(send_again(mote, alert, outcome.call_id, wait_s))


async def send_again(mote: object, alert: object, call_id: bytes, wait_s: int) -> None:
    """Wait, then hand an alert to the core once more."""
    alert.pause_s = min(2 * alert.pause_s, _LONGEST_PAUSE_S)
    while True:
        await asyncio.sleep(wait_s)
        try:
            if alert.expires is not None and alert.expires <= mote.uptime() - alert.born_s:  # something has held us up
                mote.ended(call_id, "expired")
                return
            if alert.outbox is not None:
                from mote.dating import date

                date(mote, alert)
                alert.is_pausing = False
            else:
                alert.loop = None
            mote.submit(alert, call_id)
            return
        except MemoryError as error:
            await mote.shell.failed(error)  # a while later there may be more
        except Exception as error:
            mote.ended(call_id, "failed")  # before the log, for which memory may be missing
            mote.log(ERROR, "alert_failed", error=repr(error))
            return
