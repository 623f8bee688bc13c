"""R3261-18-9, R3261-18-10, R3261-18-13: nonsense, floods, loops and lies cost little, and the service goes on."""

import contextlib
import itertools
import random
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.host_tools.peers import Peer, header, message, read_messages
from tests.interop.peers import free_port, wait_until
from tests.interop.test_kamailio import board
from tests.tools import Tool

_PATIENCE_S = 3.0  # how long an honest peer has to wait for its answer at most, whatever others do
_GROWTH_KIB = 48 * 1024
_IDLE = 1000
_HUGE = 4 << 30


class Service:
    """An inbox at UDP, TCP and TLS."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = folder / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        self._context = ssl.create_default_context()
        authority.configure_trust(self._context)
        binds = [word for kind in ("udp", "tcp", "tls") for word in ("--bind", f"{kind}:127.0.0.1:0")]
        self.tool = Tool("inbox", *binds, "--db", str(folder / "inbox.db"), "--tls-cert", str(certificate))
        bound = self.tool.wait_for(event="ready")["bind"]
        self.ports = {bind[:3]: int(bind.rpartition(":")[2]) for bind in bound}
        self._count = 0
        self.check()
        self._memory = self._resident()

    def connect(self, transport: str) -> socket.socket:
        """Open a socket to one of its ports, TLS with its handshake done."""
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(_PATIENCE_S)
        sock.connect(("127.0.0.1", self.ports[transport]))
        return self._context.wrap_socket(sock, server_hostname="127.0.0.1") if transport == "tls" else sock

    def check(self) -> None:
        """It answers an honest peer on each transport in time, and what it takes from others it gives back."""
        for transport in self.ports:
            self._count += 1
            began = time.monotonic()
            with self.connect(transport) as sock:
                sock.sendall(message(f"honest-{self._count}", transport=transport.upper()))
                answer = sock.recv(4096) if transport == "udp" else read_messages(sock, 1)[0]
            assert answer.startswith(b"SIP/2.0 200 "), answer
            assert time.monotonic() - began < _PATIENCE_S
            self.tool.wait_for(event="message", call_id=f"honest-{self._count}")

    def check_memory(self) -> None:
        """It has not grown by more than what its tables may hold."""
        assert self._resident() - self._memory < _GROWTH_KIB

    def _resident(self) -> int:
        status = Path(f"/proc/{self.tool.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"))
    with running.tool:
        yield running


def nonsense(seed: int, count: int) -> Iterator[bytes]:
    """Octets of all kinds: nothing, noise, and messages with something wrong somewhere."""
    chance = random.Random(seed)
    for number in range(count):
        whole = bytearray(message(f"nonsense-{seed}-{number}"))
        kind = number % 4
        if kind == 0:
            yield chance.randbytes(chance.randrange(1400))
        elif kind == 1:
            yield bytes(whole[: chance.randrange(len(whole))])
        elif kind == 2:
            for _ in range(8):
                whole[chance.randrange(len(whole))] = chance.randrange(256)
            yield bytes(whole)
        else:
            yield bytes(whole).replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\n\r\n", b"\0"))) * 2


def is_closed(sock: socket.socket) -> bool:
    """Does the peer close the stream in time, whatever it says before?"""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while sock.recv(65536):
            pass
    return True


def test_nonsense_on_every_port_and_stream(service: Service) -> None:
    with service.connect("udp") as sock:
        for number, data in enumerate(nonsense(1, 2000)):
            sock.send(data)
            if number % 200 == 0:
                service.check()
    for transport in ("tcp", "tls"):
        for data in nonsense(2, 40):
            with service.connect(transport) as sock, contextlib.suppress(OSError):
                sock.sendall(data)
    with socket.create_connection(("127.0.0.1", service.ports["tls"])) as sock:
        sock.sendall(b"MESSAGE sip:desk@127.0.0.1 SIP/2.0\r\n\r\n")
    service.check()
    service.check_memory()
    assert service.tool.wait_for(event="dropped")["count"] > 0


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("length", [str(_HUGE), str(1 << 64), "9" * 4000, "-1"])
def test_a_body_of_four_gigabytes_is_not_waited_for(service: Service, transport: str, length: str) -> None:
    head = message("huge", transport=transport.upper(), fields=[f"Content-Length: {length}"])
    head = head.replace(b"Content-Length: 18\r\n", b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    with service.connect(transport) as sock:
        sock.sendall(head)
        with contextlib.suppress(OSError):
            for _ in range(64):
                sock.sendall(b"x" * 65536)
        assert is_closed(sock)
    service.check()
    service.check_memory()


def test_a_header_section_without_end_is_not_waited_for(service: Service) -> None:
    with service.connect("tcp") as sock, contextlib.suppress(OSError):
        for _ in range(1000):
            sock.sendall(b"X-Filler: " + b"x" * 1014 + b"\r\n")
        assert is_closed(sock)
    with service.connect("udp") as sock:
        sock.send(message("liar", fields=[f"Content-Length: {_HUGE}"]).replace(b"Content-Length: 18\r\n", b""))
        assert sock.recv(4096).startswith(b"SIP/2.0 400 ")
    service.check()
    service.check_memory()


def test_idle_half_open_and_dripping_streams_hold_up_nobody(service: Service) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * _IDLE)), hard))
    whole = message("dripping", transport="TCP")
    with contextlib.ExitStack() as stack:

        def streams(count: int, first: bytes = b"") -> list[socket.socket]:
            opened = [stack.enter_context(service.connect("tcp")) for _ in range(count)]
            for sock in opened:
                sock.sendall(first)
            return opened

        streams(_IDLE)
        service.check()
        streams(100, whole[:200])  # and nothing more, ever
        for sock in streams(20, whole[:-1]):
            sock.shutdown(socket.SHUT_WR)
        service.check()
        dripping = streams(5, whole[:-20])
        for octet in whole[-20:-17]:  # one a second
            second = time.monotonic() + 1
            for sock in dripping:
                sock.sendall(bytes([octet]))
            while time.monotonic() < second:
                service.check()
        for sock in dripping:
            sock.sendall(whole[-17:])
            assert read_messages(sock, 1)[0].startswith(b"SIP/2.0 200 ")
        service.check_memory()
    service.check()


def _challenge(number: int) -> str:
    where = "401 Unauthorized\r\nWWW" if number % 2 else "407 Proxy Authentication Required\r\nProxy"
    return f'{where}-Authenticate: Digest realm="{number // 2}", nonce="{number}", qop="auth", stale=true'


def _stale(number: int) -> str:
    return f'401 Unauthorized\r\nWWW-Authenticate: Digest realm="r", nonce="{number}", qop="auth", stale=true'


@pytest.mark.parametrize("asked", [_challenge, _stale])
def test_challenges_without_end_are_one_failure(asked: object, tmp_path: Path) -> None:
    """R7616-3: a stale nonce is taken up once, and each realm once."""
    assert callable(asked)
    password = tmp_path / "password"
    password.write_text("secret")
    with Peer("udp", [[asked(number)] for number in range(100)]) as peer:
        account = ["--user", "alice", "--password-file", str(password)]
        with Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hello", *account) as tool:
            assert tool.wait(20) == 4
            assert [line["event"] for line in tool.lines] == ["failed"]
        assert len(peer.got) <= 10


def test_redirections_in_a_circle_are_one_failure() -> None:
    """R3261-8.1-12"""
    first, second = free_port(), free_port()
    with Peer("udp", [[f"302 Moved\r\nContact: <sip:desk@127.0.0.1:{first}>"]] * 50) as one:
        answers = [[f"302 Moved\r\nContact: <sip:desk@127.0.0.1:{one.port}>, <sip:x@127.0.0.1:{second}>"]] * 50
        with Peer("udp", answers) as other, Tool("send", f"sip:desk@127.0.0.1:{other.port}", "hello") as tool:
            assert tool.wait(20) == 5
            assert tool.lines[-1]["reason"] == "connection refused"


_LIES = {
    "200 OK\r\nContact: <sip:somebody@192.0.2.1>;expires=0": 200,  # nobody is bound
    "423 Too Brief\r\nMin-Expires: %d": 423,  # more each time
    "301 Moved\r\nContact: <sip:127.0.0.1:%d>": 301,
    "503 Busy\r\nRetry-After: 99999999999999999999": 503,
}


@pytest.mark.parametrize("lie", _LIES)
def test_a_registrar_that_lies_is_left_alone_and_messages_come_in(lie: str) -> None:
    answers = [[lie % (1000 * number) if "%" in lie else lie] for number in range(1, 60)]
    with (
        Peer("udp", answers) as registrar,
        Tool(
            *("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--register", "sip:bob@interop.test"),
            *("--proxy", f"sip:127.0.0.1:{registrar.port}"),
        ) as inbox,
    ):
        lost = inbox.wait_for(event="not_registered")
        assert lost["status"] == _LIES[lie] and 15 <= lost["retry_s"] <= 86400
        assert len(registrar.got) <= 10
        port = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE_S)
            sock.sendto(message("honest"), ("127.0.0.1", port))
            assert sock.recv(4096).startswith(b"SIP/2.0 200 ")
        assert inbox.interrupt() == 0


_STATUS = """
from mote import Mote

