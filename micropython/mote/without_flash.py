"""Alerts that the flash doesn't take: they are sent from memory, to all recipients at once. Loaded by the first."""

import asyncio


def send_from_ram(mote: object, alert: object) -> object:
    """Send an alert that the program has already, or gets now; returns it. It stands for all its recipients."""
    targets = alert.target if type(alert.target) is tuple else (alert.target,)
    sent = [mote.in_ram(target, alert.body, False, alert.expires) for target in targets]
    for one in list(sent):
        asyncio.create_task(_follow(alert, one, sent))
    return alert


async def _follow(whole: object, one: object, left: list) -> None:
    """Its outcome is that of the first recipient that is reached, or of the last."""
    outcome = await one
    left.remove(one)
    if whole.outcome is None and (outcome in ("delivered", "accepted") or not left):
        whole.end(outcome)
