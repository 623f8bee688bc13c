"""The prompt of an inbox at a terminal: it shows whom a line goes to, and keeps what is typed below what arrives.

It lives in a thread with a loop of its own, as the printer does: a terminal that takes nothing must not stop the inbox.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output

from sipmote.console import harmless
from sipmote.inbox.keyboard import Aim
from sipmote.printer import Printer, write

_CLOSING_S = 2.0
_SETTLING_S = 0.01  # for what the printer has just begun to write
_SHORTEST = 12  # characters of a name that are shown on the narrowest terminal


class Prompt:
    """Reads lines, and gives each of them with whom it was typed for."""

    def __init__(
        self,
        aim: Callable[[], Aim],
        take: Callable[[str, Aim], Coroutine[Any, Any, None]],
        quit: Callable[[], None],
        printer: Printer,
    ) -> None:
        """Show nothing yet, within the running loop, in which the functions are called, but for aim.

        aim: whom a line that is begun now goes to. take: a line has been typed, the next is read when it is through.
        quit: the person wants to end it.
        """
        self._aim, self._take, self._quit = aim, take, quit
        self._shown = aim()
        self._is_over = False
        self._reading: asyncio.Task[None] | None = None
        self._printer = printer
        self._inbox = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        output = create_output()
        output.enable_cpr = False  # type: ignore[attr-defined]  # not every terminal says where its cursor is
        self._session: PromptSession[str | None] = PromptSession(
            self._message, output=output, key_bindings=self._keys(), enable_suspend=True
        )
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Show the prompt; what the printer writes goes above it from now on."""
        self._thread.start()
        self._printer.write_by(self._write)

    def refresh(self) -> None:
        """Who a line goes to may have changed."""
        self._session.app.invalidate()

    async def close(self) -> None:
        """Give the terminal back as it was, if we had it."""
        if not self._thread.ident:
            return
        self._printer.write_by(write)
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._end)
        await asyncio.to_thread(self._thread.join, _CLOSING_S)

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._session.app.is_running:
            self._session.app.exit()
        elif self._reading is not None:
            self._reading.cancel()  # it waits for the inbox to take a line

    def _keys(self) -> KeyBindings:
        """Ctrl-C takes back what is typed, and ends the inbox where nothing is, as Ctrl-D does."""
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not buffer.text:
                self._inbox.call_soon_threadsafe(self._quit)
                self._end()
            elif event.key_sequence[0].key == "c-d":
                buffer.delete()
            else:
                buffer.reset()

        return keys

    def _message(self) -> StyleAndTextTuples:
        """Return what stands before the line. Whom it goes to stays as it is once something is typed."""
        if not self._session.app.current_buffer.text:
            self._shown = self._aim()
        name = harmless(self._shown.name)
        room = max(_SHORTEST, self._session.output.get_size().columns // 2)
        if len(name) > room:  # its end tells a host from a stranger's that begins as it does
            name = f"{name[: room // 2 - 3]}...{name[-(room // 2) :]}"
        return [("", "to "), ("bold", name), ("", "> ")]

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._reading = self._loop.create_task(self._read())
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._reading)
        finally:
            self._printer.write_by(write)
            with contextlib.suppress(RuntimeError):  # it has ended already; else the terminal has gone, and we with it
                self._inbox.call_soon_threadsafe(self._quit)
            self._loop.run_until_complete(asyncio.sleep(_SETTLING_S))
            self._loop.close()

    async def _read(self) -> None:
        # Raw from the first to the last line: what is typed between two of them is not shown twice, nor is it a signal.
        with contextlib.suppress(EOFError, OSError, RuntimeError), self._session.input.raw_mode():
            while not self._is_over:
                self._shown = self._aim()
                line = await self._session.prompt_async(handle_sigint=False, set_exception_handler=False)
                if line is None:
                    break
                taken = asyncio.run_coroutine_threadsafe(self._take(line, self._shown), self._inbox)
                await asyncio.wrap_future(taken)

    def _write(self, descriptor: int, octets: bytes) -> OSError | None:
        """Write above the prompt what is for the same terminal. It is the printer's thread that waits."""
        if os.isatty(descriptor):
            with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):  # it has just ended
                return asyncio.run_coroutine_threadsafe(self._write_above(descriptor, octets), self._loop).result()
        return write(descriptor, octets)

    async def _write_above(self, descriptor: int, octets: bytes) -> OSError | None:
        """Write in place of the prompt, which comes back below. run_in_terminal() would let Ctrl-C be a signal."""
        app = self._session.app
        if app.is_running:
            app.renderer.erase()
            app.invalidate()
        return write(descriptor, octets)
