"""R0-P9: strangers with many streams take neither memory nor descriptors nor the flows of others."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from sipmote.agent.auth.digest import secret
from sipmote.agent.auth.server import Authenticator
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.sip import streams
from sipmote.sip.arguments import bind
from sipmote.sip.shell import Answer, Event, Shell
from sipmote.sip.tls import Tls
from tests.host_tools.peers import PATIENCE, message

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_LIMIT = 20  # streams, and half as many handshakes


class Application:
    """Takes everything, keeps what happened to flows."""

    def __init__(self) -> None:
        self.troubles: list[str] = []

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        return [(200, b"")] * len(batch)

    def happened(self, event: Event, trouble: str) -> None:
        self.troubles.append(trouble)


@pytest.fixture(autouse=True)
def few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MAX_CONNECTIONS", _LIMIT)
    monkeypatch.setattr(streams, "_MAX_HANDSHAKES", _LIMIT // 2)
    monkeypatch.setattr(streams, "_MAX_HELD", 100_000)


def serve(use: Callable[[Shell, Application, int], Awaitable[None]], tls: Tls | None = None, **settings: Any) -> None:
    """Run use() with a shell that listens at a port, for TLS if it has that."""

    async def run() -> None:
        application = Application()
        shell = Shell(UserAgent(b"sip:desk@example.org", b"localhost", os.urandom, **settings), application, tls)
        bound = await shell.open([bind("tls:127.0.0.1:0" if tls else "tcp:127.0.0.1:0")])
        try:
            await asyncio.wait_for(use(shell, application, bound[0].port), PATIENCE)
        finally:
            await shell.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run())


async def _opened(port: int, host: str = "127.0.0.1", **more: Any) -> Ends:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0), **more)


async def _asks(ends: Ends, name: str) -> bytes:
    """Send a message; returns the beginning of its answer, b"" from a stream that is closed."""
    ends[1].write(message(name, transport="TCP"))
    return (await ends[0].read(65535))[:11]


async def _is_closed(ends: Ends) -> bool:
    """Has the other end closed this stream? It has brought nothing, so there is nothing to read."""
    try:
        return await asyncio.wait_for(ends[0].read(1), 0.2) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_a_flow_of_ours_outlives_strangers_however_idle_it_is() -> None:
    async def use(shell: Shell, application: Application, port: int) -> None:
        connected: asyncio.Queue[Ends] = asyncio.Queue()
        server = await asyncio.start_server(lambda *ends: connected.put_nowait(ends), "127.0.0.1", 0)
        target = b"sip:registrar@127.0.0.1:%d;transport=tcp" % server.sockets[0].getsockname()[1]
        await shell.send(b"1@a", target, b"hello")
        ours = await connected.get()
        await ours[0].readuntil(b"hello")
        strangers = [await _opened(port, f"127.0.1.{number}") for number in range(1, 2 * _LIMIT)]
        assert (await _asks(strangers[-1], "last")) == b"SIP/2.0 200"
        assert await _is_closed(strangers[0])
        assert not await _is_closed(ours)
        assert application.troubles == []
        ours[1].close()  # and when it is closed, we know at once
        while not application.troubles:
            await asyncio.sleep(0.01)
        assert "closed" in application.troubles[0]
        for _, writer in strangers:
            writer.close()
        server.close()

    serve(use)


def test_one_address_cannot_take_all_streams() -> None:
    """Its own go first, though another's stream is idle for longer"""

    async def use(_: Shell, __: Application, port: int) -> None:
        other = await _opened(port, "127.0.0.2")
        greedy = [await _opened(port) for _ in range(3 * _LIMIT)]
        assert await _asks(other, "other") == b"SIP/2.0 200"
        assert await _is_closed(greedy[0])
        for _, writer in [other, *greedy]:
            writer.close()

    serve(use)


def test_who_has_authenticated_goes_after_strangers() -> None:
    users = {b"alice": {b"md5": secret(b"md5", b"alice", b"example.org", b"wonder")}}
    known = Authenticator(b"example.org", users, os.urandom)
    known.check = lambda message, now, flow: (b"alice", b"") if b"alice" in message.data else (None, b"")  # type: ignore

    async def use(_: Shell, __: Application, port: int) -> None:
        alice = await _opened(port)
        assert await _asks(alice, "alice") == b"SIP/2.0 200"
        strangers = [await _opened(port) for _ in range(2 * _LIMIT)]
        assert await _asks(strangers[-1], "stranger") == b"SIP/2.0 401"
        assert await _asks(alice, "alice-again") == b"SIP/2.0 200"
        for _, writer in [alice, *strangers]:
            writer.close()

    serve(use, authenticator=known)


def test_handshakes_that_stall_are_few_and_hold_nobody_up(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    server.load_cert_chain(certificate)
    authority.configure_trust(client)

    async def use(shell: Shell, _: Application, port: int) -> None:
        honest = await _opened(port, ssl=client)
        stalled = [await _opened(port) for _ in range(3 * _LIMIT)]
        late = await _opened(port, ssl=client)
        for number, ends in enumerate((honest, late)):
            assert await _asks(ends, f"tls-{number}") == b"SIP/2.0 200"
        closed = [await _is_closed(ends) for ends in stalled[: _LIMIT // 2]]
        assert closed == [True] * len(closed)
        for _, writer in [honest, late, *stalled]:
            writer.close()

    serve(use, Tls(client, server))


def test_messages_that_are_never_whole_are_bounded_in_octets() -> None:
    """Those that were silent for longest have to go, and who sends whole ones is answered"""

    async def use(_: Shell, __: Application, port: int) -> None:
        head = message("never", transport="TCP").partition(b"Content-Length")[0]
        halves = []
        for _ in range(10):
            ends = await _opened(port)
            ends[1].write(head + b"Content-Length: 50000\r\n\r\n" + b"x" * 30_000)
            halves.append(ends)
        assert await _is_closed(halves[0])
        honest = await _opened(port)
        assert await _asks(honest, "whole") == b"SIP/2.0 200"
        assert not await _is_closed(halves[-1])
        for _, writer in [honest, *halves]:
            writer.close()

    serve(use)
