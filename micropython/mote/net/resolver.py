"""Looks names up without blocking: the flows that RFC 3263 finds for a URI. Loaded by the first Resolve event.

getaddrinfo would stop every other task while it waits, and on some boards it waits for ever.
"""

import asyncio
import os
import socket
from gc import collect

from agent.compat import const

collect()  # what loading leaves behind goes before the next module comes
from agent.resolve.dns import SRV, A, build_query, parse_response

collect()
from agent.errors import AgentError, ParseError
from agent.resolve.search import Search

collect()
from agent.uri import parse_host_port, parse_uri
from mote.net.peer import host_port_of
from mote.net.sockets import address_of, now, readable

_TRANSPORTS = {"udp": (b"UDP", b"TCP"), "tcp": (b"TCP", b"UDP"), "tls": (b"TLS",)}
_PORT = const(53)
_ATTEMPTS = const(3)
_PATIENCE_MS = const(2000)  # for each of them
_MAX_RESPONSE = const(512)  # octets; RFC 1035 section 4.2.1
_MAX_KEPT = const(4)  # places
_LOCAL_TTL_S = const(120)  # RFC 6762 section 10


class Resolver:
    """Tells the core where names lead. What was found is kept for as long as DNS allows."""

    def __init__(self, shell: object) -> None:
        self._shell = shell
        self._known = {}  # URI -> flows
        self._busy = []  # URIs that are being looked up

    def resolve(self, uri: bytes) -> None:
        """Tell the core where a URI (of a Resolve event) leads: now, or soon."""
        known = self._known.get(uri)
        if known:
            self._found(uri, known, b"")
        elif uri not in self._busy:
            asyncio.create_task(self._look_up(uri))
            self._busy.append(uri)

    def _found(self, uri: bytes, flows: list, reason: bytes) -> None:
        shell = self._shell
        shell.carry_out((lambda: shell.user_agent.resolved(uri, flows, now(), reason),))

    async def _look_up(self, uri: bytes) -> None:
        flows = []
        failure = None
        try:
            search = Search(parse_uri(uri), _TRANSPORTS[self._shell.settings.get("transport", "udp")], os.urandom)
            server = self._server()
            buffer = bytearray(_MAX_RESPONSE)  # one for all responses: it is the most memory in one piece
            question = search.question()
            # Who listens on TCP isn't looked for over UDP, too: a stream that fails says so, UDP is silent for 32 s.
            while question is not None and not (question[1] and search.flows and search.flows[0][0] == b"TCP"):
                values, ttl = await _ask(server, question[0], SRV if question[1] else A, buffer)
                search.answer(values, ttl)
                question = search.question()
            if not search.flows:
                raise OSError("no address found for " + search.host.decode())
            flows = search.flows
            if search.ttl and len(self._known) < _MAX_KEPT:
                self._known[uri] = flows
        except Exception as error:
            failure = error
        self._busy.remove(uri)
        self._found(uri, flows, b"" if failure is None else str(failure).encode())
        if failure is not None and not isinstance(failure, (OSError, AgentError)):
            await self._shell.failed(failure)
        if flows:
            await asyncio.sleep(search.ttl)
            self._known.pop(uri, None)

    def _server(self) -> tuple:
        """Return (host, port) of the configured DNS server, or else of the one that the network has named."""
        configured = self._shell.settings.get("dns")
        if configured:
            host, port = parse_host_port(configured.encode())
            return host, port or _PORT
        try:
            from network import STA_IF, WLAN

            host = WLAN(STA_IF).ifconfig()[3]
        except ImportError:
            host = "0.0.0.0"
        if host == "0.0.0.0":
            raise OSError("no DNS server: sipmote deploy --set dns=ADDRESS")
        return host.encode(), _PORT


async def _ask(server: tuple, name: bytes, kind: int, buffer: bytearray) -> tuple:
    """Return (values, seconds to keep them) of the records that name has. Raises OSError when the server is silent."""
    if name.endswith(b".local"):  # mDNS is spoken by the port's own resolver alone; this one look-up blocks
        return [host_port_of(address_of(name, 0))[0]], _LOCAL_TTL_S
    number = int.from_bytes(os.urandom(2), "big")
    query = build_query(number, name, kind)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect(address_of(server[0], server[1]))  # so that nobody else's datagrams are read
        sock.setblocking(False)
        for _ in range(_ATTEMPTS):
            sock.send(query)
            try:
                response = await asyncio.wait_for_ms(_response(sock, number, name, kind, buffer), _PATIENCE_MS)
                return response.find(name, kind)
            except asyncio.TimeoutError:
                pass
    finally:
        sock.close()
    raise OSError("no answer from the DNS server at %s" % server[0].decode())


async def _response(sock: object, number: int, name: bytes, kind: int, buffer: bytearray) -> object:
    """Wait for the response to our question; what isn't that is passed over."""
    while True:
        await readable(sock)
        size = sock.readinto(buffer)
        try:
            return parse_response(bytes(memoryview(buffer)[: size or 0]), number, name, kind)
        except ParseError:
            pass
