"""`sipmote inbox`: a user agent server that stores, answers and shows messages, and sends what is typed."""

import argparse
import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from sipmote.agent.auth.server import Authenticator
from sipmote.agent.cms import smime
from sipmote.agent.cpim import imdn
from sipmote.agent.errors import AgentError, ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.headers.values import media_type, parse_address, takes
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.registration.events import Registered, RegistrationLost
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uas.events import MessageReceived
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.agent.wall_clock import WallClock
from sipmote.console import harmless, write_json
from sipmote.errors import ToolError
from sipmote.inbox.notifier import Notifier, wanted
from sipmote.inbox.relay import POLICIES, Relay, pack
from sipmote.inbox.store import Received, Store, describe
from sipmote.sip import resolver, tls
from sipmote.sip.reader import Message
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Flow, Shell, now_ms, parse_bind, uri_of, user_name
from sipmote.users import PASSWORD_VARIABLE, ask_password, read_users

if TYPE_CHECKING:  # loaded for who asks for S/MIME
    from sipmote.smime.keys import Reader

_KEEP = 65536  # transactions remembered; about 80 MB when all are in use. Beyond them the store knows the twins
_RUNNERS = 4  # commands of --exec at once
_RUN_S = 60.0  # what one may take
_MAX_WAITING = 1000  # messages that wait for theirs; all are in the store
_ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML, imdn.COMPOSING)
_OK: Answer = (200, b"")
_ACCEPTED: Answer = (202, b"")
_UNSIGNED: Answer = (403, b"A Good Signature Is Needed")
_INCORRECT_DATE: Answer = (400, b"Incorrect Date or Time")
_TOO_MANY_HOPS: Answer = (483, b"")
_BINDING_S = 600
_UNREGISTER_S = 2.0
_UNSUPPORTED_MEDIA_TYPE: Answer = (415, b"")
_SERVICE_UNAVAILABLE: Answer = (503, b"")  # "come back later"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote inbox`."""
    parser.add_argument(
        "--bind",
        action="append",
        type=parse_bind,
        metavar="udp|tcp|tls:HOST:PORT",
        help="where to listen, port 0 for a free one; may be repeated (default: udp and tcp at 0.0.0.0:5060)",
    )
    parser.add_argument(
        "--domain", action="append", metavar="D", help="take messages for this host only; may be repeated"
    )
    parser.add_argument(
        "--db", metavar="FILE", help="sqlite file for the messages, or :memory: (default: inbox.db in the data folder)"
    )
    parser.add_argument(
        "--accept",
        action="append",
        metavar="TYPE",
        help="content type to take, e.g. image/png or '*/*'; may be repeated (default: text/plain, alone or in "
        "message/cpim, and what chat programs tell of delivery and typing)",
    )
    parser.add_argument(
        "--imdn",
        action="store_true",
        help="tell senders that ask for it in message/cpim that their message was delivered (RFC 5438)",
    )
    parser.add_argument(
        "--users",
        metavar="FILE",
        help="take messages from these users only, by digest; sipmote passwd makes the file",
    )
    parser.add_argument("--realm", metavar="R", help="of --users, when the file has several")
    parser.add_argument(
        "--exec",
        dest="command",
        metavar="COMMAND",
        help="run for each message (not for a duplicate), without a shell: its body on stdin; SIPMOTE_FROM, _TO, "
        "_CALL_ID, _CONTENT_TYPE, _SUBJECT, _SOURCE, _TRANSPORT, _USER, _SIGNER (of a good signature), _EXPIRED and "
        "_STALE in its environment. What it prints goes to our stderr: it is no reply",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="send what comes on stdin, line by line, also when that is no terminal: 'TEXT' answers the last message, "
        "'sip:... TEXT' goes to that URI",
    )
    group = parser.add_argument_group("S/MIME, RFC 8591")
    group.add_argument("--smime-key", metavar="FILE", help="our key and certificate, PEM, for what is encrypted to us")
    group.add_argument(
        "--smime-trust",
        action="append",
        metavar="FILE",
        help="PEM with the certificates of senders, or of CAs that vouch for theirs; may be repeated. A signature that "
        "isn't good is marked",
    )
    group.add_argument(
        "--require-signed", action="store_true", help="refuse (403) what has no good signature by who it is from"
    )
    group.add_argument(
        "--smime-store",
        action="append",
        metavar="ADDRESS",
        help="of a server that may bring signed messages late: marked stale, where 400 answers others; may be repeated",
    )
    tls.add_arguments(parser)
    resolver.add_arguments(parser)
    parser.add_argument(
        "--register", metavar="URI", help="be reachable as URI at its registrar, e.g. sip:desk@example.org"
    )
    parser.add_argument("--proxy", metavar="URI", help="the server to send everything to first, e.g. sip:192.0.2.1")
    parser.add_argument("--user", metavar="NAME", help="whom a server is told that asks for a password")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help=f"its first line is the password (default: {PASSWORD_VARIABLE} or a prompt)",
    )
    parser.add_argument(
        "--relay-to",
        metavar="URI",
        help="pass messages on to URI instead of being their end: answer 202, keep and send them until they are taken; "
        "without a user in it, as in sip:example.org, to the user each is for, at that host",
    )
    parser.add_argument(
        "--relay-expired",
        choices=POLICIES,
        default=POLICIES[0],
        help="what becomes of a message that expires while it waits (default: %(default)s)",
    )
    parser.add_argument("--tls-clients", action="store_true", help="only clients with a certificate of --tls-ca")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text for people")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    if args.realm and not args.users:
        raise ToolError("--realm names whose passwords count: add --users FILE")
    _check_smime(args)
    args.password = ask_password(args.user, args.password_file) if args.user else None
    store = Store(args.db or str(_default_path()))
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_serve(args, store))
    finally:
        store.close()
    return 0


