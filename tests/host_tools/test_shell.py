"""The shell in this process, where its patience can be short."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sipmote.agent.events import Outcome
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.sip.arguments import bind
from sipmote.sip.clock import now_ms
from sipmote.sip.shell import IDLE_S, Answer, Event, Shell
from tests.host_tools.peers import PATIENCE, message


class Application:
    """Takes everything, keeps what happened."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.outcomes: list[tuple[Outcome, str]] = []

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        self.batches.append(len(batch))
        return [(200, b"")] * len(batch)

    def happened(self, event: Event, trouble: str) -> None:
        if type(event) is Outcome:
            self.outcomes.append((event, trouble))


def serve(idle_s: float, use: Callable[[UserAgent, Shell, Application, list[int]], Awaitable[None]]) -> None:
    """Run use() with a shell at two UDP ports and a TCP port."""

    async def run() -> None:
        ua = UserAgent(b"sip:desk@example.org", b"localhost", os.urandom, keep=1000)
        application = Application()
        shell = Shell(ua, application, idle_s=idle_s)
        places = ("udp:127.0.0.1:0", "udp:127.0.0.1:0", "tcp:127.0.0.1:0")
        bound = await shell.open([bind(place) for place in places])
        try:
            await asyncio.wait_for(use(ua, shell, application, [one.port for one in bound]), PATIENCE)
        finally:
            await shell.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run())


def test_stream_that_brings_nothing_whole_is_closed_and_one_that_pings_stays() -> None:
    async def use(ua: UserAgent, shell: Shell, application: Application, ports: list[int]) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", ports[2]) for _ in range(3)]
        idle, slow, alive = streams

        async def drip(writer: asyncio.StreamWriter, octets: bytes) -> None:
            while True:
                writer.write(octets)
                await asyncio.sleep(0.05)

        dripping = [asyncio.create_task(drip(slow[1], b"x")), asyncio.create_task(drip(alive[1], b"\r\n\r\n"))]
        assert await idle[0].read() == b""
        with contextlib.suppress(ConnectionResetError):  # the next octet may come after the end
            assert await slow[0].read() == b""
        for task in dripping:
            task.cancel()
        alive[1].write(message("a", transport="TCP"))
        await alive[0].readuntil(b"SIP/2.0 200 OK\r\n")  # the answers to the pings come before it
        for _, writer in streams:
            writer.close()

    serve(0.5, use)


def test_stream_stays_until_an_answer_that_comes_as_late_as_it_may_has_come() -> None:
    """R3261-18-14: 64*T1 after the last message at least"""

    async def use(ua: UserAgent, shell: Shell, application: Application, ports: list[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[2])
        loop = asyncio.get_running_loop()
        for i in range(3):
            writer.write(message(f"{i}", transport="TCP"))
            await reader.readuntil(b"Content-Length: 0\r\n\r\n")
            for connection in shell._streams.connections.values():
                connection.active_at = loop.time() - 32  # as if the last message had come so long ago
            shell._sweep()
        writer.close()

    serve(IDLE_S, use)


def test_datagrams_that_wait_are_one_batch_and_each_socket_answers_for_itself() -> None:
    async def use(ua: UserAgent, shell: Shell, application: Application, ports: list[int]) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, address: Any) -> None:
                queue.put_nowait((data, address))

        transport, _ = await loop.create_datagram_endpoint(Client, ("127.0.0.1", 0))
        for i in range(40):
            transport.sendto(message(f"{i}"), ("127.0.0.1", ports[i % 2]))
        answers = [await queue.get() for _ in range(40)]
        transport.close()
        assert application.batches == [40]
        for data, address in answers:
            number = int(data.partition(b"Call-ID: ")[2].split()[0])
            assert address[1] == ports[number % 2]

    serve(60, use)


def test_message_on_a_stream_that_ends_has_its_outcome_and_its_reason() -> None:
    async def use(ua: UserAgent, shell: Shell, application: Application, ports: list[int]) -> None:
        got = asyncio.Event()

        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            got.set()

        server = await asyncio.start_server(close, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = b"sip:boiler@127.0.0.1:%d;transport=tcp" % port
        shell.carry_out(ua.send(b"a", target, b"hi", now_ms()))
        await got.wait()
        while not application.outcomes:
            await asyncio.sleep(0.01)
        server.close()
        [(outcome, trouble)] = application.outcomes
        assert (outcome.call_id, outcome.name, outcome.status) == (b"a", "failed", 503)
        assert "closed" in trouble

    serve(60, use)
