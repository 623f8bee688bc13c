"""Boards, what people write to them, and the page that shows it.

An inbox without a page keeps account of boards all the same where another one with the same store may have one.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from sipmote.agent.events import Outcome
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.inbox.boards import CAME_BACK, Boards
from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.escalation import Escalation
from sipmote.inbox.login import Login
from sipmote.inbox.outbox import Outbox
from sipmote.inbox.received import Received
from sipmote.inbox.registrar import Binding, Registrar
from sipmote.inbox.replies import Replies
from sipmote.inbox.store import Store
from sipmote.sip.shell import Shell

Warn = Callable[[str], None]


class Page(Protocol):
    """What shows the store in browsers."""

    async def open(self) -> str:
        """Listen; returns the URL. Raises ToolError."""

    def changed(self) -> None:
        """Something is in the store that wasn't."""

    async def close(self) -> None:
        """Let all browsers go."""


MakePage = Callable[[Store, Boards, Replies, Login | None, Warn], Page]


class Desk:
    """Boards, replies and their page."""

    def __init__(
        self,
        make_page: MakePage | None,
        escalation: Escalation | None,
        registrar: tuple[str, str] | None,
        store: Store,
        ways: tuple[UserAgent, Shell, Outbox],
        login: Login | None,
        warn: Warn,
    ) -> None:
        """Begin nothing yet, within the running loop.

        make_page: None for no page. escalation: None for none. registrar: the URL of Kamailio's database, and the
        domain of its users. login: who may act, None for nobody. Raises StoreError, ToolError.
        """
        self._warn = warn
        self._boards = Boards(store, warn)
        self._beats: list[tuple[Received, Mapping[str, int | str]]] = []
        self._replies = self._page = None
        if make_page is not None:
            self._replies = Replies(*ways, store, self._boards, warn, escalation)
            self._page = make_page(store, self._boards, self._replies, login, warn)
        self._registrar = Registrar(*registrar, self._registered, warn) if registrar else None
        self.add = self._boards.add  # for the commit that stores messages

    async def open(self) -> str | None:
        """Show the page, and send what waits; returns the URL, None without a page. Raises ToolError."""
        if self._page is None or self._replies is None:
            return None
        url = await self._page.open()
        self._replies.start()
        if self._registrar:
            self._registrar.start()
        return url

    def more(self) -> None:
        """Messages have been stored."""
        if self._replies and self._page:
            self._replies.more()
            self._page.changed()

    def beat(self, one: Received, told: Mapping[str, int | str]) -> None:
        """A heartbeat has come, that tells this. All that come together are one commit, so that alerts needn't wait."""
        self._beats.append((one, told))
        if len(self._beats) == 1:
            asyncio.get_running_loop().call_soon(self._note_beats)

    def _note_beats(self) -> None:
        beats, self._beats = self._beats, []
        try:
            self._boards.beat(beats)
        except StoreError as error:
            self._warn(f"heartbeats were not noted: {trouble(error)}")
        self.more()

    def _registered(self, bindings: list[Binding]) -> None:
        self._boards.registered(bindings)
        self.more()

    def has_sent(self, event: MessageReceived) -> bool:
        """Is this request what somebody has written to a board? Then that hasn't reached it, and is told so."""
        try:
            target = self._boards.came_back(event)
        except StoreError:  # the next one who needs it says why
            return False
        if target is not None:
            self._warn(f"what was written to {target} has come back: {CAME_BACK}")
            self.more()
        return target is not None

    def finished(self, outcome: Outcome, trouble: str) -> bool:
        """Take the outcome of what somebody has written; False for that of anything else."""
        is_ours = self._replies is not None and self._replies.finished(outcome, trouble)
        if is_ours and self._page:
            self._page.changed()
        return is_ours

    async def close(self) -> None:
        """End."""
        if self._registrar:
            await self._registrar.close()
        for part in (self._page, self._replies):
            if part is not None:
                await part.close()


def may_have_page(store: Store) -> bool:
    """May another inbox show this store, or this one have done so before? Raises StoreError."""
    return bool(store.db.name or store.db.query("SELECT 1 FROM board LIMIT 1"))
