"""`sipmote send`: one message to one URI, and an exit code that says what became of it."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sipmote.agent.budget import POLICIES
from sipmote.agent.cms import smime
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import AgentError, ParseError
from sipmote.agent.events import Outcome
from sipmote.agent.headers.delta import retry_after_s
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.uas.events import MessageReceived
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.agent.wall_clock import WallClock
from sipmote.console import harmless, write_json
from sipmote.errors import ToolError
from sipmote.inbox.store import describe
from sipmote.sip import resolver, tls
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Answer, Shell, now_ms, parse_bind, reason_of, uri_of, user_name
from sipmote.users import PASSWORD_VARIABLE, ask_password, check_name

DELIVERED, USAGE, ACCEPTED, REFUSED, UNANSWERED = 0, 2, 3, 4, 5  # exit codes
_ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML)
_MORE_TO_COME = ("processed", "stored")  # of what a notification may say: on its way still
_OK: Answer = (200, b"")
_BAD_USE_OF_THE_SENDER: Answer = (480, b"")  # for a MESSAGE that comes here while we wait for our answer
_DATE = 36  # octets of a Date header field
_LONG = 300  # octets of a text whose every length takes as much room as any's

_HINTS = {
    415: " (no S/MIME is read there)",
    493: " (--encrypt-to is not a certificate of the key there)",
}

_Wrap = Callable[..., dict[str, Any]]  # of a user agent, a Call-ID, a text, and whether only to measure it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote send`."""
    parser.description = (
        "Send one message. Exit code: 0 delivered, 3 accepted by a server for later, 4 refused or failed, "
        "5 no answer in time or unreachable, 2 wrong use."
    )
    parser.add_argument("uri", metavar="URI", help="who it is for, e.g. 'sip:desk@192.0.2.1;transport=tcp'")
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads it from stdin")
    parser.add_argument("--from", dest="sender", metavar="URI", help="who it is from (default: sip:USER@this host)")
    parser.add_argument("--user", metavar="NAME", help="whom a server is told that asks for a password")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help=f"its first line is the password (default: {PASSWORD_VARIABLE} or a prompt)",
    )
    parser.add_argument("--proxy", metavar="URI", help="the server to send it to first, e.g. sip:192.0.2.1")
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"), default="udp", help="if the URI names none")
    parser.add_argument("--expires", type=int, metavar="S", help="seconds after which it is no longer of interest")
    parser.add_argument("--subject", metavar="S")
    parser.add_argument("--content-type", default="text/plain", metavar="T", help="default: %(default)s")
    parser.add_argument(
        "--cpim", action="store_true", help="as message/cpim; who refuses that gets the text without what is around it"
    )
    parser.add_argument(
        "--notify", action="store_true", help="as --cpim, and ask to be told of its delivery (RFC 5438)"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="as --notify, and when a server has accepted it for later, wait so many seconds to be told",
    )
    group = parser.add_argument_group("S/MIME, RFC 8591")
    group.add_argument(
        "--sign",
        metavar="FILE",
        help="as message/cpim, signed with this key and certificate (PEM), and from whom it names",
    )
    group.add_argument(
        "--encrypt-to", metavar="FILE", help="only who has the key of this certificate (PEM) can read it; after signing"
    )
    group.add_argument(
        "--with-certificate",
        action="store_true",
        help="send the certificate of --sign along, for who doesn't have it yet",
    )
    parser.add_argument(
        "--budget",
        choices=POLICIES,
        default="refuse",
        help="what to do with a text that makes the request longer than 1300 octets (default: %(default)s)",
    )
    parser.add_argument(
        "--bind", action="append", type=parse_bind, metavar="udp|tcp:HOST:PORT", help="the address to send from"
    )
    tls.add_arguments(parser)
    resolver.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line; the last one has the result")


def run(args: argparse.Namespace) -> int:
    """Send, wait for the outcome, say it."""
    credentials = _credentials(args)
    if args.with_certificate and not args.sign:
        raise ToolError("--with-certificate: whose? Add --sign FILE")
    if args.sign:
        from sipmote.smime.keys import signing_name

        args.sender = signing_name(args.sign, args.sender)
    text = sys.stdin.buffer.read() if args.text == "-" else os.fsencode(args.text)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        try:
            return runner.run(_Sender(args, credentials).send(text))
        except AgentError as error:
            print(f"sipmote: {harmless(str(error))}", file=sys.stderr)
            return USAGE


def _credentials(args: argparse.Namespace) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """Return what UserAgent.credentials is to be."""
    if not args.user:
        if args.password_file:
            raise ToolError("--password-file: whose password? Add --user NAME")
        return ()
    check_name("user", args.user)
    return ((b"", os.fsencode(args.user), os.fsencode(ask_password(args.user, args.password_file))),)


def _no_headers(message_id: bytes) -> bytes:
    """Do without an identity: who signs has one in the signature, and no room to spare."""
    return b""