def _check_smime(args: argparse.Namespace) -> None:
    if args.relay_to and (args.smime_key or args.smime_trust):
        raise ToolError("--relay-to passes messages on as they are: leave --smime-key and --smime-trust to their end")
    if args.require_signed and not args.smime_trust:
        raise ToolError("--require-signed: by whom? Add --smime-trust FILE")
    for address in args.smime_store or ():
        if not is_address(address.encode()):
            raise ToolError(f"--smime-store {address}: an IP address was expected, as the source of messages shows it")


async def _serve(args: argparse.Namespace, store: Store) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, ended)
    loop.set_exception_handler(lambda loop, context: _on_exception(loop, context, ended))
    domains = tuple(domain.lower().encode() for domain in args.domain or ())
    aor = b"sip:%s@%s" % (user_name(), domains[0] if domains else b"localhost")
    everything = (b"*/*",)
    accept = tuple(kind.lower().encode() for kind in args.accept or ()) or (everything if args.relay_to else _ACCEPT)
    reader = None
    if args.smime_key or args.smime_trust:
        from sipmote.smime.keys import reader as read_keys

        reader = read_keys(args.smime_key, args.smime_trust or ())
        accept += (smime.PKCS7, smime.MULTIPART)
    try:
        proxy = uri_of("--proxy", args.proxy) if args.proxy else None
        aor = uri_of("--register", args.register) if args.register else aor
        options: dict[str, Any] = {"hosts": domains or None, "keep": _KEEP, "reader": Message}
        if args.user:
            options["credentials"] = ((b"", os.fsencode(args.user), os.fsencode(args.password)),)
        if args.users:
            realm, users = read_users(args.users, args.realm)
            options["authenticator"] = Authenticator(realm.encode(), users, os.urandom, keep=_KEEP)
        ua = UserAgent(aor, b"localhost", os.urandom, proxy=proxy, accept=accept, clock=WallClock(), **options)
    except AgentError as error:
        raise ToolError(str(error)) from None
    screen: Screen = JsonScreen() if args.json else Screen()
    inbox = Inbox(ua, accept, store, screen, _Runners(args.command, screen) if args.command else None)
    shell = inbox.shell = Shell(ua, inbox, tls.from_arguments(args, args.tls_clients), Resolver(server=args.dns), proxy)
    inbox.reader = reader
    inbox.require_signed = args.require_signed
    inbox.stores = tuple(args.smime_store or ())
    if args.relay_to:
        inbox.relay = Relay(ua, shell, store.db, args.relay_to, args.relay_expired, screen.relay, proxy)
    if args.imdn:
        inbox.notifier = Notifier(ua, shell, screen.warning)
    try:
        bound = await shell.open(args.bind or [parse_bind("udp:0.0.0.0:5060"), parse_bind("tcp:0.0.0.0:5060")])
        screen.ready([str(bind) for bind in bound])
        inbox.proxy = proxy
        if args.register:
            await inbox.register(proxy or aor)
        if args.interactive or sys.stdin.isatty():
            inbox.listen_to_stdin()
        await ended
        await inbox.unregister()
    finally:
        await shell.close()
        await inbox.close()


