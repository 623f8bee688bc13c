"""The inbox itself: what is done with messages that come, and who does it."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sipmote.agent.auth.server import Authenticator
from sipmote.agent.errors import AgentError, ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.registration import Registered, RegistrationLost
from sipmote.agent.registration.failure import pause_s
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import Uri, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.inbox.addressees import Addressees
from sipmote.inbox.asserted import asserted
from sipmote.inbox.database import StoreError, Unstorable, trouble
from sipmote.inbox.desk import Desk, may_have_page
from sipmote.inbox.exec import Runners
from sipmote.inbox.keyboard import Keyboard
from sipmote.inbox.login import Login
from sipmote.inbox.notifier import Notifier, wanted
from sipmote.inbox.options import Options
from sipmote.inbox.orphans import Orphans
from sipmote.inbox.outbox import Outbox
from sipmote.inbox.postponed import Postponed
from sipmote.inbox.received import Parcel, Received, describe, pack
from sipmote.inbox.refusals import UNDECIPHERABLE, Refusals
from sipmote.inbox.relay import Relay
from sipmote.inbox.retention import FOR_EVER, Retention
from sipmote.inbox.screen import Screen
from sipmote.inbox.showing import Showing
from sipmote.inbox.store import Store
from sipmote.inbox.text import inflate
from sipmote.inbox.workers import Workers
from sipmote.people import user_name
from sipmote.printer import Printer
from sipmote.sip.clock import now_ms, wall_clock
from sipmote.sip.heard import Heard
from sipmote.sip.places import Flow, Hosts
from sipmote.sip.reader import Message
from sipmote.sip.reasons import fault, reason_of
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Carrier, Event, Shell
from sipmote.smime.guard import guard

if TYPE_CHECKING:  # loaded for who asks for S/MIME, or talks
    from sipmote.inbox.prompt import Prompt

_KEEP = 32768  # transactions remembered, of 1 KiB on average. Beyond them the store knows the twins
_BINDING_S = 600
_UNREGISTER_S = 2.0
_DAY_S = 86400
_WATCH_S = 10.0  # between two looks at the files of certificates
_EARLIER = 10  # messages that a person sees at the start
_OK: Answer = (200, b"")
_ACCEPTED: Answer = (202, b"")
_UNSUPPORTED_SCHEME: Answer = (416, b"")
_LOOP_DETECTED: Answer = (482, b"")
_TOO_MANY_HOPS: Answer = (483, b"")
_SERVER_ERROR: Answer = (500, b"")  # a fault of ours, with this message alone
_SERVICE_UNAVAILABLE: Answer = (503, b"")  # "come back later"


class Inbox:
    """The application behind the shell: it stores, answers, shows, and lets others run commands, notify and relay."""

    def __init__(
        self, options: Options, store: Store, screen: Screen, printer: Printer, quit: Callable[[], None]
    ) -> None:
        """Make all that the options ask for, within the running loop; raises ToolError and AgentError.

        quit: a person at the prompt wants to end.
        """
        self._options = options
        self._store = store
        self._screen = screen
        self._loop = asyncio.get_running_loop()
        self._guard = guard()
        self._refusals = Refusals(options, self._guard, screen)
        self._workers, self._orphans = self._make_workers()
        self._login = self._make_login(options.users) if options.users else None
        self._ua = _user_agent(options, self._login)
        self._heard = Heard(b"REGISTER")
        self._shell = self._make_shell()
        self._addressees = Addressees(options.aor if options.registers else None, options.domains)
        self._owner = Addressees(options.aor, options.domains)  # of keys: what is protected was meant for somebody
        self._undeciphered = Postponed(lambda event: self._shell.answer(event, UNDECIPHERABLE))
        self._relay = self._make_relay() if options.relays else None
        login = options.credentials[0][1] if options.credentials else None
        self._told_ends = 0  # the day
        outbox = Outbox(self._shell, options.aor, options.domains, options.proxy, login, self._guard)
        self._notifier = Notifier(self._ua, self._shell, outbox, screen.warning) if options.notifies else None
        self._desk = self._make_desk(outbox)
        parts = (*self._workers, self._relay and self._relay.parcels, self._desk)
        self._queues = [part.add for part in parts if part]
        self._keyboard = None
        if options.reads_stdin:
            self._keyboard = Keyboard(self._ua, self._shell, outbox, screen, self._show_earlier, quit)
        self._prompt = _prompt(self._keyboard, quit, printer) if self._keyboard and options.prompts else None
        self._store_failed = False
        self._showing = Showing(store, screen, printer)
        self._unbound = asyncio.Event()
        self._registering: asyncio.Task[None] | None = None
        self._watcher: asyncio.TimerHandle | None = None
        self._retention = Retention(store, options.keep)

    def _make_desk(self, outbox: Outbox) -> Desk | None:
        """Return what keeps account of boards, None where nobody will ever ask."""
        options = self._options
        if options.page is None and (options.relays or not may_have_page(self._store)):
            return None
        ways = (self._ua, self._shell, outbox)
        registrar = (options.registrar, options.domains[0].decode()) if options.registrar else None
        return Desk(options.page, options.escalation, registrar, self._store, ways, self._login, self._screen.warning)

    def _make_workers(self) -> tuple[list[Workers], Orphans]:
        """Return what does something for each message, and what looks after what others have left to do."""
        options = self._options
        workers: list[Workers] = []
        if options.command:
            workers.append(Runners(options.command, self._store, self._screen))
        if options.webhooks:
            from sipmote.inbox.webhook import Webhook

            secret = options.webhook_secret
            workers += [Webhook(url, secret, self._store, self._screen) for url in options.webhooks]
        return workers, Orphans(self._store, [worker.runs.task for worker in workers], self._screen.warning)

    def _make_shell(self) -> Shell:
        options = self._options
        wires = (self._heard, *options.wires) if options.registers else options.wires
        resolver = Resolver(server=options.dns)
        return Shell(
            self._ua,
            self,
            options.tls,
            resolver,
            options.proxy,
            wires=wires,
            zones=options.zones,
            carriers=self._carriers(),
        )

    def _make_login(self, users: str) -> Login:
        options = self._options
        return Login(
            users,
            options.realm,
            _KEEP,
            self._screen.warning,
            is_strict=options.strict,
            known=lambda message, flow: self._whose(flow) or asserted(message, flow, options.trusted_proxies),
        )

    def _make_relay(self) -> Relay:
        target, policy = self._options.relay_to or "", self._options.relay_expired
        return Relay(self._ua, self._shell, self._store, target, policy, self._screen.relay)

    def _whose(self, flow: Flow) -> bytes | None:
        """Return who is at the other end of a flow, None where anybody may be."""
        return None

    def _carriers(self) -> Mapping[bytes, Carrier]:
        """Return what carries messages beside sockets."""
        return {}

    def _pack(self, event: MessageReceived, received: float) -> Parcel | None:
        """Return what passing a message on takes, None where it has come too far."""
        return pack(event, received)

    async def open(self) -> None:
        """Listen, register, read what is typed, as the options say. Raises ToolError."""
        options = self._options
        bound = await self._shell.open(options.binds)
        self._screen.ready([str(bind) for bind in bound], self._store.path, (options.aor or b"").decode())
        if self._desk:
            url = await self._desk.open()
            if url:
                self._screen.page(url)
        if options.relay_to and options.credentials and not self._login:
            self._screen.warning("whoever reaches us sends with the password of --user: --users FILE keeps others out")
        if self._prompt:
            self._resume()
        try:
            self._showing.start(bool(self._workers))
        except StoreError as error:
            raise ToolError(f"can't read the messages: {trouble(error)}") from error
        for worker in self._workers:
            worker.start()
        if options.registers:
            server = options.proxy or self._ua.aor
            try:
                uri = parse_uri(server)
                uri.flow(b"UDP")
            except AgentError as error:
                raise ToolError(f"can't register at {server.decode(errors='replace')}: {error}") from None
            self._registering = self._loop.create_task(self._register(uri))
        if self._keyboard:
            self._keyboard.start(reads=self._prompt is None)
        if self._prompt:
            self._prompt.start()
        self._watch()
        if options.keep != FOR_EVER:
            self._retention.start()

    async def close(self) -> None:
        """Answer what has come, then stop what was begun for messages and lines."""
        if self._registering:
            self._registering.cancel()
        if self._watcher:
            self._watcher.cancel()
        self._retention.close()
        self._undeciphered.close()
        for typed in (self._prompt, self._keyboard):
            if typed is not None:
                await typed.close()
        if self._desk:
            await self._desk.close()
        await self._shell.close()
        for part in (self._relay, *self._workers, self._notifier):
            if part is not None:
                await part.close()
        self._showing.close()

    def reload(self) -> None:
        """Read users and certificates again, as far as they have changed; streams and our binding stay."""
        if self._login:
            self._login.refresh()
        try:
            renewed = self._options.tls.renew()
        except ToolError as error:
            self._screen.warning(f"{error}; the certificate of before stays")
        else:
            if renewed:
                self._screen.warning(renewed)

    def _watch(self) -> None:
        """Reload now and then: nobody has to tell us of a certificate's successor, or that another inbox has ended."""
        self.reload()
        self._tell_ends()
        self._showing.look()
        self._orphans.look()
        for worker in self._workers:
            worker.more()
        self._watcher = self._loop.call_later(_WATCH_S, self._watch)

    def _tell_ends(self) -> None:
        """Say once a day which certificates end soon."""
        today = int(time.time() // _DAY_S)
        if self._guard is None or self._told_ends == today:
            return
        self._told_ends = today
        try:
            for text in self._guard.ending():
                self._screen.warning(text)
        except ToolError as error:
            self._screen.warning(str(error))

    def hasten(self) -> None:
        """Pass on now what waits for another attempt."""
        if self._relay:
            self._relay.hasten()

    # Messages

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer | None]:
        """Store a batch; it is shown when the answers have left."""
        received, came_at = time.time(), self._loop.time()
        read = [self._read(event, received) for event in batch]
        kept = [(event, one) for event, one in zip(batch, read, strict=True) if isinstance(one, Received)]
        answers = self._keep([one for _, one in kept]) if kept else ()
        stored = [pair for pair, answer in zip(kept, answers, strict=True) if answer[0] < 300]
        if stored:
            self._loop.call_soon(self._show, stored)
        in_turn = iter(answers)
        given = [next(in_turn) if isinstance(one, Received) else one for one in read]
        return [self._unless_hidden(event, answer, came_at) for event, answer in zip(batch, given, strict=True)]

    def _unless_hidden(self, event: MessageReceived, answer: Answer, came_at: float) -> Answer | None:
        """Return an answer, None for the one to all that is wrong inside of encryption: that leaves later."""
        if answer != UNDECIPHERABLE:
            return answer
        self._undeciphered.add(event, came_at)
        return None

    def _read(self, event: MessageReceived, received: float) -> Received | Answer:
        """Return what is to be stored of a message, or the answer to one that is not. It costs no other message."""
        try:
            return self._take(event, received)
        except Exception as error:
            self._warn(f"can't read a message: {fault(error)}", call_id=event.call_id.decode(errors="replace"))
            return _SERVER_ERROR

    def _take(self, event: MessageReceived, received: float) -> Received | Answer:
        """Return as _read() does."""
        if self._keyboard and self._keyboard.has_sent(event.call_id):
            sender = event.sender.decode(errors="replace")
            self._warn(f"what was typed has come back from {sender}: whom it was for leads to this inbox")
            return _LOOP_DETECTED
        if self._desk and self._desk.has_sent(event):
            return _LOOP_DETECTED
        parcel = self._pack(event, received) if self._relay else None
        if self._relay and parcel is None:
            return _TOO_MANY_HOPS
        if self._relay and self._relay.downgrades(event.message.uri):
            return _UNSUPPORTED_SCHEME
        try:
            one = describe(event, received, parcel, self._options.reader)
            heartbeat = one.heartbeat()
            notice = None if self._relay or heartbeat is not None else one.notice()
        except ParseError as error:
            self._refusals.drop(error.detail)
            return error.status, b""
        if one.user is None:  # where nobody is asked for a password, a server may have asked
            user = asserted(event.message, event.flow, self._options.trusted_proxies)
            one.user = None if user is None else user.decode()
        refusal = self._refusals.of(event, one) or (self._relay.refusal(one) if self._relay else None)
        if refusal is not None:
            return UNDECIPHERABLE if one.encrypted else refusal  # a status would tell what is inside
        if not self._relay and (one.encrypted or one.verdict or one.cpim):
            addressees = self._owner if one.encrypted or one.verdict else self._addressees
            one.for_others = addressees.others(event.message.uri, one.to, one.cpim)
        if heartbeat is not None:
            self._loop.call_soon(self._hear, one, heartbeat)
        elif notice:
            self._loop.call_soon(self._screen.notice, notice)
        else:
            one.open = self._desk is not None and not one.expired
            return one
        return _OK

    def _hear(self, one: Received, heartbeat: dict[str, Any]) -> None:
        """A board lives: programs are told, and it gets what waits for it. Its heartbeat is never passed on."""
        self._screen.heartbeat(one.heartbeat_line(heartbeat))
        if self._desk:
            self._desk.beat(one, heartbeat)
        if self._relay:
            self._relay.seen(one.sender)

    def _keep(self, records: Sequence[Received]) -> Sequence[Answer]:
        """Store these; returns what to answer to each. If it can't be done, that is told once, and once that it can."""
        try:
            self._store.add(records, self._queues)
        except Exception as error:
            is_ours = isinstance(error, StoreError) and not isinstance(error, Unstorable)
            if len(records) > 1 and not is_ours:  # perhaps it is only one of them
                return [answer for one in records for answer in self._keep([one])]
            if not isinstance(error, StoreError):
                self._warn(f"can't store a message: {fault(error)}", call_id=records[0].call_id)
                return [_SERVER_ERROR]
            if not self._store_failed:
                self._warn(f"can't store messages, senders are asked to come back later: {trouble(error)}")
            self._store_failed = True
            return [_SERVICE_UNAVAILABLE] * len(records)
        if self._store_failed:
            self._store_failed = False
            self._warn("messages are stored again")
        for one in records:
            if one.looped:
                self._warn("what was passed on has come back: --relay-to leads to this inbox", call_id=one.call_id)
        return [_LOOP_DETECTED if one.looped else _ACCEPTED if self._relay else _OK for one in records]

    def _warn(self, text: str, **more: Any) -> None:
        """Say this when the answers have left."""
        self._loop.call_soon(partial(self._screen.warning, text, **more))

    def _show(self, batch: Sequence[tuple[MessageReceived, Received]]) -> None:
        """Show what is stored and answered, and set others to work on it."""
        for part in (self._relay, self._desk, *self._workers):
            if part:
                part.more()
        self._showing.show([one for _, one in batch])
        for event, one in batch:
            try:
                self._tell_peers(event, one)
            except Exception as error:
                self._screen.warning(f"no notification of a message: {fault(error)}", call_id=one.call_id)

    def _resume(self) -> None:
        """Show a person who comes back what was there, and have the prompt name who wrote last."""
        self._show_earlier(_EARLIER)
        with contextlib.suppress(StoreError, ValueError, TypeError):  # which has been told
            for one in self._store.earlier(1):
                if self._keyboard:
                    self._keyboard.wrote_last(one)

    def _show_earlier(self, count: int) -> None:
        """Show a person the last messages that came before."""
        try:
            self._screen.earlier(self._store.earlier(count))
        except (StoreError, ValueError, TypeError) as error:
            self._screen.warning(f"can't show earlier messages: {error}")

    def _tell_peers(self, event: MessageReceived, one: Received) -> None:
        """Remember whom a typed line answers; tell the sender that his message was delivered if he asked for it."""
        if self._keyboard:
            self._keyboard.answer_to(event, one.encrypted)
        if self._prompt:
            self._prompt.refresh()
        if self._relay:
            self._relay.seen(one.sender)
        if self._notifier and not one.duplicate and one.cpim and not one.encrypted and wanted(event, one.cpim):
            self._notifier.delivered(event, one.cpim)  # an encrypted one's would go in clear

    # Other events

    def happened(self, event: Event, trouble: str) -> None:
        """Tell who waits for it, or people."""
        kind = type(event)
        if kind is Outcome:
            parts = (self._notifier, self._relay)
            is_of_desk = self._desk is not None and self._desk.finished(event, trouble)
            if not is_of_desk and not any(part and part.finished(event) for part in parts):
                self._screen.outcome(event, trouble)  # of a line that was typed
        elif kind is Provisional:
            self._heard.told(event)
        elif kind is Dropped:
            self._heard.told(event)
            self._refusals.drop(event.reason)
        elif kind is Registered:
            if not event.expires:
                self._unbound.set()
            self._heard.begin_anew()
            self._screen.registered(event)
        elif kind is RegistrationLost:
            self._screen.registration_lost(event, trouble, self._heard, bool(self._options.credentials))
            self._heard.begin_anew()

    # Registration

    async def _register(self, server: Uri) -> None:
        """Bind our address at the registrar behind server, and keep it so.

        A network or a DNS server that comes up later than we do is waited for, as a registrar is that doesn't answer.
        """
        for failures in itertools.count():
            try:
                await self._shell.reach(server)
                break
            except (AgentError, OSError) as error:
                pause = pause_s(failures, os.urandom(1)[0], None)
                self._screen.registration_lost(RegistrationLost(503, pause, b""), reason_of(error), self._heard)
                await asyncio.sleep(pause)
        instance = self._store.instance().encode()
        self._shell.carry_out(self._ua.register(now_ms(), expires=_BINDING_S, instance=instance))

    async def unregister(self) -> None:
        """Take the binding away, if the registrar answers soon."""
        if self._ua.registration is not None and self._ua.registration.bound:
            self._shell.carry_out(self._ua.unregister(now_ms()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._unbound.wait(), _UNREGISTER_S)


def _prompt(keyboard: Keyboard, quit: Callable[[], None], printer: Printer) -> "Prompt":
    from sipmote.inbox.prompt import Prompt  # a sixth of a second, for who talks

    return Prompt(keyboard.aim, keyboard.take, quit, printer)


def _as_it_is(packed: bytes, encoding: bytes) -> bytes:
    """Leave a packed body to whom it is passed on."""
    return packed


def _user_agent(options: Options, authenticator: Authenticator | None) -> UserAgent:
    return UserAgent(
        options.aor or b"sip:%s@localhost" % user_name(),
        b"localhost",
        os.urandom,
        proxy=options.proxy,
        accept=options.accept,
        strict=options.strict,
        inflate=_as_it_is if options.relays else inflate,
        hosts=Hosts(options.domains) if options.domains else None,
        keep=_KEEP,
        clock=wall_clock(),
        credentials=options.credentials,
        authenticator=authenticator,
        reader=Message,
    )