class _Sender:
    """The application behind the shell: one message, or its parts one after the other."""

    def __init__(self, args: argparse.Namespace, credentials: tuple[tuple[bytes, bytes, bytes], ...]) -> None:
        self._args = args
        self._credentials = credentials
        self._aor = b""
        self._tls = tls.from_arguments(args)
        self._writer = None
        if args.sign or args.encrypt_to:
            from sipmote.smime.keys import writer

            self._writer = writer(args.sign, args.encrypt_to, args.with_certificate)
        self._outcome: asyncio.Future[tuple[Outcome, str]]
        self._notify = args.notify or args.wait > 0
        # by Call-ID, which is the Message-ID, too: what a notification said
        self._told: dict[str | None, asyncio.Future[str]] = {}

    async def send(self, text: bytes) -> int:
        """Send text; returns the exit code. Raises AgentError for what can't be sent as it is."""
        args = self._args
        target = os.fsencode(args.uri)
        proxy = uri_of("--proxy", args.proxy) if args.proxy else None
        transport: bytes = args.transport.upper().encode()
        self._aor = aor = uri_of("--from", args.sender) if args.sender else b"sip:%s@localhost" % user_name()
        settings: dict[str, Any] = {"proxy": proxy, "transport": transport, "accept": _ACCEPT, "clock": WallClock()}
        settings["credentials"] = self._credentials
        ua = UserAgent(aor, b"localhost", os.urandom, **settings)
        subject = None if args.subject is None else os.fsencode(args.subject)
        how: dict[str, Any] = {"expires": args.expires, "subject": None if args.encrypt_to else subject}
        wrap = None
        if self._writer or args.cpim or self._notify:
            wrap = self._wrapper(target, subject)
            if self._writer and args.content_type.startswith("text/"):
                text = smime.canonical(text)
        how["content_type"] = os.fsencode(args.content_type) if wrap is None else wrap(ua, b"", b"")["content_type"]
        resolver = Resolver(transport, args.dns)
        next_hop = parse_uri(proxy or target)
        if next_hop.scheme == b"im":
            try:
                found = await resolver.im_server(next_hop)
            except OSError as error:
                return self._unreachable(error)
            ua = UserAgent(aor, b"localhost", os.urandom, **settings, resolve_im={target: found}.get)
            next_hop = parse_uri(found or target)
        ua.fit(target, b"", "refuse", **how)  # says what is wrong before anything is opened
        shell = Shell(ua, self, self._tls, resolver, proxy)
        try:
            await shell.open(args.bind or ())
            host = await shell.reach(next_hop)
            if not args.sender:
                how["sender"] = self._aor = b"sip:%s@%s" % (user_name(), bracketed(host.encode()))
            reserve = 0 if wrap is None else self._measure(wrap, ua)
            bodies, compact = ua.fit(target, text, args.budget, **how, reserve=reserve)
            how["compact"] = compact
            return await self._send_parts(ua, shell, target, bodies, how, wrap)
        except OSError as error:
            return self._unreachable(error)
        finally:
            await shell.close()

    def _unreachable(self, error: OSError) -> int:
        self._say(UNANSWERED, {"event": "failed", "status": 503, "reason": reason_of(error), "call_id": None})
        return UNANSWERED

    def _wrapper(self, target: bytes, subject: bytes | None) -> _Wrap:
        """Return a function that makes the options of a message/cpim, or of S/MIME, out of a text.

        What is signed has no other version to fall back to, and its time in Date, too (RFC 3428 section 11). What is
        only encrypted does without message/cpim unless there is something to put there.
        """
        args, writer = self._args, self._writer
        inner = os.fsencode(args.content_type)
        charset = b"text/plain;charset=UTF-8" if inner == b"text/plain" else inner
        to = parse_uri(target).address_of_record()
        headers = imdn.ask if self._notify else imdn.identify if writer is None else _no_headers
        is_cpim = args.cpim or self._notify or args.sign or subject is not None

        def wrap(ua: UserAgent, call_id: bytes, text: bytes, to_measure: bool = False) -> dict[str, Any]:
            unix = int(time.time())
            content_type, body = charset, text
            if is_cpim:
                content_type, body = (
                    imdn.CPIM,
                    build_cpim(self._aor, to, text, charset, unix, subject, headers(call_id)),
                )
            if writer is None:
                return {"content_type": content_type, "body": body, "fallback": (inner, text)}
            content_type, body = writer.protect(content_type, body, to_measure)
            return {"content_type": content_type, "body": body, "date": unix if args.sign else None}

        return wrap

    def _measure(self, wrap: _Wrap, ua: UserAgent) -> int:
        """Return the octets that come to those of a text."""
        around = len(wrap(ua, b"0" * 20, b"x" * _LONG, True)["body"]) - _LONG
        is_dated = self._args.sign and not self._args.expires  # with Expires it is counted already
        return around + (_DATE if is_dated else 0)

    async def _send_parts(
        self,
        ua: UserAgent,
        shell: Shell,
        target: bytes,
        texts: Sequence[bytes],
        how: dict[str, Any],
        wrap: _Wrap | None,
    ) -> int:
        """Send the parts until one isn't taken; the last line and the exit code are those of the worst."""
        results: list[tuple[int, dict[str, Any]]] = []
        for number, text in enumerate(texts, 1):
            call_id = ua.new_call_id()
            self._outcome = asyncio.get_running_loop().create_future()
            self._told[call_id.decode()] = asyncio.get_running_loop().create_future()
            content = {"body": text} if wrap is None else wrap(ua, call_id, text)
            shell.carry_out(ua.send(call_id, target, now=now_ms(), **{**how, **content}))
            code, line = self._read(*await self._outcome)
            if len(texts) > 1:
                line["parts"] = len(texts)
                if self._args.json:
                    write_json([{**line, "event": "part", "outcome": line["event"], "part": number}])
            results.append((code, line))
            if code not in (DELIVERED, ACCEPTED):
                break
        if not ua.has_refused(target, imdn.CPIM):
            results = await self._wait(results)
        worst: int = max(code for code, _ in results)
        self._say(worst, next(line for code, line in reversed(results) if code == worst))
        return worst

    async def _wait(self, results: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
        """Give those who will get what was only accepted the time to tell of it; returns what is known then."""
        waiting = [self._told[line["call_id"]] for code, line in results if code == ACCEPTED]
        if not waiting or not self._args.wait:
            return results
        self._say(*results[-1])
        await asyncio.wait(waiting, timeout=self._args.wait)
        return [self._as_told(code, line) if code == ACCEPTED else (code, line) for code, line in results]

    def _as_told(self, code: int, line: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        told = self._told[line["call_id"]]
        if not told.done():
            return code, {**line, "notification": None}
        line = {**line, "notification": told.result()}
        if told.result() in ("delivered", "displayed"):
            return DELIVERED, {**line, "event": "delivered"}
        if told.result() == "failed":
            return REFUSED, {**line, "event": "failed"}
        return code, line  # forbidden or error: we are not to know, or nobody knows

    def _read(self, outcome: Outcome, trouble: str) -> tuple[int, dict[str, Any]]:
        """Return exit code and line of an outcome."""
        codes = {"delivered": DELIVERED, "accepted": ACCEPTED, "timeout": UNANSWERED}
        code = UNANSWERED if trouble else codes.get(outcome.name, REFUSED)
        reason = trouble or outcome.reason.decode("utf-8", "backslashreplace")
        call_id = outcome.call_id.decode()
        line = {"event": outcome.name, "status": outcome.status, "reason": reason, "call_id": call_id}
        pause_s = retry_after_s(outcome.retry_after)
        return code, {**line, "retry_after": pause_s} if pause_s else line

    def _say(self, code: int, line: dict[str, Any]) -> None:
        if self._args.json:
            write_json([line])
            return
        status = "" if code == UNANSWERED else f"{line['status']} "  # nobody has answered with it
        text = f"{line['event']}: {status}{harmless(line['reason'])}"
        if "retry_after" in line:
            text += f", try again in {line['retry_after']} s"
        if line["event"] in ("delivered", "accepted"):
            print(text)
        else:
            print(f"sipmote: {self._args.uri}: {text}{self._remedy(line)}", file=sys.stderr)

    def _remedy(self, line: dict[str, Any]) -> str:
        """Return what a person can do about a failure that doesn't say so itself."""
        first_hop = self._args.proxy or self._args.uri
        if line["status"] in (401, 407):
            return " (check the name and the password)" if self._credentials else " (add --user NAME)"
        if self._writer and line["status"] in _HINTS:
            return _HINTS[line["status"]]
        if line["event"] == "timeout":
            return f" (check host, port and transport of {first_hop}, and that nothing between filters them)"
        if line["reason"] == "connection refused":
            return f" (nobody listens at {first_hop}: check port and transport, or start the server)"
        return ""

    def provisional(self, event: Provisional) -> None:
        """Somebody has our request and works on it: what programs may show, and people need not read."""
        if self._args.json:
            reason = event.reason.decode("utf-8", "backslashreplace")
            write_json(
                [{"event": "provisional", "status": event.status, "reason": reason, "call_id": event.call_id.decode()}]
            )

    def take(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        """Nobody is here to read messages; notifications of ours are taken."""
        return [self._take(event) for event in batch]

    def _take(self, event: MessageReceived) -> Answer:
        try:
            notice = describe(event, time.time()).notice() or {}
        except ParseError:
            return _BAD_USE_OF_THE_SENDER
        told = self._told.get(notice.get("message_id"))
        if told is None:
            return _BAD_USE_OF_THE_SENDER
        if not told.done() and notice["status"] not in _MORE_TO_COME:
            told.set_result(notice["status"])
        return _OK

    def outcome(self, event: Outcome, trouble: str) -> None:
        """What send() waits for."""
        self._outcome.set_result((event, trouble))

    def dropped(self, event: Dropped) -> None:
        """Noise while we wait."""

    def registration(self, event: object, trouble: str) -> None:
        """We don't register."""
