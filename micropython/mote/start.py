"""What a board does once, when its program begins to run. Freed when that is done."""

import asyncio
import os

import micropython
from mote.forget import forget
from mote.log import INFO
from mote.net.bind import bind_udp


def begin(mote: object) -> None:
    """Open the socket and begin what runs beside the sensors."""
    if hasattr(micropython, "alloc_emergency_exception_buf"):  # a VM without interrupts has none
        micropython.alloc_emergency_exception_buf(100)  # an interrupt handler that fails can say why
    settings = mote.settings
    given = settings.get
    transport = given("transport", "udp")
    host, _, port = given("bind", "0.0.0.0:5060").rpartition(":")
    udp = None if transport == "serial" else bind_udp(host, int(port))
    forget()
    mote.log(INFO, "boot", aor=settings["aor"], commands=" ".join(sorted(mote.commands)))
    forget()  # before there are tasks, which stay: they fill the gaps
    is_first = mote.shell._ticker is None
    mote.shell.open(udp)
    if mote.outbox is not None:
        mote.outbox.open()
    if not is_first:
        from mote.second_run import begin as begin_anew

        begin_anew(mote)
    _connect(mote, transport, host, int(port))
    try:
        os.stat("/intervals")
    except OSError:  # all sensors run as the program says
        pass
    else:
        from mote.intervals import restore

        restore(mote)
    forget()


def _connect(mote: object, transport: str, host: str, port: int) -> None:
    """Begin with what leads to others."""
    given = mote.settings.get
    if transport[0] == "t":
        mote.shell.others().listen(host, port)
    if transport == "serial":
        from mote.net.serial import Serial

        Serial(mote)
    elif given("wifi") or given("lan") is not None:
        from mote.net.link import keep_up

        asyncio.create_task(keep_up(mote))
    elif given("register") or given("ntp"):
        from mote.online import online

        online(mote, host)
