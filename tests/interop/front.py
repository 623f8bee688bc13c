"""Kamailio with the configuration that `sipmote operator` writes, before inboxes that share a store; PostgreSQL behind.

The password of each user is the user's name with "-secret" behind.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import trustme

from sipmote.agent.events import Outcome, Transmit
from sipmote.agent.user_agent import UserAgent
from sipmote.sip.clock import now_ms
from sipmote.users import write_user
from tests.host_tools.peers import sipmote
from tests.interop.kamailio import password_of
from tests.interop.peers import free_port, program, running, wait_until
from tests.interop.postgresql import Cluster
from tests.restarted import Restarted
from tests.tools import Tool

DOMAIN = "interop.test"
_SCHEMA = Path("/usr/share/kamailio/postgres")
_AGAIN_S = 0.2  # before a board sends again what was to come back later


class Front:
    """One that runs, and its inboxes."""

    def __init__(self, folder: Path, cluster: Cluster, inboxes: Sequence[Restarted], ports: Sequence[int]) -> None:
        """ports: of the inboxes."""
        self._folder = folder
        self.cluster = cluster
        self.inboxes, self._ports = inboxes, ports
        self.port, self.tls_port = free_port(), free_port()
        self.log = folder / "kamailio.log"
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        certificate = authority.issue_cert(DOMAIN, "127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        self._write()

    def _write(self) -> None:
        """Write what an operator does."""
        code, out, err = sipmote("operator", str(self._folder))
        assert code == 0, out + err
        site = {
            "DOMAIN": f'"{DOMAIN}"',
            "UDP_PLACE": f"udp:127.0.0.1:{self.port}",
            "TCP_PLACE": f"tcp:127.0.0.1:{self.port}",
            "TLS_PLACE": f"tls:127.0.0.1:{self.tls_port}",
            "CERTIFICATE": f'"{self._folder}/server.pem"',
            "CERTIFICATE_KEY": f'"{self._folder}/server.pem"',
            "DATABASE": f'"postgres://kamailio:secret@127.0.0.1:{self.cluster.port}/kamailio"',
            "INBOXES": f'"{self._folder}/inboxes"',
            "CONTROL": f'"unix:{self._folder}/ctl"',
            "INBOX_MS": "300",
            "BOARD_MS": "3000",
            "PROBE_S": "1",
            "RETRY": '"Retry-After: 1\\r\\n"',
            "REQUESTS_IN_2_S": "100000",
            "MESSAGES_A_SECOND": "100000",
            "WORKERS": "2",
        }
        lines = "".join(f"#!define {name} {value}\n" for name, value in site.items())
        (self._folder / "site.cfg").write_text(lines + "log_stderror=yes\n")
        (self._folder / "inboxes").write_text("".join(f"1 sip:127.0.0.1:{port}\n" for port in self._ports))

    def make_tables(self, *users: str) -> None:
        """Make Kamailio's database with these users, as an operator does."""
        with contextlib.closing(self.cluster.connect("postgres")) as db:
            db.execute("CREATE ROLE kamailio LOGIN PASSWORD 'secret'")
            db.execute("CREATE DATABASE kamailio OWNER kamailio")
        for name in ("standard", "auth_db", "usrloc"):
            self._psql(_SCHEMA / f"{name}-create.sql")
        file = str(self._folder / "users.txt")
        for user in users:
            write_user(file, user, DOMAIN, password_of(user), (b"SHA-256", b"MD5"))
        self._psql(self._folder / "users.sql", Path(file).read_text())

    def _psql(self, file: Path, stdin: str = "") -> None:
        """Run a file of SQL with Kamailio's database."""
        url = f"postgresql://kamailio:secret@127.0.0.1:{self.cluster.port}/kamailio"
        command = [program("psql", "postgresql-client"), "-d", url, "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it with all of its inboxes until they are up."""
        command = [program("kamailio", "kamailio"), "-f", str(self._folder / "kamailio.cfg"), "-DD", "-E", "-m", "64"]
        command += ["-M", "8", "-Y", str(self._folder), "-w", str(self._folder)]
        for inbox in self.inboxes:
            inbox.start(lambda: time.sleep(0.01))
        try:
            with running(command, self.log):
                wait_until(lambda: self.asked("OPTIONS", "desk") == 200, self.said)
                yield
        finally:
            for inbox in self.inboxes:
                inbox.end(signal.SIGTERM)

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text()[-3000:]

    def asked(self, method: str, user: str, domain: str = DOMAIN, *fields: str, body: str = "") -> int:
        """Ask as a stranger does; returns the status of the answer, 0 without one in time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            sock.connect(("127.0.0.1", self.port))
            name = os.urandom(4).hex()
            lines = [
                f"{method} sip:{user}@{domain} SIP/2.0",
                f"Via: SIP/2.0/UDP 127.0.0.1:{sock.getsockname()[1]};branch=z9hG4bK{name};rport",
                "Max-Forwards: 70",
                f"From: <sip:stranger@{DOMAIN}>;tag=1",
                f"To: <sip:{user}@{domain}>",
                f"Call-ID: {name}",
                f"CSeq: 1 {method}",
                "Content-Type: text/plain",
                *fields,
                f"Content-Length: {len(body)}",
            ]
            try:
                sock.send("\r\n".join([*lines, "", body]).encode())
                return int(sock.recv(65535).split()[1])
            except OSError:
                return 0

    def active(self) -> int:
        """Return how many inboxes it counts as active."""
        command = [program("kamcmd", "kamailio"), "-s", f"unix:{self._folder}/ctl", "dispatcher.list"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        return said.count("FLAGS: A")

    def user(self, name: str, *arguments: str) -> "Tool":
        """Return `sipmote inbox` of one of its users, registered and without a store that lasts."""
        password = self._folder / f"{name}.password"
        password.write_text(password_of(name) + "\n")
        words = ["--bind", "udp:127.0.0.1:0", "--bind", "tcp:127.0.0.1:0", "--db", ":memory:", "--user", name]
        words += ["--password-file", str(password), "--register", f"sip:{name}@{DOMAIN}", *arguments]
        return Tool("inbox", *words)

    def sent(self, user: str, to: str, text: str, *more: str, password: str = "", sender: str = "") -> tuple[int, int]:
        """Send with `sipmote send`; returns its exit code and the status."""
        words = [
            f"sip:{to}@{DOMAIN}",
            text,
            "--from",
            f"sip:{sender or user}@{DOMAIN}",
            "--user",
            user,
            "--json",
            *more,
        ]
        environment = {**os.environ, "SIPMOTE_PASSWORD": password or password_of(user)}
        code, out, err = sipmote("send", *words, "--proxy", f"sip:127.0.0.1:{self.port}", env=environment)
        assert out, err
        return code, json.loads(out.splitlines()[-1])["status"]


class Boards:
    """Boards that raise one message after the other and send again what was not taken, as a board does."""

    def __init__(self, front: Front, names: Sequence[str]) -> None:
        self._boards = [_Board(name, front.port) for name in names]

    def turn(self, *, more: bool = True) -> None:
        """Go on for a moment; more: with new messages."""
        for board in self._boards:
            board.go_on(more)
        select.select([board.socket for board in self._boards], [], [], 0.005)

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()

    def drain(self) -> None:
        """Go on until all that was raised has been taken."""

        def is_done() -> bool:
            self.turn(more=False)
            return not any(board.open for board in self._boards)

        deadline = time.monotonic() + 60
        while not is_done():
            assert time.monotonic() < deadline, [(board.open, board.ends[-5:]) for board in self._boards]

    @property
    def taken(self) -> list[str]:
        """The Call-IDs of what was taken."""
        return [call_id for board in self._boards for call_id in board.taken]

    @property
    def put_off(self) -> int:
        """How often one was told to come back, or heard nothing."""
        return sum(len(board.ends) for board in self._boards)

    @property
    def longest_s(self) -> float:
        """The longest time from raising a message to its 200."""
        return max(board.longest_s for board in self._boards)

    def close(self) -> None:
        """Send no more."""
        for board in self._boards:
            board.socket.close()


class _Board:
    def __init__(self, name: str, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self._ua = UserAgent(
            f"sip:{name}@{DOMAIN}".encode(),
            b"127.0.0.1:%d" % self.socket.getsockname()[1],
            os.urandom,
            proxy=b"sip:127.0.0.1:%d" % port,
            credentials=((b"", name.encode(), password_of(name).encode()),),
        )
        self.open: bytes | None = None  # Call-ID of what is under way
        self.taken: list[str] = []
        self.ends: list[tuple[str, int]] = []  # how attempts ended that were no success
        self.longest_s = 0.0
        self._raised = 0.0
        self._again: float | None = None

    def go_on(self, more: bool) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, (host, port) = self.socket.recvfrom(65535)
                self._carry_out(self._ua.receive(data, (b"UDP", host.encode(), port), now_ms()))
        self._carry_out(self._ua.wake(now_ms()))
        if self.open is None and more:
            self.open, self._raised = self._ua.new_call_id(), time.monotonic()
            self._send()
        elif self._again is not None and time.monotonic() >= self._again:
            self._send()

    def _send(self) -> None:
        assert self.open
        self._again = None
        text = b"text of " + self.open
        self._carry_out(self._ua.send(self.open, f"sip:desk@{DOMAIN}".encode(), text, now_ms()))

    def _carry_out(self, events: Sequence[Any]) -> None:
        for event in events:
            if type(event) is Transmit:
                with contextlib.suppress(OSError):
                    self.socket.sendto(event.data, (event.flow[1].decode(), event.flow[2]))
            elif type(event) is Outcome:
                self._end(event)

    def _end(self, outcome: Outcome) -> None:
        assert self.open == outcome.call_id
        if outcome.status == 200:
            self.taken.append(outcome.call_id.decode())
            self.longest_s = max(self.longest_s, time.monotonic() - self._raised)
            self.open = None
            return
        self.ends.append((outcome.name, outcome.status))
        assert outcome.name == "timeout" or outcome.status == 503, outcome  # else a board would give the alert up
        self._again = time.monotonic() + _AGAIN_S


def inbox_at(folder: Path, port: int, *arguments: str) -> Restarted:
    """Return an inbox at a port of both transports, not started yet."""
    binds = ["--bind", f"udp:127.0.0.1:{port}", "--bind", f"tcp:127.0.0.1:{port}", "--domain", DOMAIN]
    return Restarted(folder / f"lines-{port}", "inbox", *binds, *arguments)
