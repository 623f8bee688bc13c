"""A text that is over the budget: what its policy makes of it, sent part by part. Loaded when there is one."""


async def deliver(mote: object, target: bytes, body: bytes, expires: int | None) -> str:
    """Send body as the setting `budget` says; returns "delivered", or what the last part that wasn't has become.

    Raises agent.errors.UsageError where the policy doesn't allow to change the text.
    """
    more = {}
    if mote.settings["notify"]:
        from mote.notify import around

        more = around(mote.agent, target)
    bodies, compact = mote.agent.fit(target, body, mote.settings["budget"], expires=expires, **more)
    name = "delivered"
    for part in bodies:
        outcome = await mote.deliver(target, part, expires, compact)
        if outcome != "delivered":
            name = outcome
    return name
