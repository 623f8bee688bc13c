"""What a sensor's program imports: one object that sends alerts, runs sensors and answers commands.

from mote import Mote
mote = Mote()

@mote.every(30)
async def boiler():
    if read_probe() > 80:
        await mote.alert("Boiler too hot", expires=600)

mote.run()
"""

import asyncio
import gc
import os
import sys

gc.threshold(1024)  # what loading leaves behind goes before the next thing is loaded: memory stays in one piece

from agent.clock import until
from agent.errors import UsageError
from agent.events import Dropped
from agent.user_agent import UserAgent
from mote.log import DEBUG, ERROR, INFO, LEVELS, WARNING, Log
from mote.net.shell import Shell, now

_HOUSEKEEPING_MS = 3600000
_STARTED_S = 30
_FIRST_PAUSE_S = 2
_LONGEST_PAUSE_S = 60


def _forget(name: str) -> None:
    """Free a module of this package that has done what it was loaded for."""
    del sys.modules["mote." + name]
    del globals()[name]


class Mote:
    """A board as a SIP MESSAGE user agent, configured by /mote.json."""

    def __init__(self) -> None:
        from mote.settings import load

        self.settings = configured = load()
        _forget("settings")
        aor = configured["aor"].encode()
        host, _, port = configured["bind"].rpartition(":")
        self._bind = (host, int(port))
        proxy = configured["proxy"]
        accept = (b"text/plain",)
        if configured["notify"]:
            from mote.notify import ACCEPT as accept
        self.agent = UserAgent(
            aor,
            self._sent_by(host),
            os.urandom,
            proxy=proxy.encode() if proxy else None,
            transport=configured["transport"].upper().encode(),
            users=(aor[aor.find(b":") + 1 :].split(b"@")[0],),
            accept=accept,
        )
        if configured["password"] or configured["commanders"]:
            from mote.passwords import configure

            configure(self.agent, configured, os.urandom)
            _forget("passwords")
        self.commands = {}
        self._sensors = []
        self._log = Log(LEVELS.index(configured["log"]), self.agent.clock, now)
        self.shell = Shell(self.agent, self._on_event, configured)
        self._mark = now()
        self._uptime_ms = 0

    def every(self, seconds: int) -> object:
        """Decorate an async function without arguments that is to run now and then every so many seconds."""

        def keep(function: object) -> object:
            self._sensors.append((seconds * 1000, function))
            return function

        return keep

    def command(self, word: str) -> object:
        """Decorate an async function that takes a Command; what it returns is sent back. word: lower case."""

        def keep(function: object) -> object:
            self.commands[word] = function
            return function

        return keep

    def uptime(self) -> int:
        """Return the seconds since the program began."""
        return self._uptime() // 1000

    def log(self, level: int, event: str, **fields: object) -> None:
        """Write a log record (levels and field types: mote.log)."""
        self._log.write(level, event, self._uptime(), fields)

    async def alert(self, text: str, expires: int | None = None, to: str | None = None) -> str:
        """Send text and return what became of it: delivered, accepted, failed, refused or expired.

        While nobody answers it is sent again, for as long as it is valid, and not before the time that a server names;
        the receiver knows repeated copies by their Call-ID. With the setting notify, accepted becomes delivered or
        failed when the receiver tells of it in time. expires: seconds that it is valid; None for ever. to: a URI, else
        the configured one.
        Raises agent.errors.UsageError for a text over the budget, where the policy doesn't allow to change it.
        """
        target = (to or self.settings["to"]).encode()
        body = text.encode()
        try:
            return await self.deliver(target, body, expires, False)
        except UsageError:
            from mote.parts import deliver

            return await deliver(self, target, body, expires)

    def run(self) -> None:
        """Run sensors and commands until Ctrl-C."""
        try:
            asyncio.run(self._main())
        finally:
            self.shell.close()
            asyncio.new_event_loop()

    async def _main(self) -> None:
        self.log(INFO, "boot", aor=self.settings["aor"], commands=" ".join(sorted(self.commands)))
        from mote.clock import ask_rtc

        ask_rtc(self.agent.clock)
        _forget("clock")
        self.shell.open(self._bind[0], self._bind[1], self.settings["transport"] != "udp")
        if self.settings["wifi"]:
            from mote.net.wifi import keep_up

            asyncio.create_task(keep_up(self))
        else:
            self.online(self._bind[0])
        for period_ms, function in self._sensors:
            asyncio.create_task(self._repeat(period_ms, function))
        await asyncio.sleep(_STARTED_S)
        gc.threshold(-1)  # who has sent nothing yet isn't slowed down any longer
        while True:
            await asyncio.sleep_ms(_HOUSEKEEPING_MS)
            self._uptime()
            self.agent.clock.unix(now())
            self._ask_ntp()

    async def _repeat(self, period_ms: int, function: object) -> None:
        while True:
            try:
                await function()
            except Exception as error:
                self.log(ERROR, "sensor_failed", error=repr(error))
            await asyncio.sleep_ms(period_ms)

    def deliver(self, target: bytes, body: bytes, expires: int | None, compact: bool) -> object:
        call_id = self.agent.new_call_id()
        if self.settings["notify"]:
            from mote.notify import deliver

            return deliver(self, self.agent, call_id, target, body, expires, compact)
        return self.send(call_id, target, body, expires, compact=compact)

    async def send(self, call_id: bytes, target: bytes, body: bytes, expires: int | None, **options: object) -> str:
        """Send a message until somebody answers or it has expired; returns its outcome. For options see UserAgent."""
        began = self.uptime()
        left = expires
        pause = _FIRST_PAUSE_S
        while True:
            outcome = await self.shell.send(call_id, target, body, expires=left, **options)
            self.log_outcome(outcome)
            if outcome.name != "timeout" and outcome.status != 503:
                return outcome.name
            wait = pause
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            if outcome.retry_after:
                from agent.headers.delta import retry_after_s

                wait = max(wait, retry_after_s(outcome.retry_after))
            if expires is not None:
                left = expires - (self.uptime() - began) - wait
                if left <= 0:
                    return "expired"
            await asyncio.sleep(wait)

    def log_outcome(self, outcome: object) -> None:
        gc.threshold(-1)  # what an exchange needs is loaded now
        level = INFO if outcome.status < 300 else WARNING
        fields = {"name": outcome.name, "status": outcome.status, "call_id": outcome.call_id.decode()}
        if outcome.status >= 300:
            fields["reason"] = outcome.reason
        self.log(level, "outcome", **fields)

    def _on_event(self, event: object) -> None:
        if type(event) is Dropped:
            self.log(DEBUG, "dropped", reason=event.reason)
        else:
            from mote.commands import take

            take(self, event)

    def online(self, address: str) -> None:
        """The network is there, and our address in it is known: what needs it can begin."""
        self.agent.sent_by = self._sent_by(address)
        self._ask_ntp()
        if self.settings["register"]:
            from mote.identity import instance

            events = self.agent.register(now(), expires=self.settings["register"], instance=instance())
            _forget("identity")
            self.shell.carry_out(events)

    def _ask_ntp(self) -> None:
        server = self.settings["ntp"]
        if server:
            from mote.clock import ask_ntp

            if not ask_ntp(self.agent.clock, server):
                self.log(WARNING, "ntp_silent", server=server)
            _forget("clock")

    def _sent_by(self, host: str) -> bytes:
        """Return our sent-by; where the address isn't known, answers still find us by rport (RFC 3581)."""
        return b"%s:%d" % (b"mote.invalid" if host in ("0.0.0.0", "[::]") else host.encode(), self._bind[1] or 5060)

    def _uptime(self) -> int:
        """Return the ms since the program began; to be asked at least every six days."""
        self._uptime_ms += until(now(), self._mark)
        self._mark = now()
        return self._uptime_ms
