"""An inbox from its start to its end: signals, and faults that nobody has caught."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from sipmote.agent.errors import AgentError
from sipmote.errors import ToolError
from sipmote.inbox.app import Inbox
from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.screen import Screen
from sipmote.printer import Printer
from sipmote.sip.reasons import fault, reason_of


async def serve(
    make: Callable[[Callable[..., None]], Inbox], screen: Screen, printer: Printer, reloads: bool = True
) -> None:
    """Be an inbox until SIGINT or SIGTERM, or until nobody reads our stdout any more, as any program in a pipe.

    reloads: SIGHUP has its files read again; else that ends it, too, unless it is ignored (nohup).
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, ended)
    if not reloads and hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, _end, ended)
    loop.set_exception_handler(lambda loop, context: _on_exception(context, screen))
    printer.on_broken(lambda error: _end_from_thread(loop, ended, error))
    try:
        inbox = make(partial(_end, ended))
    except AgentError as error:
        raise ToolError(str(error)) from None
    except StoreError as error:
        raise ToolError(f"can't use the file of messages: {trouble(error)}") from None
    try:
        if hasattr(signal, "SIGHUP"):  # not on Windows
            if reloads:
                loop.add_signal_handler(signal.SIGHUP, inbox.reload)
            loop.add_signal_handler(signal.SIGUSR1, inbox.hasten)
        await inbox.open()
        await ended
        await inbox.unregister()
    finally:
        await inbox.close()


def _end(ended: asyncio.Future[None], error: BaseException | None = None) -> None:
    if not ended.done():
        ended.set_result(None) if error is None else ended.set_exception(error)


def _end_from_thread(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None], error: BaseException) -> None:
    with contextlib.suppress(RuntimeError):  # it has ended already
        loop.call_soon_threadsafe(_end, ended, error)


def _on_exception(context: dict[str, Any], screen: Screen) -> None:
    """Tell of what nobody has caught, and go on."""
    error = context.get("exception")
    what = reason_of(error) if isinstance(error, OSError) else fault(error) if error else "nothing more is known"
    screen.warning(f"{context['message']}: {what}")
