"""Passing on what the inbox takes: a store-and-forward element (RFC 3428 sections 4, 7 and 11).

The sender hears 202, which promises nothing, and only for what can be sent on. What was stored goes on with its own
Call-ID, From, Date, Expires and content, octet for octet at each attempt, until somebody takes it, refuses it for good,
or it has expired: to each recipient one at a time (RFC 3428 section 8), to several recipients at once, so that one who
doesn't answer holds up nobody else's. A sender who has asked for it in message/cpim is told of a failure (RFC 5438).
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from sipmote.agent.cpim import imdn, imdn_reply
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.errors import AgentError, ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.headers.values import media_type
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.inbox.database import StoreError
from sipmote.inbox.parcels import NOTICE, Due, Parcels
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.store import Store
from sipmote.inbox.turn import Turn
from sipmote.sip.places import Flow
from sipmote.sip.shell import Answer, Shell

POLICIES = ("drop", "send")  # what becomes of a message that expires while it waits
_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 3600.0
_MAX_TRIES = 80  # of a message that never expires, over about three days: a clock that is set makes it no older
_MAX_NOTICES = 10  # attempts, over about two hours
_AT_ONCE = 256  # recipients
_NOTICES_AT_ONCE = 64  # of them for notices, whose ends are of strangers' choosing
_STRANGER_S = 4.0  # how long a place is kept for who has not logged in and doesn't answer
_CLOCK_S = 60.0  # by which the clock jumps if somebody has set it
_WRITE_AGAIN_S = 2.0
_LOOK_S = 1.0  # between two looks at the store, which others may have written to
_HASTENED_S = 15.0  # in which a recipient's own requests bring nothing forward twice
_MAX_HASTENED = 1000
# Final responses that another attempt may change: of who isn't registered now or has a new password, and every 5xx but
# these. Any other is for good.
_PASSING = (401, 403, 404, 407, 408, 480, 486, 491, 600)
_LASTING = (501, 505, 513)
_NO_TEXT: Answer = (400, b"NUL In A Header Field")
_TOO_LARGE: Answer = (513, b"")


class Relay:
    """Sends parcels on. tell: called with an event line for each that has ended or has to wait."""

    def __init__(
        self,
        ua: UserAgent,
        shell: Shell,
        store: Store,
        target: str,
        policy: str,
        tell: Callable[..., None],
    ) -> None:
        """Take up work, within the running loop.

        target: a URI; without a user in it, each parcel goes to the one its request was for. policy: of POLICIES.
        Raises ToolError for a target that is no URI one can send to.
        """
        self._ua = ua
        self._shell = shell
        self._target = target.encode()
        self._policy = policy
        self._tell = tell
        self._due = asyncio.Event()
        self._outcomes: dict[bytes, asyncio.Future[Outcome]] = {}  # by Call-ID
        self._under_way: dict[str, tuple[str, asyncio.Task[None]]] = {}  # by recipient: Call-ID, and who carries it
        self._hastened: OrderedDict[str, float] = OrderedDict()
        self._clock = time.time() - time.monotonic()
        try:
            uri = parse_uri(self._target)
            uri.flow(b"UDP")
        except ParseError as error:
            raise ToolError(f"--relay-to {target}: {error.detail}") from None
        self._user = None if uri.user is None else uri.user.decode()
        self.parcels = Parcels(store, uri.user is None)
        self._turn = Turn(store, "relay")
        self._task = asyncio.get_running_loop().create_task(self._work())

    def refusal(self, one: Received) -> Answer | None:
        """Return the answer to a message that can't be sent on within the budget of RFC 3428 section 8."""
        assert one.parcel
        if "\0" in f"{one.content_type}{one.subject}" or b"\0" in one.parcel.display:
            return _NO_TEXT
        options = _options(one.content_type, None, one.sender, one.parcel)
        target = self._target_for(one.parcel.user)
        try:
            self._ua.fit(target, one.body, "compact", reserve=max(len(one.call_id) - 20, 0), **options)
        except AgentError:
            return _TOO_LARGE
        return None

    def downgrades(self, uri: bytes) -> bool:
        """Is this the sips: URI of a request that we would pass on without TLS? (RFC 3261 section 26.2.2)"""
        return uri[:5].lower() == b"sips:" and self._target[:5].lower() != b"sips:"

    def has_turn(self) -> bool:
        """Is it for us to do the work, and not for another program with the same store?"""
        return self._turn.is_ours()

    def more(self) -> None:
        """Something has been stored."""
        self._due.set()

    def seen(self, sender: str) -> None:
        """A request of this URI has come: what waits for him, if he is a recipient, need not wait any longer."""
        now = time.monotonic()
        with contextlib.suppress(ParseError, StoreError):
            user = self._recipient_of(sender)
            if self._user not in (None, user) or now - self._hastened.get(user, -_HASTENED_S) < _HASTENED_S:
                return
            self._hastened[user] = now
            self._hastened.move_to_end(user)
            if len(self._hastened) > _MAX_HASTENED:
                self._hastened.popitem(last=False)
            self.parcels.hasten(user if self._user is None else None)
            self._due.set()

    def _recipient_of(self, sender: str) -> str:
        """Return as whose a sender's parcels wait. Raises ParseError."""
        return (parse_uri(sender.encode()).user or b"").decode()

    def hasten(self) -> None:
        """Let all that waits be due now."""
        with contextlib.suppress(StoreError):  # told by who works
            self.parcels.hasten(None)
            self._due.set()

    def finished(self, outcome: Outcome) -> bool:
        """Take an outcome; False if it isn't a parcel's."""
        waiting = self._outcomes.pop(outcome.call_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)
        return waiting is not None

    async def _work(self) -> None:
        while True:
            self._due.clear()
            due, pause_s = None, _LOOK_S
            try:
                due = self._next()
            except StoreError as error:
                self._tell("relay_waits", None, status=None, reason=str(error), retry_s=round(_FIRST_PAUSE_S))
                pause_s = _FIRST_PAUSE_S
            if due is not None:
                self._under_way[due.recipient] = due.call_id, asyncio.create_task(self._carry(due))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):  # wait_for() may swallow what close() says
                    await self._due.wait()

    def _next(self) -> Due | None:
        """Return what is due first of all whose recipient and Call-ID are free."""
        if len(self._under_way) >= _AT_ONCE or not self._turn.is_ours():
            return None
        clock = time.time() - time.monotonic()
        if abs(clock - self._clock) > _CLOCK_S:
            self.parcels.shift(round(clock - self._clock))
            self._clock = clock
        notices = sum(recipient.startswith(NOTICE) for recipient in self._under_way) < _NOTICES_AT_ONCE
        return self.parcels.next(self._under_way, [call_id for call_id, _ in self._under_way.values()], notices)

    async def _carry(self, due: Due) -> None:
        """Pass one on, or tell of its failure; the next one for its recipient has to wait until then."""
        try:
            step = await (self._pass_on(due) if due.notice is None else self._give_notice(due, due.notice))
            await self._write(due, step)
        except Exception as error:  # a fault of ours with one message is none of the others'
            self._tell("relay_waits", due.call_id, status=None, reason=str(error), retry_s=round(_FIRST_PAUSE_S))
            await asyncio.sleep(_FIRST_PAUSE_S)
        finally:
            del self._under_way[due.recipient]
            self._due.set()

    async def _write(self, due: Due, step: Callable[[], None]) -> None:
        """Do a step in the store, again until it succeeds: what has been sent is not sent again for want of a disk."""
        told = False
        while True:
            try:
                return step()
            except StoreError as error:
                if not told:
                    self._tell(
                        "relay_waits", due.call_id, status=None, reason=str(error), retry_s=round(_WRITE_AGAIN_S)
                    )
                told = True
            await asyncio.sleep(_WRITE_AGAIN_S)

    async def _pass_on(self, due: Due) -> Callable[[], None]:
        """Send a message on; returns what is to be written down of that."""
        parcel = due.parcel
        expires_at = None if parcel.expires is None else parcel.date + parcel.expires
        if expires_at is not None and time.time() > expires_at and self._policy == "drop":
            return partial(self._end, due, "expired", None)
        options = _options(due.content_type, due.subject, due.sender, parcel)
        try:
            flow = await self._flow_for(due)
            outcome = await self._send(due, self._target_for(parcel.user), due.body, flow=flow, **options)
        except AgentError as error:
            return partial(self._end, due, "failed", None, reason=str(error))
        except OSError as error:  # nobody knows the way at the moment
            return partial(self._wait, due, 0, 503, error.strerror or str(error))
        reason = outcome.reason.decode("utf-8", "backslashreplace")
        if self._may_change(due, outcome.status):
            return partial(self._wait, due, retry_after_s(outcome.retry_after), outcome.status, reason)
        return partial(self._end, due, outcome.name, outcome.status)

    def _may_change(self, due: Due, status: int) -> bool:
        """Can another attempt have another final response?"""
        return _is_passing(status)

    def _target_for(self, user: str) -> bytes:
        if self._user is not None or not user:
            return self._target
        scheme, _, host = self._target.partition(b":")
        return b"%s:%s@%s" % (scheme, user.encode(), host)

    async def _flow_for(self, due: Due) -> Flow | None:
        """Return the flow that a message goes on to, None for where its URI leads. Raises OSError."""
        return None

    async def _send(self, due: Due, target: bytes, body: bytes, **options: Any) -> Outcome:
        call_id = due.call_id.encode()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._outcomes[call_id] = outcome
        try:
            await self._shell.send(call_id, target, body, **options)
            return await outcome
        finally:
            self._outcomes.pop(call_id, None)

    def _wait(self, due: Due, at_least_s: int, status: int, reason: str) -> None:
        """Put a parcel back, for longer each time."""
        if due.tries >= _MAX_TRIES:
            self._end(due, "failed", status, reason=reason)
            return
        pause_s = max(_pause_s(due), at_least_s)
        self.parcels.postpone(due, time.time() + pause_s)
        self._tell("relay_waits", due.call_id, status=status, reason=reason, retry_s=round(pause_s))

    def _end(self, due: Due, outcome: str, status: int | None, **more: Any) -> None:
        """It is over with a parcel, but that its sender may have to be told."""
        notice_id = self._ua.new_call_id()
        failed = outcome not in ("delivered", "accepted")
        notice = self._notice(due, outcome, status, notice_id) if failed else None
        if notice is None:
            self.parcels.end(due, outcome)
        else:
            self.parcels.fail(due, outcome, notice, notice_id.decode())
        self._tell("relayed", due.call_id, outcome=outcome, status=status, **more)

    def _notice(self, due: Due, outcome: str, status: int | None, call_id: bytes) -> bytes | None:
        """Return the notice of a failure, None for who is not told; brief for strangers, or where it doesn't fit."""
        sender = self._sender()
        for is_brief in (not due.login, True):
            notice = _notice(due, outcome, status, sender, call_id, is_brief)
            with contextlib.suppress(AgentError):
                if notice is not None:
                    self._ua.fit(due.sender.encode(), notice, "compact", content_type=imdn.CPIM, sender=sender)
                break
        return notice

    async def _give_notice(self, due: Due, notice: bytes) -> Callable[[], None]:
        """Tell the sender of a message that it failed; once he has taken or refused that, it is over.

        Who has not logged in may be somebody whom a stranger has named: he gets one attempt, of so many octets.
        """
        ration = None if due.login else 2 * due.parcel.octets
        options = {"content_type": imdn.CPIM, "compact": True, "fields": b"Auto-Submitted: auto-replied\r\n"}
        passing, reason, is_told = False, "", True
        try:
            sender, asker = self._sender(), due.sender.encode()
            flow = await self._way_back(asker, due.flow)
            async with asyncio.timeout(None if due.login else _STRANGER_S):
                outcome = await self._send(due, asker, notice, flow=flow, ration=ration, sender=sender, **options)
            passing, reason = _is_passing(outcome.status), f"{outcome.status}"
            is_told = not passing
        except TimeoutError:
            is_told, reason = False, "no answer"
        except (AgentError, OSError) as error:  # nobody could ever be told, or nobody knows the way at the moment
            is_told, passing, reason = False, isinstance(error, OSError), str(error)
        if passing and due.login and due.tries < _MAX_NOTICES:
            return partial(self.parcels.postpone, due, time.time() + _pause_s(due))
        if not is_told:
            self._tell("relay_notice_failed", due.call_id, outcome="sender not told", reason=reason)
        return partial(self.parcels.end, due, due.outcome or "failed")

    async def _way_back(self, asker: bytes, flow: Flow) -> Flow | None:
        return await self._shell.way_back(asker, flow)

    def _sender(self) -> bytes:
        """Return who tells of failures: our address-of-record, or just our host where nobody has given us one."""
        aor = self._ua.aor
        return b"sip:" + self._ua.uac.sent_by if aor.endswith(b"@localhost") else aor

    async def close(self) -> None:
        """Stop; what waits is in the store."""
        tasks = [self._task, *(task for _, task in self._under_way.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._turn.close()


def _options(content_type: str, subject: str | None, sender: str, parcel: Parcel) -> dict[str, Any]:
    """Return what goes on with a message as it came, for UserAgent.send() and fit().

    subject: of a message from an older store, whose fields have none.
    """
    return {
        "content_type": content_type.encode() or None,
        "subject": subject.encode() if subject and b"Subject: " not in parcel.fields else None,
        "sender": sender.encode(),
        "display": b'"%s"' % parcel.display if parcel.display else None,
        "date": parcel.date,
        "expires": parcel.expires,
        "max_forwards": parcel.max_forwards,
        "fields": parcel.fields,
        "compact": True,  # what came may have used up the budget already
    }


def _is_passing(status: int) -> bool:
    return status in _PASSING or (500 <= status < 600 and status not in _LASTING)


def _pause_s(due: Due) -> float:
    return float(min(_FIRST_PAUSE_S * 2 ** min(due.tries, 10), _LONGEST_PAUSE_S))


def _notice(due: Due, outcome: str, status: int | None, ours: bytes, call_id: bytes, is_brief: bool) -> bytes | None:
    """Return the notice of a failure (RFC 5438), None for a sender who hasn't asked for one or is an automaton."""
    automatic = b"Auto-Submitted: " in due.parcel.fields.replace(b"Auto-Submitted: no\r\n", b"")
    if automatic or media_type(due.content_type.encode()) != imdn.CPIM:
        return None
    try:
        cpim = parse_cpim(due.body, (imdn.NAMESPACE,))
    except ParseError:
        return None
    if b"negative-delivery" not in imdn_reply.asked(cpim):
        return None
    _, failed, forbidden, error = imdn_reply.STATUSES
    said = forbidden if status in (403, 603) else error if status is None and outcome == "failed" else failed
    asker = cpim.address(b"From") or due.sender.encode()
    return imdn_reply.build_notification(cpim, said, ours, asker, call_id, int(time.time()), is_brief)