mote = Mote()


@mote.command("status")
async def status(message):
    return "ok"


mote.run()
"""


def test_a_board_outlives_nonsense_idle_streams_and_four_gigabytes(tmp_path: Path) -> None:
    program = tmp_path / "status.py"
    program.write_text(_STATUS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk, contextlib.ExitStack() as stack:
        desk.bind(("127.0.0.1", 0))
        desk.settimeout(_PATIENCE_S)
        to = f"sip:desk@127.0.0.1:{desk.getsockname()[1]}"
        port = free_port()
        settings = {"aor": "sip:pump@interop.test", "to": to, "bind": f"127.0.0.1:{port}", "transport": "tcp"}
        monitor = stack.enter_context(board(tmp_path, program, allow=["sip:boiler@example.org"], **settings))
        uri = f"sip:pump@127.0.0.1:{port}"

        def command(call_id: str) -> bool:
            with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as sock:
                sock.sendall(message(call_id, b"status", transport="TCP", uri=uri))
                found = read_messages(sock, 2)
                answer, reply = sorted(found, key=lambda data: data[:7] != b"SIP/2.0")
                assert answer.startswith(b"SIP/2.0 200 ") and header(answer, "Call-ID") == call_id
                assert reply.endswith(b"\r\n\r\nok"), monitor.transcript()
            return True

        attempts = itertools.count()

        def command_at_last() -> bool:
            with contextlib.suppress(OSError):  # who comes in the middle of a crowd may have to come again
                return command(f"attempt-{next(attempts)}")
            return False

        wait_until(command_at_last, monitor.transcript)
        for number, data in enumerate(nonsense(3, 400)):
            desk.sendto(data, ("127.0.0.1", port))
            if number % 20 == 0:
                with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as sock, contextlib.suppress(OSError):
                    sock.sendall(data)
        with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as sock:
            huge = message("huge", uri=uri, transport="TCP").replace(b"Length: 18", b"Length: %d" % _HUGE)
            sock.sendall(huge)
            assert is_closed(sock)
        command("between")
        for _ in range(20):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", port), _PATIENCE_S))
            with contextlib.suppress(OSError):
                idle.sendall(message("half", uri=uri, transport="TCP")[:100])
        wait_until(command_at_last, monitor.transcript)
