"""Passing on what the inbox takes: a store-and-forward element (RFC 3428 sections 4, 7 and 11).

The sender hears 202, which promises nothing. What was stored is sent on with its own From, Date, Expires and content,
octet for octet, until somebody takes it, refuses it, or it has expired: to each recipient one at a time (RFC 3428
section 8), to several recipients at once, so that one who doesn't answer holds up nobody else's.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sipmote.agent.errors import AgentError, ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.inbox.store import Store
from sipmote.sip.shell import Shell

POLICIES = ("drop", "send")  # what becomes of a message that expires while it waits
_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 3600.0
_GIVE_UP_S = 3 * 86400.0  # for a message that never expires
_AT_ONCE = 64  # recipients
_LOOK_S = 30.0  # how long nothing may be due before the store is asked again
_TEMPORARY = (408, 480, 486, 491)  # final responses that another attempt may change, and every 5xx but these
_LASTING = (501, 505, 513)


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
        self._store = store
        self._target = target.encode()
        self._policy = policy
        self._tell = tell
        self._due = asyncio.Event()
        self._outcomes: dict[bytes, asyncio.Future[Outcome]] = {}  # by Call-ID
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by user
        try:
            uri = parse_uri(self._target)
            uri.flow(b"UDP")
        except ParseError as error:
            raise ToolError(f"--relay-to {target}: {error.detail}") from None
        self._to_each = uri.user is None
        self._task = asyncio.get_running_loop().create_task(self._work())

    def more(self) -> None:
        """Something has been stored."""
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
            try:
                parcel = self._next()
            except sqlite3.Error as error:  # it may be well again when we look next
                self._tell("relay_waits", "", status=None, reason=str(error), retry_s=round(_LOOK_S))
                parcel = None
            if parcel is not None and parcel["next_at"] <= time.time():
                user = parcel["user"] if self._to_each else ""
                self._under_way[user] = asyncio.create_task(self._carry(parcel, user))
                continue
            pause_s = _LOOK_S if parcel is None else min(parcel["next_at"] - time.time(), _LOOK_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause_s, 0)):  # wait_for() may swallow what close() says
                    await self._due.wait()

    def _next(self) -> dict[str, Any] | None:
        """Return the parcel that is due first of those for whom none is under way."""
        if len(self._under_way) >= (_AT_ONCE if self._to_each else 1):
            return None
        return self._store.next_parcel(self._under_way)

    async def _carry(self, parcel: dict[str, Any], user: str) -> None:
        """Pass a parcel on; the next one for the same user has to wait until then."""
        try:
            await self._pass_on(parcel)
        except Exception as error:  # its state can't be written, and not to repeat it at once is all we can do
            self._tell("relay_waits", parcel["call_id"], status=None, reason=repr(error), retry_s=round(_FIRST_PAUSE_S))
            await asyncio.sleep(_FIRST_PAUSE_S)
        finally:
            del self._under_way[user]
            self._due.set()

    async def _pass_on(self, parcel: dict[str, Any]) -> None:
        expires_at = None if parcel["expires"] is None else parcel["date"] + parcel["expires"]
        if expires_at is not None and time.time() > expires_at and self._policy == "drop":
            self._end(parcel, "expired", None)
            return
        try:
            outcome = await self._send(parcel)
        except AgentError as error:
            self._end(parcel, "failed", None, reason=str(error))
            return
        except OSError as error:  # nobody knows the way at the moment
            self._wait(parcel, 0, 503, error.strerror or str(error))
            return
        status = outcome.status
        if status in _TEMPORARY or (500 <= status < 600 and status not in _LASTING):
            reason = outcome.reason.decode("utf-8", "backslashreplace")
            self._wait(parcel, retry_after_s(outcome.retry_after), status, reason)
        else:
            self._end(parcel, outcome.name, status)

    async def _send(self, parcel: dict[str, Any]) -> Outcome:
        target = self._target
        if self._to_each and parcel["user"]:
            scheme, _, host = target.partition(b":")
            target = b"%s:%s@%s" % (scheme, parcel["user"].encode(), host)
        call_id = self._ua.new_call_id()
        subject = parcel["subject"]
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._outcomes[call_id] = outcome
        try:
            await self._shell.send(
                call_id,
                target,
                parcel["body"],
                content_type=parcel["content_type"].encode(),
                expires=parcel["expires"],
                compact=True,  # what came may have used up the budget already
                subject=subject.encode() if subject else None,
                date=parcel["date"],
                max_forwards=parcel["max_forwards"],
                sender=parcel["sender"].encode(),
            )
            return await outcome
        finally:
            self._outcomes.pop(call_id, None)

    def _wait(self, parcel: dict[str, Any], at_least_s: int, status: int, reason: str) -> None:
        """Put a parcel back, for longer each time."""
        if time.time() - parcel["received"] > _GIVE_UP_S:
            self._end(parcel, "failed", status, reason=reason)
            return
        pause_s = max(min(_FIRST_PAUSE_S * 2 ** min(parcel["tries"], 10), _LONGEST_PAUSE_S), at_least_s)
        self._store.postpone(parcel["id"], time.time() + pause_s)
        self._tell("relay_waits", parcel["call_id"], status=status, reason=reason, retry_s=round(pause_s))

    def _end(self, parcel: dict[str, Any], outcome: str, status: int | None, **more: Any) -> None:
        self._store.end_parcel(parcel["id"], outcome)
        self._tell("relayed", parcel["call_id"], outcome=outcome, status=status, **more)

    async def close(self) -> None:
        """Stop; what waits is in the store."""
        tasks = [self._task, *self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