def _end(ended: asyncio.Future[None], error: BaseException | None = None) -> None:
    if not ended.done():
        ended.set_result(None) if error is None else ended.set_exception(error)


def _on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any], ended: asyncio.Future[None]) -> None:
    """End when nobody reads our stdout any more, as any program in a pipe; let asyncio tell of anything else."""
    if isinstance(context.get("exception"), BrokenPipeError):
        _end(ended, context["exception"])
    else:
        loop.default_exception_handler(context)


class Screen:
    """Shows what happens to people."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def ready(self, bound: Sequence[str]) -> None:
        """We listen."""
        self._console.print(Text(f"listening at {', '.join(bound)}; stop with Ctrl-C", "dim"))

    def messages(self, batch: Sequence[Received]) -> None:
        """These have come, and are stored and answered."""
        for one in batch:
            text, encoding_error = one.text()
            line = Text(time.strftime("%H:%M:%S ", time.localtime(one.received)), "dim")
            if one.verdict is not None and one.verdict.is_good:  # before all that a sender may have written
                line.append("signed ", "green")
            if one.encrypted:
                line.append("encrypted ", "dim")
            line.append(harmless(one.sender), "bold")
            if one.user is not None:
                line.append(f" ({harmless(one.user)})", "dim")
            marks = {"expired": one.expired, "stale": one.stale, "duplicate": one.duplicate}
            marks[f"in the name of {harmless(one.author or '')}"] = one.disguised
            for mark, shown in marks.items():
                if shown:
                    line.append(f" [{mark}]", "bold red")
            if one.verdict is not None and not one.verdict.is_good:
                line.append(f" [signature {one.verdict.state}: {harmless(one.verdict.reason)}]", "bold red")
            if encoding_error:
                line.append(" [damaged text]", "red")
            if one.subject:
                line.append(f" {harmless(one.subject)}:", "italic")
            if text is None:
                line.append(f" {len(one.body)} octets of {harmless(one.content_type)}", "dim")
            else:
                line.append(" " + harmless(text.rstrip(), lines=True).replace("\n", "\n         "))
            line.append(f"  {one.transport} {one.source}", "dim")
            self._console.print(line)

    def notice(self, line: dict[str, Any]) -> None:
        """A peer's program has told something: what became of a message, or that somebody is typing."""
        told = f"{line['event']} of {line['message_id']}" if "message_id" in line else line["event"]
        self._console.print(Text(harmless(f"         {line['from']}: {told}: {line['status']}"), "dim"))

    def outcome(self, event: Outcome, reason: str) -> None:
        """A message that was typed has its result."""
        style = "green" if event.name in ("delivered", "accepted") else "red"
        self._console.print(Text(f"         {event.name} ({event.status} {harmless(reason)})", style))

    def registration(self, event: str, **what: Any) -> None:
        """A registrar has us ("registered", for so many seconds) or not ("not_registered")."""
        if event == "registered":
            self._console.print(
                Text(f"registered for {what['expires']} s" if what["expires"] else "unregistered", "dim")
            )
            return
        remedy = ": check the name and the password" if what["status"] in (401, 403, 407) else ""
        reason = what.get("reason") or ("no answer" if what["status"] == 408 else f"status {what['status']}{remedy}")
        self._console.print(Text(f"not registered: {harmless(reason)}; next attempt in {what['retry_s']} s", "red"))

    def relay(self, event: str, call_id: str, **what: Any) -> None:
        """A message that is passed on has ended ("relayed") or has to wait ("relay_waits")."""
        told = what.get("outcome") or f"waits {what['retry_s']} s"
        self._console.print(Text(f"         passed on: {told} {what.get('status') or ''} {call_id}", "dim"))

    def dropped(self, counts: Counter[str]) -> None:
        """Bytes came in the last second that led to nothing."""
        self.warning("; ".join(f"{count} times {reason}" for reason, count in counts.items()) + ": dropped")

    def warning(self, text: str, **more: Any) -> None:
        """Something went wrong that needs a person; we go on."""
        print(f"sipmote: {harmless(text)}", file=sys.stderr, flush=True)


