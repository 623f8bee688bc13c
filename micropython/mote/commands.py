"""What comes to a board: messages whose first word names a command."""

import asyncio
from asyncio import core
from hashlib import sha256

from agent.compat import const
from agent.errors import ParseError, UsageError
from agent.headers.values import media_type
from agent.uri import parse_uri
from mote.credit import has_credit
from mote.log import ERROR, INFO, WARNING
from mote.net.sockets import now

_KNOWN = const(16)  # commands whose repetition is known
_AT_ONCE = const(8)  # commands that run or whose answer is on its way
_COST_MS = const(1000)  # a command a second for each sender
_CREDIT_MS = const(9000)  # and ten at once
_UTF_8 = (b"", b"utf-8", b"utf8", b"us-ascii")

_known = [b""] * _KNOWN  # marks of the last commands, the next one's place at _count
_count = 0
_running = 0


class Command:
    """What a command's function gets.

    sender: URI; user: who has authenticated, None on a board without commanders; text: the whole message; words: its
    words, the command first.
    """

    def __init__(self, sender: str, user: str | None, text: str) -> None:
        self.sender = sender
        self.user = user
        self.text = text
        self.words = text.split()


def take_message(mote: object, event: object) -> None:
    """Answer a MessageReceived and start its command; where memory runs out in between it is called again."""
    if mote.settings.get("notify"):
        from mote.notify import answer_of

        status = answer_of(mote, event)
        if status:
            mote.shell.carry_out(mote.agent.respond(event, status, now()))
            return
    sender = event.user or _allowed(mote, event.sender)
    if sender is None:
        _ignore(mote, event, 403, "not allowed")
        return
    status, text = _text(event.message)
    if text is None:
        _ignore(mote, event, status, "no text in UTF-8")
        return
    mark = _mark(event)
    if event.expired or _is_known(mark):
        _ignore(mote, event, 200, "expired" if event.expired else "repeated")
    elif _running + mote.agent.replies() >= _AT_ONCE or not has_credit(mote, sender, _COST_MS, _CREDIT_MS):
        _ignore(mote, event, 480, "too many commands")
    else:
        _begin(mote, event, sender, text, mark)


def _ignore(mote: object, event: object, status: int, reason: str) -> None:
    phrase = reason.encode() if status != 200 and status != 403 else b""
    mote.shell.carry_out(mote.agent.respond(event, status, now(), phrase))
    mote.log(WARNING, "message_ignored", sender=event.sender.decode(), reason=reason)


def _begin(mote: object, event: object, sender: bytes, text: str, mark: bytes) -> None:
    global _count, _running
    mote.shell.carry_out(mote.agent.respond(event, 200, now()))
    command = Command(event.sender.decode(), event.user and event.user.decode(), text)
    word = command.words[0].lower() if command.words else ""
    function = mote.commands.get(word)
    is_known = function is not None
    if not is_known:
        from mote.builtin import builtin

        is_known, function = builtin(mote, word, event, sender)
    mote.log(INFO, "command", word=word, sender=command.sender, user=command.user, known=is_known)
    if function is not None:
        asyncio.create_task(_run(mote, function, command, event))
        _running += 1
    _known[_count % _KNOWN] = mark
    _count += 1


def _allowed(mote: object, sender: bytes) -> bytes | None:
    """Return the URI of a sender who is believed without a password, None for others.

    A From names no port (RFC 3261 section 19.1.1).
    """
    try:
        sender = parse_uri(sender).address_of_record()
    except ParseError:  # what stands in From is no URI
        return None
    allowed = mote.settings.get("allow") or mote.settings["to"]
    if type(allowed) is str:  # one alone, as people write it by hand
        allowed = [allowed]
    return sender if sender in [parse_uri(uri.encode()).address_of_record() for uri in allowed] else None


def _text(message: object) -> tuple:
    """Return (0, text), or (the status for a body that isn't text in UTF-8, None)."""
    body = message.body
    content_type = message.get(b"content-type") or b""
    if media_type(content_type) not in (b"text/plain", b""):
        return 200, None  # it is for us to leave out (Content-Disposition, RFC 3261 section 20.11)
    charset = b"".join(content_type.lower().split()).partition(b";charset=")[2].partition(b";")[0].strip(b'"')
    if charset not in _UTF_8 and body and (max(body) > 127 or not min(body)):
        return 415, None  # the same octets might be other words
    try:
        return 0, body.decode()
    except UnicodeError:
        return 400, None


def _mark(event: object) -> bytes:
    """Return 8 octets that repetitions of a message share, then 4 for its From with the tag, and 4 for its CSeq."""
    message = event.message
    parts = (b"\n".join((event.call_id, event.sender, message.body)), message.get(b"from"), message.get(b"cseq"))
    return b"".join([sha256(parts[i]).digest()[: 4 if i else 8] for i in range(3)])


def _is_known(mark: bytes) -> bool:
    """Is it one of the last commands once more? With the same tag, another CSeq makes it another message."""
    return any(known[:8] == mark[:8] and (known[8:12] != mark[8:12] or known == mark) for known in _known)


async def _run(mote: object, function: object, command: Command, event: object) -> None:
    global _running
    failure = None
    try:
        reply = function(command)
        if type(reply) is type(core.cur_task.coro):
            reply = await reply
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # CancelledError is no Exception
        failure = error
        reply = "failed: %r" % error
    _running -= 1
    try:
        if reply is not None and reply != "":
            _reply(mote, event, str(reply).encode())
    except Exception as error:
        mote.log(ERROR, "reply_failed", error=str(error))
    if failure is not None:
        from mote.failure import where

        mote.log(ERROR, "command_failed", word="".join(command.words[:1]), error=repr(failure), at=where(failure))


def _reply(mote: object, event: object, body: bytes) -> None:
    try:
        events = mote.agent.reply(event, mote.agent.new_call_id(), body, now())
    except UsageError:
        from mote.long_reply import reply_fitted

        reply_fitted(mote, event, body)
        return
    mote.shell.carry_out(events)
