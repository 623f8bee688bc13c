"""What the tests of inbox and send have in common: the command as a process, and scripted peers on loopback."""

import contextlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  # seconds until something that should have happened counts as missing


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class Running:
    """`sipmote` with some arguments, its stdout line by line."""

    def __init__(self, *arguments: str, **more: Any) -> None:
        command = [sys.executable, "-m", "sipmote", *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, **{**pipes, **more})
        self._lines: queue.Queue[bytes] = queue.Queue()
        self.errors = b""
        self._threads = [threading.Thread(target=self._read_stdout), threading.Thread(target=self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def _read_stdout(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)

    def _read_stderr(self) -> None:
        for line in self.process.stderr or ():
            self.errors += line

    def line(self) -> bytes:
        """The next line of stdout."""
        try:
            return self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no line came; stderr: {self.errors!r}") from None

    def event(self, name: str) -> dict[str, Any]:
        """The next event; it must be of this name."""
        found: dict[str, Any] = json.loads(self.line())
        assert found["event"] == name, found
        return found

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return code


class RunningInbox(Running):
    """`sipmote inbox --json` that is ready, at one free port of a host for both transports."""

    def __init__(
        self,
        *arguments: str,
        db: str = ":memory:",
        host: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """environment: variables beside our own."""
        if environment is not None:
            more["env"] = {**os.environ, **environment}
        at = f"[{host}]" if ":" in host else host
        binds = ["--bind", f"udp:{at}:0", "--bind", f"tcp:{at}:0"]
        super().__init__("inbox", "--json", "--db", db, *binds, *arguments, **more)
        self.host = host
        self.bound = self.event("ready")["bind"]
        self.ports = {bind[:3]: int(bind.rpartition(":")[2]) for bind in self.bound}

    def udp(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(PATIENCE)
        sock.bind((self.host, 0))
        sock.connect((self.host, self.ports["udp"]))
        return sock

    def tcp(self) -> socket.socket:
        return socket.create_connection((self.host, self.ports["tcp"]), PATIENCE)


@contextlib.contextmanager
def inbox(*arguments: str, **more: Any) -> Iterator[RunningInbox]:
    running = RunningInbox(*arguments, **more)
    try:
        yield running
    finally:
        running.end()


def sipmote(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command to its end; returns exit code, stdout, stderr."""
    command = [sys.executable, "-m", "sipmote", *arguments]
    done = subprocess.run(command, cwd=ROOT, input=stdin, env=env, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def message(
    call_id: str,
    body: bytes = b"Watson, come here.",
    fields: Sequence[str] = (),
    branch: str = "",
    tag: str = "1",
    transport: str = "UDP",
    content_type: str = "text/plain",
    uri: str = "sip:desk@127.0.0.1",
    sender: str = "sip:boiler@example.org",
    to: str = "sip:desk@example.org",
) -> bytes:
    """A MESSAGE request as octets."""
    lines = [
        f"MESSAGE {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} peer.example.org;branch=z9hG4bK{branch or call_id};rport",
        "Max-Forwards: 70",
        f"From: Boiler <{sender}>;tag={tag}",
        f"To: <{to}>",
        f"Call-ID: {call_id}",
        "CSeq: 1 MESSAGE",
        *fields,
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


_COMPACT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Content-Length": "l", "Content-Type": "c"}


def header(data: bytes, name: str) -> str:
    """The value of a header field of a message that we got, its name in full or compact."""
    names = f"{name}|{_COMPACT.get(name, name)}".encode()
    found = re.search(rb"^(?:" + names + rb"): *(.*)\r$", data.partition(b"\r\n\r\n")[0] + b"\r\n", re.MULTILINE)
    assert found, (name, data)
    return found[1].decode()


def answer(request: bytes, status_line: str) -> bytes:
    """A response to request, e.g. with "404 Not Found"."""
    copied = [f"{name}: {header(request, name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join([f"SIP/2.0 {status_line}", *copied, "Content-Length: 0", "", ""]).encode()


def read_messages(sock: socket.socket, count: int) -> list[bytes]:
    """Read that many SIP messages from a stream."""
    data = b""
    found: list[bytes] = []
    while len(found) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        length = int(header(head + b"\r\n", "Content-Length")) if end else 0
        if end and len(rest) >= length:
            found.append(head + end + rest[:length])
            data = rest[length:]
        else:
            more = sock.recv(4096)
            if not more:
                raise ConnectionError(f"closed after {found} and {data!r}")
            data += more
    return found


class Peer:
    """A UDP or TCP server that answers each request with the next of its answers and keeps what it got.

    answers: for each request the status lines to send, one after the other; more requests get nothing.
    """

    def __init__(self, transport: str, answers: Sequence[Sequence[str]], host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        self._sock.bind((host, 0))
        self._sock.settimeout(PATIENCE)
        self.port = self._sock.getsockname()[1]
        self.got: list[bytes] = []
        self._answers = answers
        if transport == "tcp":
            self._sock.listen()
        self._thread = threading.Thread(target=self._udp if transport == "udp" else self._tcp)
        self._thread.start()

    def _udp(self) -> None:
        for answers in self._answers:
            data, address = self._sock.recvfrom(65535)
            if not data:
                return
            self.got.append(data)
            for status_line in answers:
                self._sock.sendto(answer(data, status_line), address)

    def _tcp(self) -> None:
        connection, _ = self._sock.accept()
        connection.settimeout(PATIENCE)
        with connection, contextlib.suppress(ConnectionError):
            for answers in self._answers:
                self.got += read_messages(connection, 1)
                for status_line in answers:
                    connection.sendall(answer(self.got[-1], status_line))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        """End, also when something that was expected hasn't come: by a datagram or a connection with nothing in it."""
        with socket.socket(self._sock.family, self._sock.type) as sock, contextlib.suppress(OSError):
            sock.connect(self._sock.getsockname())
            if self._sock.type == socket.SOCK_DGRAM:
                sock.send(b"")
        self._thread.join()
        self._sock.close()


def until(what: Callable[[], Any]) -> Any:
    """Poll until what() is true; returns it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