class JsonScreen(Screen):
    """Shows what happens to programs, one JSON object a line."""

    def ready(self, bound: Sequence[str]) -> None:
        write_json([{"event": "ready", "bind": bound}])

    def messages(self, batch: Sequence[Received]) -> None:
        write_json([one.line() for one in batch])

    def notice(self, line: dict[str, Any]) -> None:
        write_json([line])

    def outcome(self, event: Outcome, reason: str) -> None:
        call_id = event.call_id.decode()
        outcome = {"event": "outcome", "call_id": call_id, "outcome": event.name, "status": event.status}
        write_json([{**outcome, "reason": reason}])

    def registration(self, event: str, **what: Any) -> None:
        write_json([{"event": event, **what}])

    def relay(self, event: str, call_id: str, **what: Any) -> None:
        write_json([{"event": event, "call_id": call_id, **what}])

    def dropped(self, counts: Counter[str]) -> None:
        write_json([{"event": "dropped", "count": sum(counts.values()), "reasons": counts}])

    def warning(self, text: str, **more: Any) -> None:
        write_json([{"event": "warning", "text": text, **more}])


class Inbox:
    """The application behind the shell."""

    shell: Shell

    notifier: Notifier | None = None
    relay: Relay | None = None
    reader: "Reader | None" = None
    require_signed = False
    stores: tuple[str, ...] = ()  # who may bring signed messages late
    proxy: bytes | None = None

    def __init__(
        self, ua: UserAgent, accept: Sequence[bytes], store: Store, screen: Screen, runners: "_Runners | None"
    ) -> None:
        self._ua = ua
        self._accept = list(accept)
        self._store = store
        self._screen = screen
        self._runners = runners
        self._loop = asyncio.get_running_loop()
        self._last: MessageReceived | None = None
        self._store_failed = False
        self._unbound = asyncio.Event()
        self._dropped: Counter[str] = Counter()
        self._lines: asyncio.Queue[str] = asyncio.Queue(100)
        self._typist: asyncio.Task[None] | None = None

    def take(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        """Store a batch; it is shown when the answers have left."""
        received = time.time()
        answers: list[Answer] = []
        records: dict[int, Received] = {}  # by place in the batch
        for number, event in enumerate(batch):
            try:
                one = describe(event, received, opened=self.relay is None, reader=self.reader)
                notice = one.notice() if self.relay is None else None
            except ParseError as error:
                self.dropped(Dropped(error.detail, event.flow))
                answers.append((error.status, b""))
                continue
            refusal = self._refusal(event, one)
            if refusal is not None:
                answers.append(refusal)
                continue
            if self.relay:
                one.parcel = pack(event, received)
                if one.parcel is None:
                    answers.append(_TOO_MANY_HOPS)
                    continue
            if notice:
                self._loop.call_soon(self._screen.notice, notice)
            else:
                records[number] = one
            answers.append(_ACCEPTED if self.relay else _OK)
        try:
            if records:
                self._store.add(list(records.values()))
        except sqlite3.Error as error:
            if not self._store_failed:
                self._screen.warning(f"can't store messages, senders are asked to come back later: {error}")
            self._store_failed = True
            return [_SERVICE_UNAVAILABLE if number in records else answer for number, answer in enumerate(answers)]
        if records:
            if self._store_failed:
                self._store_failed = False
                self._screen.warning("messages are stored again")
            self._last = batch[max(records)]
            self._loop.call_soon(self._show, [(batch[number], one) for number, one in records.items()])
        return answers

    def _refusal(self, event: MessageReceived, one: Received) -> Answer | None:
        """Return the answer to a message that we don't take for what is inside, None for one that we do."""
        if self.require_signed and (one.verdict is None or not one.verdict.is_good):
            self.dropped(Dropped("a message without a good signature", event.flow))
            return _UNSIGNED
        if one.verdict is not None and one.stale and event.flow[1].decode() not in self.stores:
            self.dropped(Dropped("a signed message of another time", event.flow))
            return _INCORRECT_DATE
        is_inside = one.cpim is not None or one.encrypted or one.verdict is not None
        if is_inside and not takes(self._accept, media_type(one.content_type.encode())):
            return _UNSUPPORTED_MEDIA_TYPE
        return None

    def _show(self, batch: Sequence[tuple[MessageReceived, Received]]) -> None:
        self._screen.messages([one for _, one in batch])
        if self.relay:
            self.relay.more()
        for event, one in batch:
            if one.duplicate:
                continue
            if self._runners:
                self._runners.start(one)
            if self.notifier and one.cpim and not one.encrypted and wanted(event, one.cpim):  # it would go out in clear
                self.notifier.delivered(event, one.cpim)

    def outcome(self, event: Outcome, trouble: str) -> None:
        """Show the result of a line that was typed."""
        if (self.notifier and self.notifier.finished(event)) or (self.relay and self.relay.finished(event)):
            return
        self._screen.outcome(event, trouble or event.reason.decode("utf-8", "backslashreplace"))

    async def register(self, server: bytes) -> None:
        """Bind our address at the registrar behind server, and keep it so. Raises ToolError when nobody knows it."""
        try:
            await self.shell.reach(parse_uri(server))
            instance = self._store.instance().encode()
            self.shell.carry_out(self._ua.register(now_ms(), expires=_BINDING_S, instance=instance))
        except (AgentError, OSError) as error:
            raise ToolError(f"can't register at {server.decode(errors='replace')}: {error}") from None

    async def unregister(self) -> None:
        """Take the binding away, if the registrar answers soon."""
        if self._ua.registration is not None and self._ua.registration.bound:
            self.shell.carry_out(self._ua.unregister(now_ms()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._unbound.wait(), _UNREGISTER_S)

    def registration(self, event: Registered | RegistrationLost, trouble: str) -> None:
        """Tell of our binding."""
        if type(event) is Registered:
            if not event.expires:
                self._unbound.set()
            self._screen.registration("registered", expires=event.expires)
        elif type(event) is RegistrationLost:
            why = {"reason": trouble} if trouble else {}
            self._screen.registration("not_registered", status=event.status, retry_s=event.pause_s, **why)

    def provisional(self, event: Provisional) -> None:
        """The outcome will do."""

    def dropped(self, event: Dropped) -> None:
        """Count; said once a second at most."""
        if not self._dropped:
            self._loop.call_later(1.0, self._show_dropped)
        self._dropped[event.reason] += 1

    def _show_dropped(self) -> None:
        self._screen.dropped(self._dropped)
        self._dropped = Counter()

    # Typed lines

    def listen_to_stdin(self) -> None:
        """Send what is typed. A thread waits for it: a terminal shared with others must not be made non-blocking."""
        self._typist = self._loop.create_task(self._send_lines())
        threading.Thread(target=self._read_stdin, daemon=True).start()

    def _read_stdin(self) -> None:
        with open(os.dup(0), errors="replace") as lines:  # not sys.stdin, whose lock would be held when we exit
            for line in lines:
                asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()

    async def _send_lines(self) -> None:
        while True:
            line = (await self._lines.get()).strip()
            if line:
                try:
                    await self._send(line)
                except (AgentError, OSError) as error:
                    self._screen.warning(f"not sent: {error}", line=line)

    async def _send(self, line: str) -> None:
        ua = self._ua
        flow: Flow | None = None
        if line.startswith(("sip:", "sips:")):
            uri, _, text = line.partition(" ")
            target = uri.encode()
            await self.shell.reach(parse_uri(self.proxy or target))
        elif self._last is None:
            self._screen.warning("nobody to answer yet: type sip:user@host TEXT", line=line)
            return
        else:
            target, flow, text = self._last.sender, self._last.flow, line
            self.shell.approach(flow)
        sender = None
        if self._last is not None:  # who was written to writes back
            sender = parse_uri(parse_address(self._last.message.get(b"to") or b"")[1]).address_of_record()
        self.shell.carry_out(
            ua.send(ua.new_call_id(), target, text.strip().encode(), now_ms(), flow=flow, sender=sender)
        )

    async def close(self) -> None:
        """Stop what was begun for messages and lines."""
        if self._typist:
            self._typist.cancel()
        if self.relay:
            await self.relay.close()
        if self._runners:
            await self._runners.close()
        if self.notifier:
            await self.notifier.close()


class _Runners:
    """Runs the command of --exec, a few at a time."""

    def __init__(self, command: str, screen: Screen) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise ToolError(f"--exec {command!r}: {error}") from error
        if not self._command or not shutil.which(self._command[0]):
            raise ToolError(f"--exec {command!r}: no such command; name a program on the PATH or with its folder")
        self._screen = screen
        self._queue: asyncio.Queue[Received] = asyncio.Queue(_MAX_WAITING)
        self._tasks = [asyncio.create_task(self._work()) for _ in range(_RUNNERS)]

    def start(self, one: Received) -> None:
        """Run the command for a message, when one of the runners is free."""
        try:
            self._queue.put_nowait(one)
        except asyncio.QueueFull:
            self._screen.warning("--exec is too slow: not run for a message", call_id=one.call_id)

    async def _work(self) -> None:
        while True:
            one = await self._queue.get()
            try:
                problem = await self._run(one)
            except TimeoutError:
                problem = f"took more than {_RUN_S:.0f} s and was stopped"
            except OSError as error:
                problem = error.strerror or str(error)
            if problem:
                self._screen.warning(f"--exec {self._command[0]}: {problem}", call_id=one.call_id)

    async def _run(self, one: Received) -> str:
        """Run the command; returns what went wrong, or nothing."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            env={**os.environ, **_environment(one)},
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(process.communicate(one.body), _RUN_S)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # the leader of a session of its own, not yet waited for
                await process.wait()
        return f"exit code {process.returncode}" if process.returncode else ""

    async def close(self) -> None:
        """Stop the runners and what they run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _environment(one: Received) -> dict[str, str]:
    values = {
        "FROM": one.sender,
        "TO": one.to,
        "CALL_ID": one.call_id,
        "CONTENT_TYPE": one.content_type,
        "SUBJECT": one.subject or "",
        "SOURCE": one.source,
        "TRANSPORT": one.transport,
        "USER": one.user or "",
        "SIGNER": (one.verdict.signer or "") if one.verdict is not None and one.verdict.is_good else "",
        "EXPIRED": "1" if one.expired else "0",
        "STALE": "1" if one.stale else "0",
    }
    return {f"SIPMOTE_{name}": value.replace("\0", "\\0") for name, value in values.items()}


def _default_path() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sipmote" / "inbox.db"
