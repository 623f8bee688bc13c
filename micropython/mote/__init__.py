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
from time import ticks_add, ticks_ms

from agent.compat import const

_before = gc.threshold()  # what the program's author wants, or the port
_LOADING = const(1056)  # octets, which nobody else sets: what loading leaves goes before the next is loaded
gc.threshold(_LOADING)  # memory stays in one piece

from agent.clock import until
from agent.events import Outcome
from mote.log import ERROR, INFO, put, sent
from mote.net.shell import Shell
from mote.net.sockets import now

_STARTED_S = const(30)
_MAX_ALERTS = const(16)  # that may wait for their outcome at once: all are in RAM
_DAY_MS = const(86400000)  # ticks wrap: asyncio sleeps for 6 days at most
_MAX_CONTENT = const(3000)  # octets of a record's event and fields; sipmote reads frames with 46 more
_SHORT = const(100)  # octets of a text that fits whatever stands around it


def _loaded() -> None:
    """Have memory collected as before, unless the program has set something else since."""
    if gc.threshold() == _LOADING:
        gc.threshold(_before)


class Alert:
    """A text on its way: `await` it for its outcome, which is None until then.

    outcome: "delivered", "accepted", "failed", "refused" or "expired". born_s: the uptime when it was raised.
    accepted: will it outlive a power cut, or is it in RAM where nothing does?
    """

    outcome = expires = None
    outbox = None  # the one that has it while it is under way
    accepted = True
    options = {}  # of UserAgent.send(), never changed
    pause_s = 2  # until the next attempt, doubled each time
    waiting = None  # tasks
    _sensors = ()  # the program's: one that waits here goes on once it is due again

    def __init__(self, target: bytes, body: bytes, expires: int | None, uptime: object) -> None:
        self.target = target
        self.body = body
        if expires is not None:  # a board pays for each attribute
            self.expires = expires
            self.born_s = uptime()

    def __iter__(self) -> object:
        if self.outbox is not None and self.outcome is None:
            self.outbox.go_on()
        task = core.cur_task
        limit_ms = 0
        for sensor in self._sensors:
            if sensor[2] is task:
                limit_ms = sensor[0]
        if self.waiting is None:
            self.waiting = []
        while self.outcome is None:
            self.waiting.append(task)
            core._task_queue.push(task, ticks_add(ticks_ms(), min(limit_ms or _DAY_MS, _DAY_MS)))
            try:
                yield
            finally:
                self.waiting.remove(task)
            if limit_ms:
                break
        return self.outcome

    __await__ = __iter__

    def __getattr__(self, name: str) -> object:
        if name != "send" and name != "throw":
            raise AttributeError(name)
        from mote.coroutine import method

        return method(name, self)

    def end(self, outcome: str) -> None:
        """Tell whoever waits. After a MemoryError it has no outcome yet."""
        is_first = self.outcome is None
        self.outcome = outcome
        if self.outbox is not None and is_first:
            self.outbox.ended(self, outcome)
        for task in self.waiting or ():
            if task.data is None:  # else it was cancelled
                core._task_queue.remove(task)
                core._task_queue.push(task)


