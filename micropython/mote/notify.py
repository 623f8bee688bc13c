"""Alerts that ask to be told of their delivery: message/cpim with RFC 5438. Loaded where the setting notify isn't 0.

Notifications are all the message/cpim that a board reads: the whole parser is left out.
"""

import asyncio
import gc

gc.collect()
from agent.cpim.writer import build_cpim

gc.collect()
from agent.compat import const
from agent.cpim import imdn
from agent.errors import ParseError
from agent.headers.values import media_type
from agent.uri import parse_uri
from mote.log import DEBUG, INFO
from mote.net.shell import now

gc.collect()

ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML)
_KEPT = const(16)  # alerts that a notification is still matched to
_NAMES = {b"delivered": "delivered", b"displayed": "delivered", b"failed": "failed"}
_sent = []  # [Call-ID, which is the Message-ID, asyncio.Event, what became of it], oldest first


async def deliver(
    mote: object, agent: object, call_id: bytes, target: bytes, text: bytes, expires: int | None, compact: bool
) -> str:
    """Send text as Mote.alert does; where it was only accepted, wait a while to be told more."""
    alert = [call_id, asyncio.Event(), "accepted"]
    _sent.append(alert)
    if len(_sent) > _KEPT:
        _sent.pop(0)
    body = _wrap(agent, target, call_id, text)
    options = {"compact": compact, "content_type": imdn.CPIM, "fallback": (b"text/plain", text)}
    name = await mote.send(call_id, target, body, expires, **options)
    if name != "accepted" or (parse_uri(target).key(), imdn.CPIM) in agent.refused:
        return name
    try:
        await asyncio.wait_for(alert[1].wait(), mote.settings["notify"])
    except asyncio.TimeoutError:
        pass  # what comes later is logged
    return alert[2]


def around(agent: object, target: bytes) -> dict:
    """Return what UserAgent.fit has to know of what stands around a text."""
    return {"content_type": imdn.CPIM, "reserve": len(_wrap(agent, target, b"0" * 20, b""))}


def take(mote: object, event: object) -> bool:
    """Answer a MessageReceived that isn't text; False for one that is.

    A notification is known by the Message-ID, which only the receiver of our message can know: the headers around it
    aren't read. Anything else gets 415, so that its sender may turn to text.
    """
    from mote.commands import answer

    body = event.message.body
    text = media_type(event.message.get(b"content-type") or b"") in (b"text/plain", b"")
    if text and body.find(imdn.XML) < 0:  # a store may call a notification so
        return False
    try:
        message_id, _, status = imdn.parse_notification(body)
    except ParseError:
        if not text:
            answer(mote, event, 415)
        return not text
    answer(mote, event, 200)
    for alert in _sent:
        if alert[0] == message_id:
            mote.log(INFO, "notification", call_id=message_id.decode(), status=status.decode())
            if status in _NAMES:
                alert[2] = _NAMES[status]
                alert[1].set()
            return True
    mote.log(DEBUG, "notification_ignored", sender=event.sender.decode())
    return True


def _wrap(agent: object, target: bytes, call_id: bytes, text: bytes) -> bytes:
    to = parse_uri(target).address_of_record()
    return build_cpim(agent.aor, to, text, unix=agent.clock.unix(now()), extra=imdn.ask(call_id))
