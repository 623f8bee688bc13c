"""Protected messages that come (S/MIME): opened one at a time, beside all else. Loaded by the first of them.

What a stranger sends may cost a board a second of arithmetic. So what shows at once that it isn't for us is answered
without any; all strangers together get a quarter of the board's time, and who has sent a good one has time of his own.
Modules come in stages, and go where memory isn't ample: the heap has one stage at a time.
"""

import asyncio
import sys
from binascii import unhexlify
from gc import collect, mem_free

from agent.cms.mime import MULTIPART, PKCS7
from agent.compat import const
from agent.errors import ParseError
from agent.headers.values import media_type
from mote.limits import has_credit
from mote.log import WARNING
from mote.net.sockets import now

_AT_ONCE = const(3)  # messages that wait or are opened; the last place is for who has sent a good one
_LOOK_MS = const(500)  # of credit: what it costs to look at one, at most
_STRANGER_MS = const(4000)  # and to open one
_KNOWN_MS = const(1500)
_CREDIT_MS = const(12000)
_STALE_MS = const(30000)  # two in a minute are told that they are stale
_MOST_KNOWN = const(4)  # addresses that have sent good ones
_TRIES = const(4)  # where memory runs out
_LEAST_MS = const(2000)
_AMPLE = const(131072)  # octets: with as many free nothing has to go; all that is loaded takes 75,000
_UNDECIPHERABLE = const(493)
_FREED = "agent.cpim.reader agent.cpim.mime mote.combs mote.envelope mote.keys mote.reading mote.replay mote.verdict"

STALE = "Incorrect Date or Time"  # what RFC 3428 section 11 has a 400 say

_queue = []  # MessageReceived; the first one is being opened
_known = []  # addresses
_longest_ms = _LEAST_MS  # that it took to open one: no failure is told sooner
_is_ample = mem_free() >= _AMPLE


class Inside:
    """The message of a MessageReceived that was opened.

    mark: what mote.limits knows it by, None where nobody has signed it. signed: (URI, Unix seconds, digest) of who has,
    for mote.replay.
    """

    mark = signed = None

    def __init__(self, outside: object, content_type: bytes, body: bytes) -> None:
        self._fields = {name: outside.get(name) for name in (b"from", b"cseq", b"auto-submitted")}
        self._fields[b"content-type"] = content_type
        self.body = body

    def get(self, name: bytes) -> bytes | None:
        """Return a field's value, of those that a command needs."""
        return self._fields[name]  # type: ignore[no-any-return]

    def remember(self) -> None:
        """Have what is signed known over restarts, before it is acted upon. Raises OSError."""
        if self.signed is not None:
            from mote.replay import remember

            remember(*self.signed)


def unprotect(mote: object, event: object, give: object) -> bool:
    """Open the body of a MessageReceived in a task; False for one that isn't protected.

    give: is called with the mote, the MessageReceived that is inside, and whether that was taken before.
    """
    if media_type(event.message.get(b"content-type") or b"") not in (PKCS7, MULTIPART):
        return False
    is_stranger = event.flow[1] not in _known
    if len(_queue) + is_stranger >= _AT_ONCE or not _has_credit(mote, event, _LOOK_MS):
        refuse(mote, event, 480, "too many protected messages at once")
    else:
        _queue.append(event)
        if len(_queue) == 1:
            asyncio.create_task(_work(mote, give))
    return True


def _has_credit(mote: object, event: object, cost_ms: int) -> bool:
    host = event.flow[1]
    payer = b">%s" % host if host in _known else b">"
    return has_credit(mote, payer, cost_ms, _CREDIT_MS)  # type: ignore[no-any-return]


async def _work(mote: object, give: object) -> None:
    while _queue:
        try:
            await Opening(mote, _queue[0], give).take()
        except Exception as error:
            await mote.shell.failed(error)
            mote.agent.forget(_queue[0])  # if nobody has answered it: it is a new one when it comes again
        _queue.pop(0)


