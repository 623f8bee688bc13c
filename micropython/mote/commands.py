"""What comes to a board: messages whose first word names a command."""

import asyncio
from asyncio import core

from agent.compat import const
from agent.errors import ParseError, UsageError
from agent.uri import parse_uri
from mote.limits import has_credit, is_known, mark_of, remember
from mote.log import ERROR, INFO
from mote.net.sockets import now

_AT_ONCE = const(8)  # commands that run or whose answer is on its way
_COST_MS = const(1000)  # a command a second for each sender
_CREDIT_MS = const(9000)  # and ten at once

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
    mark = sender and mark_of(event)
    text = None
    if sender is None:
        fault = 403, "not allowed"
    elif event.expired:
        fault = 200, "expired"
    elif is_known(mark):
        fault = 200, "repeated"
    elif _running + mote.agent.replies() >= _AT_ONCE or not has_credit(mote, sender, _COST_MS, _CREDIT_MS):
        fault = 480, "too many commands"
    else:
        text, fault = _read(event.message)
    if text is None:
        from mote.ignored import ignore

        ignore(mote, event, *fault)
    else:
        _begin(mote, event, sender, text, mark)


def _begin(mote: object, event: object, sender: bytes, text: str, mark: bytes) -> None:
    global _running
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
    remember(mark)


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


def _read(message: object) -> tuple:
    """Return (text, None), or (None, (status, reason)) for a body that isn't text in UTF-8."""
    try:
        if message.get(b"content-type") == b"text/plain":
            return message.body.decode(), None
    except UnicodeError:
        pass
    from mote.ignored import read

    return read(message)


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
