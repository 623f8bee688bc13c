"""What comes and is no plain 2xx: odd responses, refusals, requests, keepalives. Loaded when the first of them comes."""

from .client_transaction import ClientTransaction
from .compat import const
from .events import Dropped, Transmit
from .message import Message

_RTC = const(2)  # agent.wall_clock.RTC
_PING = b"\r\n\r\n"


class Receiver:
    """The receiving part of a user agent.

    uac: whose requests responses answer. serving: what agent.uas.Uas takes. reader: makes a Message of octets.
    """

    def __init__(self, uac: object, serving: tuple, reader: object | None) -> None:
        self._uac = uac
        self._serving = serving
        self._reader = reader or Message
        self.uas: Uas | None = None  # type: ignore[name-defined]  # noqa: F821

    def receive(self, data: bytes | Message, flow: tuple, registration: object | None, now: int) -> list | tuple:
        """Take what came on a flow. registration: hears of the answers to its pings, None without one."""
        if isinstance(data, bytes):
            octets = data.lstrip(b"\r\n\0")  # line ends may come first (RFC 3261 section 7.5)
            if not octets:  # a keepalive (RFC 5626 section 3.5.1); only a stream's is answered
                if registration is not None:
                    registration.pong(flow)  # type: ignore[attr-defined]
                return (Transmit(b"\r\n", flow),) if data == _PING and flow[0] != b"UDP" else ()
            data = self._reader(octets)  # type: ignore[operator]
        message: Message = data
        if message.status or not message.method:
            if not message.status or message.missing():
                return (Dropped("bytes that are no SIP message", flow),)
            attempt = self._match(message)
            if attempt is None:
                return (Dropped("a response to no request of ours", flow),)
            answer = (message.status, message.reason, message.get(b"date"), message)
            return self._uac.answered(attempt, *answer, now)  # type: ignore[attr-defined,no-any-return]
        if not message.body_at and flow[0] == b"UDP":
            return (Dropped("a request without an end of its header fields", flow),)
        if self.uas is None:
            from .uas import Uas

            self.uas = Uas(*self._serving, self._uac.token)  # type: ignore[attr-defined]
        return self.uas.receive(message, flow, self._uac.clock, now)  # type: ignore[attr-defined,no-any-return]

    def _match(self, message: Message) -> ClientTransaction | None:
        """Return the attempt that a response answers (RFC 3261 sections 17.1.3 and 18.1.2), None for a stray.

        The one Via of a response to us is the one we wrote, with parameters added and perhaps in another order.
        """
        vias = message.all(b"via")
        via = vias[0].lower() if len(vias) == 1 else b""
        branch = via[via.find(b"z9hg4bk") :].split(b";")[0].rstrip()
        attempt: ClientTransaction | None = self._uac.pending.get(branch)  # type: ignore[attr-defined]
        if message.fault or attempt is None or via.find(b",") >= 0:
            return None
        ours = attempt.via[5:].lower().split(b";")[0].split()
        cseq = (message.get(b"cseq") or b"").split()
        if via.split(b";")[0].split()[-1:] != ours[-1:] or cseq[-1:] != [attempt.request.method]:  # type: ignore[attr-defined]
            return None
        return attempt

    def respond(self, received: object, status: int, reason: bytes, now: int) -> list:
        """Answer a MessageReceived; see UserAgent.respond()."""
        fields = b""
        clock = self._uac.clock  # type: ignore[attr-defined]
        if (
            200 <= status < 300 and clock is not None and clock.quality >= _RTC
        ):  # a board without a clock learns from it
            from .headers.date_writer import format_date

            fields = b"Date: %s\r\n" % format_date(clock.unix(now))
        return self.uas.respond(received, status, fields, now, reason)  # type: ignore[union-attr,no-any-return]

    def wake(self, now: int) -> list:
        """Let time pass for the requests of others."""
        return [] if self.uas is None else self.uas.wake(now)

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, None for never."""
        return None if self.uas is None else self.uas.wait_ms(now)
