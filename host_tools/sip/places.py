"""Places and flows: where we listen, how hosts and ports are written, and who hears of what comes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

Flow = tuple[Any, ...]  # (transport, host, port, ...): see shell.py


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


def without_scope(host: str) -> str:
    """Return a socket's host without the scope of a link-local address, which means nothing elsewhere."""
    return host.partition("%")[0]
