"""Places and flows: where we listen, how hosts and ports are written, and who hears of what comes."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Flow = tuple[Any, ...]  # (transport, host, port, ...): see shell.py
Zones = Mapping[bytes, str]  # link-local address: the interface that leads there; b"": for those not named

# RFC 4007 section 11 writes the zone behind %, RFC 6874 behind %25. It means nothing on another machine, so that no
# message may have it.
_ZONE = re.compile(r"\[(fe[89ab][0-9a-f]:[0-9a-f:.]*)%(?:25)?([\w.~-]+)\]", re.IGNORECASE)


class FlowOwner(Protocol):
    """Who hears of what sockets bring: the shell."""

    def received(self, items: Iterable[Any], flow: Flow) -> None:
        """A flow has brought these: a datagram, or what a stream's framer has cut out."""

    def failed(self, flow: Flow, text: str) -> None:
        """A flow has ended, could not be opened or leads nowhere, and why."""


class Wire(Protocol):
    """Who sees what goes over the wire. Octets are those of a datagram, or of one message of a stream."""

    def sent(self, data: bytes, flow: Flow) -> None:
        """We send this; a flow that isn't open has it later or never."""

    def came(self, data: bytes, flow: Flow) -> None:
        """This has come, and nobody has looked at it yet."""

    def failed(self, flow: Flow, text: str) -> None:
        """A flow has ended, could not be opened or leads nowhere, and why."""


@dataclass(frozen=True)
class Bind:
    """A place to listen at: transport b"UDP", b"TCP" or b"TLS", host without brackets, port (0: any free one)."""

    transport: bytes
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport.decode().lower()}:{place(self.host, self.port)}"


def place(host: str, port: int) -> str:
    """Return host:port for people, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def site(address: str) -> str:
    """Return what one person may have the addresses of: an address, of IPv6 its first 64 bits."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((without_scope(address), 64), strict=False))


def without_scope(host: str) -> str:
    """Return a socket's host without the scope of a link-local address, which means nothing elsewhere."""
    return host.partition("%")[0]


def split_zone(text: str) -> tuple[str, dict[bytes, str]]:
    """Return a URI or a place without the zone of its link-local address, and that address with its zone, if any."""
    found = _ZONE.search(text)
    if not found:
        return text, {}
    return f"{text[: found.start()]}[{found[1]}]{text[found.end() :]}", {found[1].lower().encode(): found[2]}


def with_zone(host: bytes, zones: Zones) -> str:
    """Return a flow's host as a socket wants it: a link-local address with its zone, if that is known."""
    is_local = host[:2] == b"fe" and host[2:3] in (b"8", b"9", b"a", b"b") and b":" in host
    zone = zones.get(host) or zones.get(b"") if is_local else None
    return f"{host.decode()}%{zone}" if zone else host.decode()


def normal_host(host: bytes) -> bytes:
    """Return a host as all spellings of it are compared: an address as RFC 5952 has it, a name without its last dot."""
    try:
        return ipaddress.ip_address(host.decode()).compressed.encode()
    except ValueError:
        return host.lower().removesuffix(b".")


def same_host(one: bytes, other: bytes) -> bool:
    """Are these the same host, however it is spelled?"""
    return normal_host(one) == normal_host(other)


class Hosts(frozenset[bytes]):
    """Hosts, given as normal_host() has them, that know themselves however they are spelled."""

    def __contains__(self, host: object) -> bool:
        return super().__contains__(host) or (isinstance(host, bytes) and super().__contains__(normal_host(host)))


def is_loopback(host: str) -> bool:
    """Can nobody but this computer reach this address?"""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_hidden(host: bytes, source: bytes) -> bool:
    """Is host an address of a network of its own, behind a NAT, since its datagrams come from a public source?"""
    try:
        return not ipaddress.ip_address(host.decode()).is_global and ipaddress.ip_address(source.decode()).is_global
    except ValueError:
        return False
