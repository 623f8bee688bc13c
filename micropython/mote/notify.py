"""Alerts that ask to be told of their delivery: message/cpim with RFC 5438. Loaded where the setting notify isn't 0.

Notifications are all the message/cpim that a board reads: the whole parser is left out.
"""

import asyncio
from gc import collect

collect()
from agent.cpim.writer import build_cpim

collect()
from agent.compat import const
from agent.cpim import imdn
from agent.errors import ParseError
from agent.headers.values import media_type
from agent.uri import parse_uri
from mote.log import DEBUG, INFO
from mote.net.sockets import now

collect()

ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML)
_KEPT = const(16)  # alerts that a notification is still matched to
_NAMES = {b"delivered": "delivered", b"displayed": "delivered", b"failed": "failed"}
_sent = []  # [Call-ID, which is the Message-ID; what became of it, None until told], oldest first


def unpacker() -> object | None:
    """Return what unpacks a body, as UserAgent takes it; None for a firmware without the means."""
    try:
        import deflate  # noqa: F401
    except ImportError:
        return None
    return _inflate


def _inflate(packed: bytes, encoding: bytes) -> bytes:
    from mote.inflate import inflate

    return inflate(packed, encoding)


def wrap(mote: object, target: bytes, call_id: bytes, text: bytes) -> tuple:
    """Return (body, options of UserAgent.send) of an alert that asks; who refuses message/cpim gets the text."""
    _keep(call_id)
    options = {"content_type": imdn.CPIM, "fallback": (b"text/plain", text)}
    return _cpim(mote, target, call_id, text), options


def _keep(call_id: bytes) -> None:
    _sent.append([call_id, None])
    if len(_sent) > _KEPT:
        _sent.pop(0)


def around(mote: object, target: bytes) -> dict:
    """Return what UserAgent.fit has to know of what stands around a text."""
    return {"content_type": imdn.CPIM, "reserve": len(_cpim(mote, target, b"0" * 20, b""))}


def wait_for(mote: object, alert: object, call_id: bytes) -> bool:
    """Wait a while to be told more of an alert that was only accepted; False when nothing more will be told."""
    if mote.agent.has_refused(alert.target, imdn.CPIM):
        return False
    asyncio.create_task(_wait(mote, call_id))
    if call_id not in [record[0] for record in _sent]:  # it waited behind many, or was raised before a restart
        _keep(call_id)
    return True


async def _wait(mote: object, call_id: bytes) -> None:
    await asyncio.sleep(mote.settings["notify"])
    mote.ended(call_id, "accepted")  # unless it was told; what comes later is logged


def answer_of(mote: object, event: object) -> int:
    """Return the status to answer a MessageReceived with that isn't text; 0 for one that is.

    A notification is known by the Message-ID, which only the receiver of our message can know: the headers around it
    aren't read. Anything else gets 415, so that its sender may turn to text.
    """
    body = event.message.body
    text = media_type(event.message.get(b"content-type") or b"") in (b"text/plain", b"")
    if text and body.find(imdn.XML) < 0:  # a store may call a notification so
        return 0
    try:
        message_id, _, status = imdn.parse_notification(body)
    except ParseError:
        return 0 if text else 415
    for record in _sent:
        if record[0] == message_id:
            mote.log(INFO, "notification", call_id=message_id.decode(), status=status.decode())
            if status in _NAMES:
                record[1] = _NAMES[status]
                mote.ended(message_id, record[1])
            return 200
    mote.log(DEBUG, "notification_ignored", sender=event.sender.decode())
    return 200


def _cpim(mote: object, target: bytes, call_id: bytes, text: bytes) -> bytes:
    to = parse_uri(target).address_of_record()
    clock = mote.agent.clock
    unix = None if clock is None else clock.unix(now())
    return build_cpim(mote.agent.aor, to, text, unix=unix, extra=imdn.ask(call_id))
