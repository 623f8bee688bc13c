"""The other end of a pseudo-terminal, scripted: a board's raw REPL with the raw-paste mode that real boards have."""

import contextlib
import io
import select

from tests.host_tools.scripted_port import ScriptedPort

WINDOW = 128  # octets, as on an ESP32
BANNER = b"raw REPL; CTRL-B to exit\r\n>"


class FakeBoard(ScriptedPort):
    """Its scripts run in CPython. received: what came outside of scripts."""

    def __init__(self, raw_paste: bool = True, deaf: bool = False, chatter: bool = False) -> None:
        self.received = bytearray()
        self.scripts: list[str] = []
        self._raw_paste = raw_paste
        self._raw = False
        self._names: dict[str, object] = {}
        super().__init__(self._chatter if chatter else self._ignore if deaf else self._serve)

    def _serve(self) -> None:
        line = b""
        while True:
            octet = self.read(1)
            self.received += octet
            if octet == b"\x01":
                self._raw = True
                self.write(BANNER)
            elif octet == b"\x02":
                self._raw = False
                self.write(b"\r\n>>> ")
            elif octet == b"\x03":
                line = b""
            elif octet == b"\x04" and self._raw and line:
                self.write(b"OK")
                self._execute(line)
                line = b""
            elif octet == b"\x04":
                self._names = {}
                self.write(b"OK\r\n" * self._raw + b"MPY: soft reboot\r\n" + BANNER * self._raw)
            elif octet == b"\x05" and self._raw:
                assert self.read(1) + self.read(1) == b"A\x01"
                self._paste() if self._raw_paste else self.write(b"R\x00")
            elif self._raw and octet != b"\r":
                line += octet

    def _ignore(self) -> None:
        self._stopping(None)

    def _chatter(self) -> None:
        while not self._stopping(0):
            if select.select([], [self._master], [], 0.01)[1]:
                self.write(b"tick\r\n" * 10)

    def _stopping(self, wait_s: float | None) -> bool:
        return bool(select.select([self._stop_read], [], [], wait_s)[0])

    def _paste(self) -> None:
        self.write(b"R\x01" + WINDOW.to_bytes(2, "little") + b"\x01")
        script, room = b"", 2 * WINDOW
        while (octet := self.read(1)) != b"\x04":
            script += octet
            room -= 1
            assert room >= 0, "more was sent than the window allows"
            if len(script) % WINDOW == 0:
                self.write(b"\x01")
                room += WINDOW
        self.write(b"\x04")
        self._execute(script)

    def _execute(self, script: bytes) -> None:
        self.scripts.append(script.decode())
        output, problem = io.StringIO(), ""
        try:
            with contextlib.redirect_stdout(output):
                exec(script, self._names)
        except Exception as error:
            problem = f'Traceback (most recent call last):\r\n  File "<stdin>"\r\n{type(error).__name__}: {error}\r\n'
        self.write(output.getvalue().encode() + b"\x04" + problem.encode() + b"\x04>")
