"""`sipmote send`: one message to one URI, and an exit code that says what became of it."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

from agent.budget import POLICIES
from agent.errors import AgentError
from agent.events import Dropped, MessageReceived, Outcome
from agent.retry import retry_after_s
from agent.uri import bracketed, parse_uri
from agent.user_agent import UserAgent
from host_tools import resolver, tls
from host_tools.console import harmless, write_json
from host_tools.resolver import Resolver
from host_tools.shell import Shell, now_ms, parse_bind, reason_of, user_name

DELIVERED, USAGE, ACCEPTED, REFUSED, UNANSWERED = 0, 2, 3, 4, 5  # exit codes
_BAD_USE_OF_THE_SENDER = 480  # for a MESSAGE that comes here while we wait for our answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote send`."""
    parser.description = (
        "Send one message. Exit code: 0 delivered, 3 accepted by a server for later, 4 refused or failed, "
        "5 no answer in time or unreachable, 2 wrong use."
    )
    parser.add_argument("uri", metavar="URI", help="who it is for, e.g. 'sip:desk@192.0.2.1;transport=tcp'")
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads it from stdin")
    parser.add_argument("--from", dest="sender", metavar="URI", help="who it is from (default: sip:USER@this host)")
    parser.add_argument("--proxy", metavar="URI", help="the server to send it to first, e.g. sip:192.0.2.1")
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"), default="udp", help="if the URI names none")
    parser.add_argument("--expires", type=int, metavar="S", help="seconds after which it is no longer of interest")
    parser.add_argument("--subject", metavar="S")
    parser.add_argument("--content-type", default="text/plain", metavar="T", help="default: %(default)s")
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
    text = sys.stdin.buffer.read() if args.text == "-" else os.fsencode(args.text)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        try:
            return runner.run(_Sender(args).send(text))
        except AgentError as error:
            print(f"sipmote: {harmless(str(error))}", file=sys.stderr)
            return USAGE


class _Sender:
    """The application behind the shell: one message, or its parts one after the other."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._tls = tls.from_arguments(args)
        self._outcome: asyncio.Future[tuple[Outcome, str]]

    async def send(self, text: bytes) -> int:
        """Send text; returns the exit code. Raises AgentError for what can't be sent as it is."""
        args = self._args
        target = os.fsencode(args.uri)
        proxy = os.fsencode(args.proxy) if args.proxy else None
        transport: bytes = args.transport.upper().encode()
        aor = os.fsencode(args.sender) if args.sender else b"sip:%s@localhost" % user_name()
        ua = UserAgent(aor, b"localhost", os.urandom, proxy=proxy, transport=transport)
        subject = None if args.subject is None else os.fsencode(args.subject)
        how: dict[str, Any] = {"content_type": os.fsencode(args.content_type), "expires": args.expires}
        how["subject"] = subject
        ua.fit(target, b"", "refuse", **how)  # says what is wrong before anything is opened
        shell = Shell(ua, self, self._tls, Resolver(transport, args.dns), proxy)
        try:
            await shell.open(args.bind or ())
            host = await shell.reach(parse_uri(proxy or target))
            if not args.sender:
                ua.aor = b"sip:%s@%s" % (user_name(), bracketed(host.encode()))
            bodies, compact = ua.fit(target, text, args.budget, **how)
            return await self._send_parts(ua, shell, target, bodies, {**how, "compact": compact})
        except OSError as error:
            self._say({"event": "failed", "status": 503, "reason": reason_of(error), "call_id": None})
            return UNANSWERED
        finally:
            await shell.close()

    async def _send_parts(
        self, ua: UserAgent, shell: Shell, target: bytes, bodies: Sequence[bytes], how: dict[str, Any]
    ) -> int:
        """Send the parts until one isn't taken; the last line and the exit code are those of the worst."""
        worst: tuple[int, dict[str, Any]] = (DELIVERED, {})
        for number, body in enumerate(bodies, 1):
            self._outcome = asyncio.get_running_loop().create_future()
            shell.carry_out(ua.send(ua.new_call_id(), target, body, now_ms(), **how))
            code, line = self._read(*await self._outcome)
            if len(bodies) > 1:
                line["parts"] = len(bodies)
                if self._args.json:
                    write_json([{**line, "event": "part", "outcome": line["event"], "part": number}])
            if code >= worst[0]:
                worst = (code, line)
            if code not in (DELIVERED, ACCEPTED):
                break
        self._say(worst[1])
        return worst[0]

    def _read(self, outcome: Outcome, trouble: str) -> tuple[int, dict[str, Any]]:
        """Return exit code and line of an outcome."""
        codes = {"delivered": DELIVERED, "accepted": ACCEPTED, "timeout": UNANSWERED}
        code = UNANSWERED if trouble else codes.get(outcome.name, REFUSED)
        reason = trouble or outcome.reason.decode("utf-8", "backslashreplace")
        call_id = outcome.call_id.decode()
        line = {"event": outcome.name, "status": outcome.status, "reason": reason, "call_id": call_id}
        pause_s = retry_after_s(outcome.retry_after)
        return code, {**line, "retry_after": pause_s} if pause_s else line

    def _say(self, line: dict[str, Any]) -> None:
        if self._args.json:
            write_json([line])
            return
        text = f"{line['event']}: {line['status']} {harmless(line['reason'])}"
        if "retry_after" in line:
            text += f", try again in {line['retry_after']} s"
        if line["event"] in ("delivered", "accepted"):
            print(text)
        else:
            print(f"sipmote: {self._args.uri}: {text}", file=sys.stderr)

    def take(self, batch: Sequence[MessageReceived]) -> Sequence[int]:
        """Nobody is here to read messages."""
        return [_BAD_USE_OF_THE_SENDER] * len(batch)

    def outcome(self, event: Outcome, trouble: str) -> None:
        """What send() waits for."""
        self._outcome.set_result((event, trouble))

    def dropped(self, event: Dropped) -> None:
        """Noise while we wait."""
