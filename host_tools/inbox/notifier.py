"""Tells senders that asked for it that their messages were delivered (RFC 5438), without ever feeding a loop."""

import asyncio
import time
from collections.abc import Callable

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim import imdn_reply as receipt
from sipmote.agent.cpim.reader import Cpim
from sipmote.agent.errors import AgentError, UsageError
from sipmote.agent.events import Outcome
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.inbox.outbox import Outbox, Way
from sipmote.sip.shell import Shell

_AT_ONCE = 8  # whose way is looked up: a name that nobody answers for holds up an eighth
_PAUSE_S = 0.02 * _AT_ONCE  # behind a notification: 50 a second at most
_MAX_WAITING = 200  # notifications; who asks for more at once isn't told
_MAX_REFUSED = 1000  # peers that refused one
_UNSUPPORTED = 415


def wanted(event: MessageReceived, cpim: Cpim | None) -> bool:
    """Is a notification of delivery asked for, by somebody who isn't an automaton that would answer in its turn?

    A notification asks for none itself. Auto-Submitted (RFC 3834) marks what other automata have sent.
    """
    automatic = (event.message.get(b"auto-submitted") or b"no").lower() != b"no"
    return cpim is not None and not automatic and b"positive-delivery" in receipt.asked(cpim)


class Notifier:
    """Sends notifications in their order, but for those that wait until DNS says where they go."""

    def __init__(self, ua: UserAgent, shell: Shell, outbox: Outbox, warn: Callable[[str], None]) -> None:
        """Begin to work, within the running loop; warn is called with what went wrong."""
        self._ua = ua
        self._shell = shell
        self._outbox = outbox
        self._warn = warn
        self._queue: asyncio.Queue[tuple[MessageReceived, Cpim]] = asyncio.Queue(_MAX_WAITING)
        self._pending: dict[bytes, bytes] = {}  # Call-ID of a notification -> URI key of the peer
        self._refused: dict[bytes, None] = {}  # peers, in the order they refused
        self._tasks = [asyncio.create_task(self._work()) for _ in range(_AT_ONCE)]
        self._overrun = False

    def delivered(self, event: MessageReceived, cpim: Cpim) -> None:
        """Tell the sender of this message that it was delivered, when its turn has come."""
        if self._queue.full() and not self._overrun:
            self._warn("more notifications are asked for than we give; some senders aren't told")
        self._overrun = self._queue.full()
        if not self._overrun:
            self._queue.put_nowait((event, cpim))

    def finished(self, outcome: Outcome) -> bool:
        """Take the outcome of a notification; False for that of anything else. Who refuses its type gets no other."""
        peer = self._pending.pop(outcome.call_id, None)
        if peer is not None and outcome.status == _UNSUPPORTED:
            if len(self._refused) >= _MAX_REFUSED:
                del self._refused[next(iter(self._refused))]
            self._refused[peer] = None
        return peer is not None

    async def _work(self) -> None:
        while True:
            event, cpim = await self._queue.get()
            try:
                await self._send(event, cpim)
            except (AgentError, ToolError, OSError) as error:
                self._warn(f"no notification for {event.sender.decode(errors='replace')}: {error}")
            except Exception as error:  # a fault of ours: who comes next may get his
                self._warn(f"no notification for {event.sender.decode(errors='replace')}: {error!r}")
            await asyncio.sleep(_PAUSE_S)

    async def _send(self, event: MessageReceived, cpim: Cpim) -> None:
        peer = parse_uri(event.sender).key()
        if peer in self._refused:
            return
        if event.user is not None:  # he has answered our challenge, so he is where it went
            self._shell.rations.prove(event.flow)
        way = await self._outbox.way(event.sender, event)
        call_id = self._ua.new_call_id()
        body = self._build(event, cpim, way, call_id)
        self._pending[call_id] = peer
        body, options = self._outbox.protected(event.sender, way.sender, call_id, imdn.CPIM, body)
        options |= {"compact": True, "sender": way.sender}
        if not self._may_ask(event):
            options["is_away"] = True
        try:
            await self._shell.send(call_id, event.sender, body, flow=way.flow, ration=way.ration, **options)
        except BaseException:
            self._pending.pop(call_id, None)
            raise

    def _may_ask(self, event: MessageReceived) -> bool:
        """May who gets a notification ask for our password? A server of ours may, and who has shown us his own."""
        is_served = self._ua.registration is not None and self._shell.is_of_our_host(event.sender)
        return event.user is not None or self._shell.is_guided or is_served

    def _build(self, event: MessageReceived, cpim: Cpim, way: Way, call_id: bytes) -> bytes:
        """Return a notification: in full, or brief where octets are short. Raises UsageError for a brief one too long.

        They are short within the budget, which has to hold credentials, too, and within a ration.
        """
        asker = cpim.address(b"From") or event.sender
        for is_brief in (way.ration is not None, True):
            body = receipt.build_notification(
                cpim, receipt.STATUSES[0], way.sender, asker, call_id, int(time.time()), is_brief
            )
            try:
                self._ua.fit(event.sender, body, "compact", content_type=imdn.CPIM, sender=way.sender)
                break
            except UsageError:
                if is_brief:
                    raise
        return body

    async def close(self) -> None:
        """Stop; what waits is not sent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