class Opening:
    """A protected message that is being opened.

    agreed: point -> the secret that we share with its owner. has_paid: for the arithmetic.
    """

    def __init__(self, mote: object, event: object, give: object) -> None:
        self._mote = mote
        self._give = give
        self._event = event
        self._agreed = {}
        self._has_paid = False
        self._began = mote.uptime_ms()

    async def take(self) -> None:
        """Have what is inside taken, or refuse it."""
        global _is_ample
        inner = None
        tries = 0
        while True:
            try:
                inner = inner or await self._open()
                self._give(self._mote, *inner)
                return
            except ParseError as error:
                self._refuse(error.status, error.detail)
                return
            except MemoryError as error:
                _is_ample = False
                let_go()
                tries += 1
                if tries == _TRIES and inner is None:
                    self._refuse(480, "memory is too short to open it")
                    return
                await self._mote.shell.failed(error)

    async def _open(self) -> tuple:
        """Return (the MessageReceived that is inside, was the same thing taken before?). Raises ParseError."""
        while True:
            found = _look(self._event.message, self._agreed, self._mote.settings.get("require"))
            let_go()
            if type(found) is tuple:
                break
            self._agreed[found] = await self._agree(found)
            let_go()
        if found[3] is not None:  # somebody whom we know has signed it, perhaps
            self._pay()
            await asyncio.sleep_ms(0)
            _check(found)
            let_go()
            await asyncio.sleep_ms(0)
        found = _read(self._mote, self._event, found)
        let_go()
        _note(found[0], self._mote.uptime_ms() - self._began)
        return found

    async def _agree(self, point: bytes) -> bytes:
        """Return the secret that our key shares with a point; b"" for what is no point. Others go on meanwhile."""
        try:
            steps = _steps(point)
            let_go("mote.keys")
            shared = next(steps)
        except ValueError:
            return b""
        self._pay()
        for shared in steps:  # noqa: B007
            await asyncio.sleep_ms(0)
        return shared

    def _pay(self) -> None:
        if not self._has_paid:
            cost_ms = _KNOWN_MS if self._event.flow[1] in _known else _STRANGER_MS
            if not _has_credit(self._mote, self._event, cost_ms):
                raise ParseError("too many protected messages", 480)
            self._has_paid = True

    def _refuse(self, status: int, reason: str) -> None:
        let_go()
        self._event = type(self._event)(None, *self._event[1:])  # an answer doesn't need the message
        if self._agreed and status == _UNDECIPHERABLE:
            asyncio.create_task(self._refuse_later(reason))
        else:
            refuse(self._mote, self._event, status, reason)

    async def _refuse_later(self, reason: str) -> None:
        """Answer when the longest one would be: how long it took tells what was inside."""
        await asyncio.sleep_ms(max(0, self._began + _longest_ms - self._mote.uptime_ms()))
        refuse(self._mote, self._event, _UNDECIPHERABLE, reason)


# Functions, so that nothing keeps the modules when they return


def _look(message: object, agreed: dict, require: str | None) -> object:
    from mote.envelope import open_envelope

    return open_envelope(message, agreed, require)


def _steps(point: bytes) -> object:
    from agent.cms.agreement import agree_in_steps
    from agent.cms.p256 import P
    from mote.keys import own, random

    return agree_in_steps(unhexlify(own()["secret"]), point, int.from_bytes(random(40), "big") % (P - 1) + 1)


def _check(found: tuple) -> None:
    from mote.verdict import check

    check(*found[3], found[4], _UNDECIPHERABLE if found[2] else 403)


def _read(mote: object, event: object, found: tuple) -> tuple:
    from mote.reading import read

    return read(mote, event, Inside, STALE, found)


def _note(event: object, took_ms: int) -> None:
    """A message was opened: who has signed it has time of his own from now on."""
    global _longest_ms
    _longest_ms = max(_longest_ms, took_ms)
    host = event.flow[1]
    if event.message.mark is not None and host not in _known:
        _known.append(host)
        if len(_known) > _MOST_KNOWN:
            _known.pop(0)


def refuse(mote: object, event: object, status: int, reason: str) -> None:
    """Answer a MessageReceived, and log why. Who sends again and again what is stale hears nothing."""
    if reason.startswith(STALE) and not has_credit(mote, b">?" + event.flow[1], _STALE_MS, _STALE_MS):
        mote.agent.forget(event)
    else:
        phrase = reason.partition(":")[0].encode() if status == 400 else b""
        mote.shell.carry_out(mote.agent.respond(event, status, now(), phrase))
    sender, address = event.sender.decode(), event.flow[1].decode()
    mote.log(WARNING, "message_ignored", sender=sender, address=address, reason=reason)


def let_go(first: str = "agent.cms.") -> None:
    """Free the modules that a stage has loaded, or those alone whose names begin so, if memory isn't ample."""
    if _is_ample:
        return
    for name in list(sys.modules):
        if name.startswith(first) or (first == "agent.cms." and name in _FREED.split()):
            del sys.modules[name]
            package, _, own = name.rpartition(".")
            if hasattr(sys.modules[package], own):
                delattr(sys.modules[package], own)
    collect()