class Mote:
    """A board as a SIP MESSAGE user agent, configured by /mote.json."""

    Alert = Alert  # for the modules that are loaded on demand

    def __init__(self) -> None:
        from mote.settings import level, load, user_agent

        self.settings = settings = load()
        self.agent = user_agent(settings, self)
        self._level = level(settings)
        from mote.forget import forget

        forget()
        self.commands = {}
        self._sensors = Alert._sensors = []
        self._alerts = {}  # by Call-ID
        self.shell = Shell(self.agent, self._on_event, settings)
        self._mark = now()
        self._uptime_ms = 0
        self.outbox = None
        if settings.get("outbox", True) is not False:
            from mote.outbox import Outbox

            self.outbox = Outbox(self)
        if settings.get("watchdog"):
            from mote.safe import guarded

            self.run = guarded(self)  # type: ignore[method-assign]

    def every(self, seconds: float) -> object:
        """Decorate a function without arguments, async or not, to run now and then every so many seconds."""
        period_ms = int(float(seconds) * 1000)  # here, where a slip shows in the program's line

        def keep(function: object) -> object:
            self._sensors.append([period_ms, function, None, False])  # its task; does it wait?
            return function

        return keep

    def command(self, word: str) -> object:
        """Decorate a function, async or not, of a Command; what it returns is sent back. word: in any case."""
        word = word.lower()
        if len(word.split()) != 1:
            from mote.failure import command

            command(word)

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

            content = cbor(str(event)) + cbor(fields)
            if len(content) > _MAX_CONTENT:
                from mote.cut import cut

                content = cut(str(event), fields, _MAX_CONTENT)
            put(level, self.uptime_ms(), self.agent.uac.clock, content)

    def alert(
        self,
        text: str,
        expires: int | None = None,
        to: object = None,
        priority: int = 0,
        key: str | None = None,
        escalate_s: int | None = None,
    ) -> Alert:
        """Send text; returns at once what can be awaited for its outcome.

        While nobody answers it is sent again, for as long as it is valid, and not before the time that a server names;
        the receiver knows repeated copies by their Call-ID. With the setting notify, accepted becomes delivered or
        failed when the receiver tells of it in time. expires: seconds that it is valid; None for ever. to: a URI, or a
        list of them; else the setting. priority: 0 to 255, the highest goes first. key: it replaces the one with the
        same key that waits and was never sent; a text that waits already is counted instead. escalate_s: seconds after
        which the next one in the list gets it, unless somebody acknowledges or none before him could be reached; 0
        for all at once; None for the setting. It is on flash when this returns, or with `outbox: false` in RAM, where
        16 may wait and a further one fails, and only text, expires and one recipient mean anything.
        Raises agent.errors.UsageError for a text over the budget, where the policy doesn't allow to change it.
        """
        if expires is not None or priority:
            from mote.dating import check

            check(expires, priority)
        body = str(text).encode()
        is_short = len(body) <= _SHORT and not self.settings.get("notify")
        if to is None:
            to = self.settings["to"]
        if type(to) is not str:
            from mote.escalation import alert_several

            return alert_several(self, body, expires, to, is_short, (priority, key, escalate_s))
        if self.outbox is not None:
            alert = Alert(to.encode(), body, expires, self.uptime)
            return self.outbox.put(alert, is_short, priority, key, 0)
        return self.in_ram(to.encode(), body, is_short, expires)

    def in_ram(self, target: bytes, body: bytes, is_short: bool, expires: int | None) -> Alert:
        """Send an alert that is nowhere but in memory; see alert()."""
        if len(self._alerts) >= _MAX_ALERTS or not is_short:
            from mote.fitting import send_fitted

            return send_fitted(self, target, body, expires, len(self._alerts) >= _MAX_ALERTS)
        alert = Alert(target, body, expires, self.uptime)
        self.submit(alert)
        return alert

    def submit(self, alert: Alert, call_id: bytes | None = None) -> None:
        """Hand an alert to the core. call_id: of an earlier attempt. Raises agent.errors.UsageError."""
        call_id = call_id or self.agent.new_call_id()
        options = alert.options
        if alert.expires is not None and "expires" not in options:
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
        alert = self._alerts.get(call_id)
        if alert is not None:
            alert.end(outcome)  # for which memory may be missing: then it has none yet
            self._alerts.pop(call_id, None)

    def sleep(self, seconds: float) -> object:
        """Sleep deeply once no alert needs the board awake; then the program starts anew. It may be awaited."""
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
        gc.collect()  # the gap is for what stays
        for sensor in self._sensors:
            sensor[2] = asyncio.create_task(self._repeat(sensor))
        await asyncio.sleep(_STARTED_S)
        _loaded()  # who has sent nothing yet isn't slowed down any longer
        while True:
            try:
                from mote.online import keep_house

                await keep_house(self)
            except Exception as error:
                await self.shell.failed(error)

    async def _repeat(self, sensor: list) -> None:
        while True:
            try:
                result = sensor[1]()
                if type(result) is type(core.cur_task.coro):
                    await result
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # CancelledError is no Exception
                try:
                    from mote.failure import told

                    self.log(ERROR, "sensor_failed", **told(error))
                except MemoryError:
                    print("sensor_failed", error)
            result = None
            left_ms = sensor[0]
            sensor[3] = True
            while sensor[3]:
                await asyncio.sleep_ms(min(left_ms, _DAY_MS))
                left_ms -= _DAY_MS
                sensor[3] = sensor[3] and left_ms > 0  # mote.intervals may have ended it

    def _on_event(self, event: object) -> None:
        if type(event) is not Outcome:
            from mote.news import take

            take(self, event)
            return
        _loaded()  # what an exchange needs
        alert = self._alerts.get(event.call_id)
        if event.status < 300 and (event.status != 202 or alert is None or not alert.options):
            self.ended(event.call_id, event.name)
        else:
            from mote.alerts import answered

            answered(self, alert, event)
        if event.status < 300 and self._level <= INFO:  # last: if memory runs out, nothing but the record is lost
            sent(self.uptime_ms(), self.agent.uac.clock, event)
