"""A DNS server on loopback for tests: a zone, or whatever octets a test wants to see sent."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[tuple[str, str], Sequence[str]]  # (name, type) -> records as text, e.g. "10 0 5060 a.example.org."
Forge = Callable[[bytes], bytes | None]  # a query -> the datagram to send back, None for none


class DnsServer:
    """Answers from a zone; asked: (name, type) of each question in their order."""

    def __init__(
        self, zone: Zone | None = None, forge: Forge | None = None, ttl: int = 60, host: str = "127.0.0.1"
    ) -> None:
        self._zone = zone or {}
        self._forge = forge
        self._ttl = ttl
        self._sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((host, 0))
        self.port: int = self._sock.getsockname()[1]
        self.place = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.asked: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, address = self._sock.recvfrom(4096)
            if not data:
                return
            response = self._answer(data)
            if response:
                self._sock.sendto(response, address)

    def _answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self._forge:
            return self._forge(data)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        alias = self._zone.get((name, "CNAME"))
        if alias and kind != "CNAME":
            response.answer.append(dns.rrset.from_text(question.name, self._ttl, "IN", "CNAME", *alias))
            owner, records = alias[0], self._zone.get((alias[0].rstrip("."), kind))
        else:
            owner, records = name + ".", self._zone.get((name, kind))
        if records:
            response.answer.append(dns.rrset.from_text(owner, self._ttl, "IN", kind, *records))
        elif name not in {known for known, _ in self._zone}:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()

    def __enter__(self) -> "DnsServer":
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(self._sock.family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._sock.getsockname())
        self._thread.join()
        self._sock.close()


def points_at_itself(query: bytes) -> bytes:
    """Forge a response whose answer's name is a compression pointer to itself."""
    question = query[12 : query.index(b"\0", 12) + 5]
    at = 12 + len(question)
    pointer = bytes((0xC0 | at >> 8, at & 255))
    record = b"\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + pointer + record


def closed_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
