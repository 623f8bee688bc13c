"""Alerts that may not fit as they are: long texts, those that ask for a notification. Loaded by the first of them."""

import asyncio

from mote.log import ERROR, WARNING


def send_fitted(mote: object, target: bytes, body: bytes, expires: int | None, is_full: bool) -> object:
    """Send body as the settings `budget` and `notify` say; returns an Alert. is_full: too many alerts wait already.

    Of several parts its outcome is "delivered", or what the last part that wasn't has become.
    Raises agent.errors.UsageError where the policy doesn't allow to change the text.
    """
    if is_full:
        mote.log(WARNING, "alert_refused")
        alert = mote.Alert(target, body, None, None)
        alert.accepted = False
        alert.end("failed")
        return alert
    parts = fitted(mote, target, body, expires)
    first = _send_part(mote, target, expires, *parts[0])
    if len(parts) == 1:
        return first
    whole = mote.Alert(target, body, expires, mote.uptime)
    asyncio.create_task(_send_others(mote, whole, first, parts))
    return whole


def fitted(mote: object, target: bytes, body: bytes, expires: int | None) -> list:
    """Return what a text is sent as, by the settings `budget` and `notify`: (Call-ID, body, options) each.

    Raises agent.errors.UsageError where the policy doesn't allow to change the text.
    """
    more = {}
    if expires is not None:
        more["expires"] = expires
    if mote.outbox is not None:
        more["date"] = 1  # any: room for the one that it gets if it leaves late
    if mote.settings.get("notify"):
        from mote.notify import around, wrap

        more.update(around(mote, target))
    if mote.settings.get("protect"):
        from mote.beside import fit

        bodies, compact = fit(mote, target, body, more)
    else:
        bodies, compact = mote.agent.fit(target, body, mote.settings.get("budget", "compact"), **more)
    parts = []
    for body in bodies:
        call_id = mote.agent.new_call_id()
        options = {"compact": True} if compact else {}
        if mote.settings.get("notify"):
            body, asks = wrap(mote, target, call_id, body)
            options.update(asks)
        parts.append((call_id, body, options))
    return parts


def _send_part(mote: object, target: bytes, expires: int | None, call_id: bytes, body: bytes, options: dict) -> object:
    alert = mote.Alert(target, body, expires, mote.uptime)
    alert.options = options
    mote.submit(alert, call_id)
    return alert


async def _send_others(mote: object, whole: object, part: object, parts: list) -> None:
    name = "delivered"
    try:
        for other in parts[1:] + [None]:
            outcome = await part
            if outcome != "delivered":
                name = outcome
            if other is not None:
                part = _send_part(mote, whole.target, whole.expires, *other)
    except Exception as error:
        whole.end("failed")
        mote.log(ERROR, "alert_failed", error=repr(error))
        return
    whole.end(name)
