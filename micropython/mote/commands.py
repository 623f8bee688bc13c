"""What comes to a board: messages whose first word names a command."""

import asyncio

from agent.errors import ParseError
from agent.uri import parse_uri
from mote.log import ERROR, INFO, WARNING
from mote.net.sockets import now


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
    """Answer a MessageReceived at once and start its command. A word that names none is logged, never answered."""
    status = 0
    if mote.settings.get("notify"):
        from mote.notify import answer_of

        status = answer_of(mote, event)
    taken = event.user is not None or _is_allowed(mote, event.sender)
    answer = status or (200 if taken else 403)
    mote.shell.carry_out(mote.agent.respond(event, answer, now()))
    if status:
        return
    try:
        command = Command(event.sender.decode(), event.user and event.user.decode(), event.message.body.decode())
    except UnicodeError:
        taken = False
    if not taken or event.expired:
        mote.log(WARNING, "message_ignored", sender=event.sender.decode(), expired=event.expired)
        return
    word = command.words[0].lower() if command.words else ""
    function = mote.commands.get(word)
    if word == "help" and function is None:
        function = lambda _: "commands: " + " ".join(sorted(mote.commands))  # noqa: E731
    mote.log(INFO, "command", word=word, sender=command.sender, user=command.user, known=function is not None)
    if function is not None:
        asyncio.create_task(_run(mote, function, command, event))


def _is_allowed(mote: object, sender: bytes) -> bool:
    """Is this one of the senders that are believed without a password? A From names no port (RFC 3261 19.1.1)."""
    try:
        sender = parse_uri(sender).address_of_record()
    except ParseError:  # what stands in From is no URI
        return False
    allowed = mote.settings.get("allow") or mote.settings["to"]
    if type(allowed) is str:  # one alone, as people write it by hand
        allowed = [allowed]
    return sender in [parse_uri(uri.encode()).address_of_record() for uri in allowed]


async def _run(mote: object, function: object, command: Command, event: object) -> None:
    failure = None
    try:
        reply = function(command)
        if hasattr(reply, "send"):  # a coroutine
            reply = await reply
    except Exception as error:
        failure = error
        reply = "failed: %r" % error
    try:
        if reply:
            mote.shell.carry_out(mote.agent.reply(event, mote.agent.new_call_id(), reply.encode(), now()))
    except Exception as error:
        mote.log(ERROR, "reply_failed", error=str(error))
    if failure is not None:
        mote.log(ERROR, "command_failed", word=command.words[0], error=repr(failure))
