"""Asks a DNS server without blocking. Loaded by the first name that a board has to look up.

getaddrinfo would stop every other task while it waits, and on some boards it waits for ever.
"""

import asyncio
import os
import socket
from gc import collect

from agent.compat import const

collect()  # what loading leaves behind goes before the next module comes
from agent.resolve.dns import AAAA, A, build_query, parse_response

collect()
from agent.errors import ParseError
from agent.uri import parse_host_port
from mote.net.peer import host_port_of
from mote.net.sockets import address_of, readable

_PORT = const(53)
_ATTEMPTS = const(3)
_PATIENCE_MS = const(2000)  # for each of them
_MAX_RESPONSE = const(512)  # octets; RFC 1035 section 4.2.1
_LOCAL_TTL_S = const(120)  # RFC 6762 section 10
_NO_ADDRESS = "0.0.0.0"


class Names:
    """Asks the configured DNS server, or else the one that the network has named. Raises OSError without one."""

    def __init__(self, settings: dict) -> None:
        self._bound = settings.get("bind", "0.0.0.0:5060")
        self._server = _server(settings.get("dns"))
        self._buffer = bytearray(_MAX_RESPONSE)  # one for all responses: it is the most memory in one piece

    async def addresses(self, name: bytes) -> tuple:
        """Return (addresses, seconds to keep them) of a host; none is an answer.

        A board bound to an IPv6 address has those first, and where that is [::] the IPv4 ones behind them.
        Raises OSError when the server is silent, ParseError for what is no host name.
        """
        if name.endswith(b".local"):  # mDNS is spoken by the port's own resolver alone; this one look-up blocks
            return [host_port_of(address_of(name, 0))[0]], _LOCAL_TTL_S
        if self._bound[0] != "[":
            return await self.ask(name, A)
        found, ttl = await self.ask(name, AAAA)
        if self._bound.startswith("[::]"):
            others, seconds = await self.ask(name, A)
            found += others
            ttl = min(ttl, seconds)
        return found, ttl

    async def ask(self, name: bytes, kind: int) -> tuple:
        """Return (values, seconds to keep them) of the records of a kind that name has. Raises as addresses()."""
        number = int.from_bytes(os.urandom(2), "big")
        query = build_query(number, name, kind)
        host, port = self._server
        sock = socket.socket(socket.AF_INET6 if host.find(b":") >= 0 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.connect(address_of(host, port))  # so that nobody else's datagrams are read
            sock.setblocking(False)
            for _ in range(_ATTEMPTS):
                sock.send(query)
                try:
                    response = await asyncio.wait_for_ms(self._response(sock, number, name, kind), _PATIENCE_MS)
                    return response.find(name, kind)
                except asyncio.TimeoutError:
                    pass
        finally:
            sock.close()
        raise OSError("no answer from the DNS server at %s" % host.decode())

    async def _response(self, sock: object, number: int, name: bytes, kind: int) -> object:
        """Wait for the response to our question; what isn't that is passed over."""
        while True:
            await readable(sock)
            size = sock.readinto(self._buffer)
            try:
                return parse_response(bytes(memoryview(self._buffer)[: size or 0]), number, name, kind)
            except ParseError:
                pass


def _server(configured: str | None) -> tuple:
    """Return (host, port) of the DNS server. Raises OSError where there is none."""
    if configured:
        host, port = parse_host_port(configured.encode())
        return host, port or _PORT
    named = _NO_ADDRESS
    try:
        import network

        if hasattr(network, "WLAN"):
            named = network.WLAN(network.STA_IF).ifconfig()[3]
        if named == _NO_ADDRESS:
            named = network.ipconfig("dns")  # over a cable, or of a network with IPv6 alone
    except (ImportError, AttributeError, ValueError):  # what a port doesn't have
        pass
    if not named or named == _NO_ADDRESS:
        raise OSError("no DNS server: sipmote deploy --set dns=ADDRESS")
    return named.encode(), _PORT
