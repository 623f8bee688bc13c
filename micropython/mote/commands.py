"""What comes to a board: messages whose first word names a command."""

import asyncio
from asyncio import core
from gc import collect

collect()
from mote.limits import allowed, has_credit, mark_of, seen, write

collect()
from agent.compat import const
from agent.errors import UsageError
from mote.log import ERROR, INFO
from mote.net.sockets import now

_AT_ONCE = const(8)  # commands that run or whose answer is on its way
_COST_MS = const(1000)  # a command a second for each sender
_CREDIT_MS = const(9000)  # and ten at once

_running = 0
_begun = []  # [event, sender, text, mark, is that on flash?] of those that begin; they stay while memory is short


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
    for begun in _begun:
        if begun[0] is event:
            _begin(mote, begun)
            return
    if mote.settings.get("protect") or mote.settings.get("require"):
        from mote.unprotect import unprotect

        if unprotect(mote, event, _take_opened):
            return
    _take_opened(mote, event, False)


def _take_opened(mote: object, event: object, is_repeated: bool) -> None:
    """As take_message(), of a message that isn't protected, or not any more.

    is_repeated: it was taken before, and has no mark: it wasn't begun, or 16 others came since.
    """
    if is_repeated:
        from mote.unmarked import interrupted

        interrupted(mote, event, event.message.mark, _reply)
        return
    if mote.settings.get("notify"):
        from mote.notify import answer_of

        status = answer_of(mote, event)
        if status:
            mote.shell.carry_out(mote.agent.respond(event, status, now()))
            return
    sender = event.user or allowed(mote, event.sender)
    if sender is None:
        fault = 403, "not allowed"
    elif mote.settings.get("require") and not hasattr(event.message, "mark"):
        fault = 403, "a command must be %s (setting require)" % mote.settings["require"]
    elif event.expired:
        fault = 200, "expired"
    else:
        fault = _take(mote, event, sender)
    if fault is not None:
        from mote.ignored import ignore

        ignore(mote, event, *fault)


def _take(mote: object, event: object, sender: bytes) -> tuple | None:
    """Begin a command of who may; returns (status, reason) for what isn't one."""
    mark = mark_of(event)
    known = seen(mark, event.user is not None)
    if known == b"":
        return 200, "repeated"
    payer = sender if event.user else b"%s %s" % (sender, event.flow[1])  # anybody can write this name, elsewhere
    if under_way(mote) >= _AT_ONCE or not has_credit(mote, payer, _COST_MS, _CREDIT_MS):
        return 480, "too many commands"
    if known:
        from mote.unmarked import interrupted

        interrupted(mote, event, known, _reply)
        return None
    text, fault = _read(event.message)
    if text is not None:
        begun = [event, sender, text, mark, False]
        _begun.append(begun)
        _begin(mote, begun)
    return fault  # type: ignore[no-any-return]


def under_way(mote: object) -> int:
    """Return how many commands run, or have an answer that isn't taken yet."""
    return _running + mote.agent.replies()


def _begin(mote: object, begun: list) -> None:
    """Write the mark down, answer, and start the command.

    After a MemoryError it is called again, and does nothing twice. What is left to do has its own task, behind which
    the datagram is gone.
    """
    global _running
    event, sender, text, mark, is_marked = begun
    command = Command(event.sender.decode(), event.user and event.user.decode(), text)
    word = command.words[0].lower() if command.words else ""
    function = mote.commands.get(word)
    is_known = function is not None
    if not is_known:
        from mote.builtin import builtin

        is_known, function = builtin(mote, word, event, sender)
    if not is_marked:
        try:
            if hasattr(event.message, "mark"):
                event.message.remember()
            write(mark, function is None)
        except OSError as error:
            from mote.unmarked import can_do_without

            if not can_do_without(mote, event, word, error):
                _begun.remove(begun)
                return
        begun[4] = True
    events = mote.agent.respond(event, 200, now())
    event = type(event)(None, *event[1:])  # an answer doesn't need the message
    asyncio.create_task(_run(mote, function, command, event, mark, is_known))
    _running += 1
    _begun.remove(begun)
    mote.shell.carry_out(events)


def _read(message: object) -> tuple:
    """Return (text, None), or (None, (status, reason)) for a body that isn't text in UTF-8."""
    try:
        if message.get(b"content-type") == b"text/plain":
            return message.body.decode(), None
    except UnicodeError:
        pass
    from mote.ignored import read

    return read(message)


async def _run(mote: object, function: object, command: Command, event: object, mark: bytes, is_known: bool) -> None:
    """Run the function of a command, None for nothing, and answer; the log has that it came, and what went wrong."""
    global _running
    word = "".join(command.words[:1]).lower()
    while True:
        try:
            mote.log(INFO, "command", word=word, sender=command.sender, user=command.user, known=is_known)
            break
        except MemoryError as error:
            await mote.shell.failed(error)
    reply = failure = None
    parts = []  # of the answer, that are still to be sent
    try:
        if function is not None:
            reply = function(command)
            if type(reply) is type(core.cur_task.coro):
                reply = await reply
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # CancelledError is no Exception
        failure = error
    _running -= 1
    while function is not None:
        try:
            if failure is not None:
                reply, failure = _failed(mote, word, failure), None
            if reply is not None and reply != "":
                _reply(mote, event, str(reply).encode(), parts)
            reply = None
            write(mark, True)  # what a power cut comes before was interrupted, if only in its answer
            break
        except MemoryError as error:
            await mote.shell.failed(error)
        except Exception as error:
            mote.log(ERROR, "reply_failed", error=str(error))
            break


def _failed(mote: object, word: str, failure: BaseException) -> str:
    """Log what a command's function has raised; returns the answer."""
    from mote.failure import told

    fields = told(failure)
    mote.log(ERROR, "command_failed", word=word, **fields)
    return "failed: " + fields["error"]  # type: ignore[no-any-return]


def _reply(mote: object, event: object, body: bytes, parts: list) -> None:
    """Send body to who sent a MessageReceived. parts: [], and what it is after a MemoryError.

    Raises agent.errors.UsageError.
    """
    try:
        if mote.settings.get("protect"):
            raise UsageError
        events = mote.agent.reply(event, mote.agent.new_call_id(), body, now())
    except UsageError:
        from mote.long_reply import reply_fitted

        reply_fitted(mote, event, body, parts)
        return
    mote.shell.carry_out(events)
