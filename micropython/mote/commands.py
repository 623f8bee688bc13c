"""What comes to a board: messages, whose first word names a command, and news of its registration."""

import asyncio

from agent.errors import AgentError
from agent.events import MessageReceived
from agent.uri import parse_uri
from mote.log import ERROR, INFO, WARNING
from mote.net.shell import now


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


def take(mote: object, event: object) -> None:
    """Deal with an event of the core that is neither a sending nor an outcome."""
    if type(event) is MessageReceived:
        _receive(mote, event)
    elif hasattr(event, "flow"):
        streams = mote.shell.streams()
        if event.flow in streams.connections:
            streams.lost(event.flow, streams.connections[event.flow], b"no answer to pings")
    elif hasattr(event, "expires"):
        mote.log(INFO, "registered", expires=event.expires)
    else:
        mote.log(WARNING, "not_registered", status=event.status, retry_s=event.pause_s)


def _receive(mote: object, event: MessageReceived) -> None:
    """Answer a MessageReceived at once and start its command. A word that names none is logged, never answered."""
    if mote.settings["notify"]:
        from mote.notify import take

        if take(mote, event):
            return
    taken = event.user is not None or _is_allowed(mote, event.sender)
    answer(mote, event, 200 if taken else 403)
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
        function = _help(mote)
    mote.log(INFO, "command", word=word, sender=command.sender, user=command.user, known=function is not None)
    if function is not None:
        asyncio.create_task(_run(mote, function, command, event))


def answer(mote: object, received: MessageReceived, status: int) -> None:
    """Send the final response to a MessageReceived."""
    mote.shell.carry_out(mote.agent.respond(received, status, now()))


async def _reply(mote: object, received: MessageReceived, text: str) -> None:
    """Send text to the sender of a MessageReceived: by the proxy, or else the way it came."""
    flow = None if mote.settings["proxy"] else received.flow
    call_id = mote.agent.new_call_id()
    mote.log_outcome(await mote.shell.send(call_id, received.sender, text.encode(), flow=flow))


def _is_allowed(mote: object, sender: bytes) -> bool:
    """Is this one of the senders that are believed without a password? A From names no port (RFC 3261 19.1.1)."""
    allowed = [parse_uri(uri.encode()).address_of_record() for uri in mote.settings["allow"]]
    return parse_uri(sender).address_of_record() in allowed


def _help(mote: object) -> object:
    async def list_commands(command: Command) -> str:
        return "commands: " + " ".join(sorted(mote.commands))

    return list_commands


async def _run(mote: object, function: object, command: Command, event: object) -> None:
    try:
        reply = await function(command)
    except Exception as error:
        mote.log(ERROR, "command_failed", word=command.words[0], error=repr(error))
        reply = "failed: %r" % error
    if not reply:
        return
    try:
        await _reply(mote, event, reply)
    except AgentError as error:
        mote.log(ERROR, "reply_failed", error=str(error))
