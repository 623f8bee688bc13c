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
    given = mote.settings.get
    transport = given("transport", "udp")
    host, _, port = given("bind", "0.0.0.0:5060").rpartition(":")
    is_serial = len(transport) > 3  # of udp, tcp, tls and serial; another text would be another name to keep
    udp = None if is_serial else bind_udp(host, int(port))
    forget()
    mote.log(INFO, "boot", aor=given("aor"), commands=" ".join(sorted(mote.commands)))
    forget()  # before there are tasks, which stay: they fill the gaps
    is_first = mote.shell._ticker is None
    mote.shell.open(udp)
    if mote.outbox is not None:
        mote.outbox.open()
    if not is_first:
        from mote.second_run import begin as begin_anew

        begin_anew(mote)
    if transport != "udp" and not is_serial:
        mote.shell.others().listen(host, int(port))
    if is_serial or given("fallback"):
        from mote.net.serial import open

        open(mote)
    if is_serial:
        pass
    elif given("wifi") or given("lan") is not None:
        from mote.net.link import keep_up

        asyncio.create_task(keep_up(mote))
    elif given("register") or given("ntp"):
        from mote.online import online

        online(mote, host)
    restore(mote)
    forget()


def restore(mote: object) -> None:
    """Have sensors run as somebody has said; its name is one that a board has in any case."""
    try:
        os.stat("/intervals")
    except OSError:  # all sensors run as the program says
        return
    from mote.intervals import restore

    restore(mote)
