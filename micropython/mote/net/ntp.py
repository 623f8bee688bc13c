"""Asks an NTP server for the time: SNTP (RFC 5905 section 14), without blocking. Freed when it is done."""

import asyncio
import os
import socket

from agent.compat import const
from agent.resolve.search import is_address
from agent.uri import parse_host_port
from mote.log import WARNING
from mote.net.sockets import address_of, now, readable

_PORT = const(123)
_ATTEMPTS = const(3)
_PATIENCE_MS = const(2000)  # for each of them
_SIZE = const(48)  # octets
_QUERY = b"\x23" + bytes(39)  # version 4, client; a transmit timestamp follows
_SERVER = const(4)  # a mode
_NTP = const(4)  # of agent.qualities
_EPOCH_1900 = const(2208988800)  # seconds before 1970


async def keep_time(mote: object) -> None:
    """Ask the configured server, and set the clocks by it. Raises nothing: what goes wrong is a record."""
    server = mote.settings["ntp"]
    try:
        unix = await _ask(mote.settings, server)
        if unix is None:
            mote.log(WARNING, "ntp_silent", server=server)
        else:
            from mote.clock import set_clocks
            from mote.redated import step

            step(mote, unix, _NTP, now())  # first: power may be cut between the two
            set_clocks(mote.agent.clock, unix)
    except Exception as error:
        try:
            mote.log(WARNING, "ntp_failed", server=server, reason=str(error) or repr(error))
        except Exception as another:
            await mote.shell.failed(another)
    from mote.forget import forget

    forget()


async def _ask(settings: dict, server: str) -> int | None:
    """Return Unix seconds, None when nobody answers. Raises OSError, ValueError that say what is wrong."""
    host, port = parse_host_port(server.encode())
    hosts = [host]
    if not is_address(host):
        from mote.net.names import Names

        hosts = (await Names(settings).addresses(host))[0]
        if not hosts:
            raise OSError("no address found for " + server)
    failure = None
    for attempt in range(_ATTEMPTS):
        host = hosts[attempt % len(hosts)]
        try:
            return await asyncio.wait_for_ms(_exchange(host, port or _PORT), _PATIENCE_MS)
        except asyncio.TimeoutError:
            continue
        except (OSError, ValueError) as error:
            failure = error
        hosts = [other for other in hosts if other != host]  # who has said no isn't asked again
        if not hosts:
            break
    if failure is not None:
        raise failure
    return None


async def _exchange(host: bytes, port: int) -> int:
    sock = socket.socket(socket.AF_INET6 if host.find(b":") >= 0 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect(address_of(host, port))  # so that nobody else's datagrams are read
        sock.setblocking(False)
        stamp = os.urandom(8)  # the server gives it back; what our clock shows is nobody's business
        sock.send(_QUERY + stamp)
        while True:
            await readable(sock)
            data = sock.recv(_SIZE)
            if len(data) == _SIZE and data[24:32] == stamp:
                return _unix(data)
    finally:
        sock.close()


def _unix(data: bytes) -> int:
    """Return the Unix seconds of an answer. Raises ValueError for one that tells no time (RFC 4330 section 5)."""
    if data[0] & 7 != _SERVER:
        raise ValueError("that is no NTP server: it answers with mode %d" % (data[0] & 7))
    if data[1] == 0:
        raise ValueError("the server does not want to be asked: %s" % repr(data[12:16])[2:-1])
    if data[0] >> 6 == 3 or data[1] > 15 or data[40:44] == bytes(4):
        raise ValueError("the server does not know the time itself")
    from mote.clock import can_be

    seconds = int.from_bytes(data[40:44], "big")
    unix = seconds - _EPOCH_1900 + (0 if seconds >> 31 else 1 << 32)  # they wrap in 2036: RFC 4330 section 3
    if not can_be(unix):
        raise ValueError("a date that can't be: %d in Unix seconds" % unix)
    return unix
