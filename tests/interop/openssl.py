"""OpenSSL's s_client and s_server: what a person does by hand at one end of a TLS stream."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host_tools.peers import answer
from tests.interop.peers import free_port, is_listening, program, running, wait_until


def ask(folder: Path, place: str, ca: str, request: bytes, *options: str) -> str:
    """Pipe octets into s_client; returns all that it said when an answer or its end has come."""
    log = folder / "s_client.log"
    log.unlink(missing_ok=True)
    command = [program("openssl", "openssl"), "s_client", "-connect", place, "-CAfile", ca, "-verify_return_error"]
    with running([*command, "-quiet", *options], log, stdin=subprocess.PIPE) as process:
        assert process.stdin
        with contextlib.suppress(BrokenPipeError), process.stdin as typed:
            typed.write(request)
        wait_until(lambda: b"\r\n\r\n" in log.read_bytes() or process.poll() is not None, log.read_text)
        return log.read_text(errors="replace")


class Server:
    """s_server at a port of its own; what it is sent can be read, and answered as if typed."""

    def __init__(self, port: int, log: Path, process: "subprocess.Popen[bytes]") -> None:
        self.port = port
        self._log = log
        self._answered = 0  # octets of it
        self._process = process

    def received(self) -> bytes:
        """Return what came in, and OpenSSL's complaints."""
        return self._log.read_bytes()

    def _news(self) -> bytes:
        return self.received()[self._answered :]

    def answer(self, status_line: str) -> bytes:
        """Answer the request that is waited for, and return it."""
        wait_until(lambda: b"\r\n\r\n" in self._news(), lambda: repr(self.received()))
        request = self._news()
        self._answered += len(request)
        assert self._process.stdin
        self._process.stdin.write(answer(request, status_line))
        self._process.stdin.flush()
        return request


@contextmanager
def server(folder: Path, certificate: str, *options: str) -> Iterator[Server]:
    """Run s_server with the certificate and key in a file."""
    port = free_port()
    log = folder / f"s_server-{port}.log"
    command = [program("openssl", "openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-quiet"]
    command += ["-cert", certificate, "-key", certificate, *options]
    with running(command, log, stdin=subprocess.PIPE) as process:
        wait_until(lambda: is_listening(port), log.read_text)
        yield Server(port, log, process)
