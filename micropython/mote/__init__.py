"""What a sensor's program imports: one object that sends alerts, runs sensors and answers commands.

from machine import ADC, Pin
from mote import Mote

mote = Mote()
probe = ADC(Pin(34))

@mote.every(30)
def boiler():
    if probe.read_u16() > 40000:
        mote.alert("Boiler too hot", expires=600)

mote.run()
"""

import asyncio
import gc
from asyncio import core

_before = gc.threshold()  # what the program's author wants, or the port
gc.threshold(1024)  # what loading leaves behind goes before the next thing is loaded: memory stays in one piece

from agent.clock import until
from agent.compat import const
from agent.events import Outcome
from mote.log import ERROR, INFO, put, sent
from mote.net.shell import Shell
from mote.net.sockets import now

_STARTED_S = const(30)
_MAX_ALERTS = const(16)  # that may wait for their outcome at once: all are in RAM
_SHORT = const(100)  # octets of a text that fits whatever stands around it


class Alert:
    """A text on its way: `await` it for its outcome, which is None until then.

    outcome: "delivered", "accepted", "failed", "refused" or "expired". born_s: the uptime when it was raised.
    """

    outcome = expires = None
    options = {}  # of UserAgent.send(), never changed
    pause_s = 2  # until the next attempt, doubled each time
    _waiting = None  # tasks

    def __init__(self, target: bytes, body: bytes, expires: int | None, uptime: object) -> None:
        self.target = target
        self.body = body
        if expires is not None:  # a board pays for each attribute
            self.expires = expires
            self.born_s = uptime()

    def __iter__(self) -> object:
        if self.outcome is None:
            if self._waiting is None:
                self._waiting = core.TaskQueue()
            self._waiting.push(core.cur_task)
            core.cur_task.data = self._waiting  # where a task that is cancelled is taken from
            yield
        return self.outcome

    __await__ = __iter__

    def end(self, outcome: str) -> None:
        """Tell whoever waits."""
        self.outcome = outcome
        while self._waiting is not None and self._waiting.peek():
            core._task_queue.push(self._waiting.pop())


class Mote:
    """A board as a SIP MESSAGE user agent, configured by /mote.json."""

    Alert = Alert  # for the modules that are loaded on demand

    def __init__(self) -> None:
        from mote.settings import level, load, user_agent

        self.settings = settings = load()
        self.agent = user_agent(settings)
        self._level = level(settings)
        from mote.forget import forget

        forget()
        self.commands = {}
        self._sensors = []
        self._alerts = {}  # by Call-ID
        self.shell = Shell(self.agent, self._on_event, settings)
        self._mark = now()
        self._uptime_ms = 0
        if settings.get("watchdog"):
            from mote.safe import guarded

            self.run = guarded(self)  # type: ignore[method-assign]

    def every(self, seconds: float) -> object:
        """Decorate a function without arguments, async or not, to run now and then every so many seconds."""
        period_ms = int(float(seconds) * 1000)  # here, where a slip shows in the program's line

        def keep(function: object) -> object:
            self._sensors.append((period_ms, function))
            return function

        return keep

    def command(self, word: str) -> object:
        """Decorate a function, async or not, of a Command; what it returns is sent back. word: in any case."""
        word = word.lower()

        def keep(function: object) -> object:
            self.commands[word] = function
            return function

        return keep

    def uptime(self) -> int:
        """Return the seconds since the program began."""
        return self.uptime_ms() // 1000

    def uptime_ms(self) -> int:
        """Return the ms since the program began; to be asked at least every six days."""
        at = now()
        self._uptime_ms += until(at, self._mark)
        self._mark = at
        return self._uptime_ms

    def log(self, level: int, event: str, **fields: object) -> None:
        """Write a log record (levels and field types: mote.log)."""
        if level >= self._level:
            from mote.cbor import cbor

            put(level, self.uptime_ms(), self.agent.uac.clock, cbor(event) + cbor(fields))

    def alert(self, text: str, expires: int | None = None, to: str | None = None) -> Alert:
        """Send text; returns at once what can be awaited for its outcome.

        While nobody answers it is sent again, for as long as it is valid, and not before the time that a server names;
        the receiver knows repeated copies by their Call-ID. With the setting notify, accepted becomes delivered or
        failed when the receiver tells of it in time. expires: seconds that it is valid; None for ever. to: a URI, else
        the configured one. When 16 alerts wait already, a further one fails.
        Raises agent.errors.UsageError for a text over the budget, where the policy doesn't allow to change it.
        """
        target = (to or self.settings["to"]).encode()
        body = text.encode()
        if len(self._alerts) >= _MAX_ALERTS or len(body) > _SHORT or self.settings.get("notify"):
            from mote.alerts import send_fitted

            return send_fitted(self, target, body, expires, len(self._alerts) >= _MAX_ALERTS)
        alert = Alert(target, body, expires, self.uptime)
        self.submit(alert)
        return alert

    def submit(self, alert: Alert, call_id: bytes | None = None) -> None:
        """Hand an alert to the core. call_id: of an earlier attempt. Raises agent.errors.UsageError."""
        call_id = call_id or self.agent.new_call_id()
        options = alert.options
        if alert.expires is not None:
            options = dict(options, expires=alert.expires - self.uptime() + alert.born_s)
        is_known = call_id in self._alerts
        self._alerts[call_id] = alert  # before the core has it
        try:
            events = self.agent.send(call_id, alert.target, alert.body, now(), **options)
        except Exception:
            if not is_known:
                del self._alerts[call_id]
            raise
        self.shell.carry_out(events)

    def ended(self, call_id: bytes, outcome: str) -> None:
        """An alert has its outcome: nothing more is sent with this Call-ID."""
        alert = self._alerts.pop(call_id, None)
        if alert is not None:
            alert.end(outcome)

    def sleep(self, seconds: float) -> object:
        """Sleep deeply once no alert needs the board awake; to be awaited, and it starts the program anew."""
        from mote.power import sleep

        return sleep(self, seconds)

    def run(self) -> None:
        """Run sensors and commands until Ctrl-C."""
        try:
            asyncio.run(self._main())
        finally:
            self.shell.close()
            asyncio.new_event_loop()

    async def _main(self) -> None:
        from mote.start import begin

        begin(self)
        begin = None  # type: ignore[assignment]  # with its module
        for sensor in self._sensors:
            asyncio.create_task(self._repeat(*sensor))
        await asyncio.sleep(_STARTED_S)
        gc.threshold(_before)  # who has sent nothing yet isn't slowed down any longer
        while True:
            try:
                from mote.online import keep_house

                await keep_house(self)
            except Exception as error:
                await self.shell.failed(error)

    async def _repeat(self, period_ms: int, function: object) -> None:
        while True:
            try:
                result = function()
                if hasattr(result, "send"):  # a coroutine
                    await result
            except Exception as error:
                try:
                    self.log(ERROR, "sensor_failed", error=repr(error))
                except MemoryError:
                    print("sensor_failed", error)
            result = None
            await asyncio.sleep_ms(period_ms)

    def _on_event(self, event: object) -> None:
        if type(event) is not Outcome:
            from mote.news import take

            take(self, event)
            return
        gc.threshold(_before)  # what an exchange needs is loaded now
        alert = self._alerts.get(event.call_id)
        if event.status < 300 and (alert is None or not alert.options):
            self.ended(event.call_id, event.name)
        else:
            from mote.alerts import answered

            answered(self, alert, event)
        if event.status < 300 and self._level <= INFO:  # last: if memory runs out, nothing but the record is lost
            sent(self.uptime_ms(), self.agent.uac.clock, event)
