"""Finds where a URI leads, for shell.py: RFC 3263 as agent.resolve.search has it, without NAPTR.

SRV records come from DNS, addresses from the system, which knows /etc/hosts and its own ways. An IP address needs
neither.
"""

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from sipmote.agent.resolve.search import Search, is_address, is_local, srv_order
from sipmote.agent.uri import Uri

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as DnsResolver

_PREFERENCES = {  # what else may do where a URI names no transport; nothing does in place of TLS
    b"UDP": (b"UDP", b"TCP", b"TLS"),
    b"TCP": (b"TCP", b"UDP", b"TLS"),
    b"TLS": (b"TLS",),
}
_LIFETIME_S = 4.0  # of one question to DNS, repetitions and further servers included
_SYSTEM_TTL_S = 60  # the system doesn't tell how long its addresses are good for
_LONGEST_TTL_S = 86400
_KEPT = 1000  # places


class Resolver:
    """Looks places up and keeps them for as long as DNS allows. server: asked for all, in place of the system."""

    def __init__(self, transport: bytes = b"UDP", server: tuple[str, int] | None = None) -> None:
        """transport: the preferred one where a URI names none."""
        self._transports = _PREFERENCES[transport]
        self._server = server
        self._kept: dict[bytes, tuple[float, list[tuple[Any, ...]]]] = {}
        self._dns: DnsResolver | None = None

    async def flows(self, uri: Uri) -> list[tuple[Any, ...]]:
        """Return where to send a request for uri, the best place first.

        Raises OSError that says what is not to be found, ParseError for a URI that leads nowhere by its form.
        """
        key = Uri(uri.scheme, None, uri.host, uri.port, uri.params).key()
        good_until, flows = self._kept.get(key, (0.0, []))
        if time.monotonic() >= good_until:
            search = Search(uri, self._transports, os.urandom)
            await self._run(search)
            flows = search.flows
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = (time.monotonic() + search.ttl, flows)
        return flows

    async def im_server(self, uri: Uri) -> bytes | None:
        """Return a SIP URI at the server that the domain of an im: URI names, None for none (RFC 3861, RFC 5509).

        Raises OSError when DNS doesn't answer.
        """
        if is_address(uri.host) or is_local(uri.host):
            return None
        records, _ = await self._ask_dns(b"_im._sip." + uri.host, ("SRV",))
        for *_, port, host in srv_order(records, os.urandom):
            if host:
                return Uri(b"sip", uri.user, host, port, []).request_uri()
        return None

    async def _run(self, search: Search) -> None:
        trouble = ""  # with DNS
        while (question := search.question()) is not None:
            name, is_srv = question
            values: list[Any] = []
            ttl = _SYSTEM_TTL_S
            try:
                if is_srv or (self._server and not is_local(name)):
                    if not trouble:  # a silent server has been waited for once
                        values, ttl = await self._ask_dns(name, ("SRV",) if is_srv else ("AAAA", "A"))
                else:
                    values = await self._ask_system(name)
            except OSError as error:
                trouble = f" ({error.strerror or error})"
            search.answer(values, ttl)
        if not search.flows:
            raise OSError(f"no address found for {search.host.decode()}{trouble}")

    async def _ask_system(self, name: bytes) -> list[bytes]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name.decode(), None, type=socket.SOCK_STREAM)
        except UnicodeError:  # what Python says of an empty label and of one above 63 octets
            raise OSError("no host name") from None
        return [address[0].encode() for *_, address in found if isinstance(address[0], str)]

    async def _ask_dns(self, name: bytes, kinds: tuple[str, ...]) -> tuple[list[Any], int]:
        """Return the records of these types that name has, and their TTL. Raises OSError when nobody answers."""
        import dns.exception
        import dns.resolver

        values: list[Any] = []
        ttl = _LONGEST_TTL_S
        self._dns = self._dns or self._make_dns()
        for kind in kinds:
            try:
                answer = await self._dns.resolve(name.decode(), kind, raise_on_no_answer=False, search=False)
            except dns.resolver.NXDOMAIN:
                break
            except (dns.exception.Timeout, dns.resolver.NoNameservers) as error:
                where = f" at {self._server[0]} port {self._server[1]}" if self._server else ""
                raise OSError(f"no answer from the DNS server{where}") from error
            except dns.exception.DNSException as error:
                raise OSError(f"DNS: {error}") from error
            for record in answer.rrset or ():
                if kind == "SRV":
                    target = record.target.to_text().lower().rstrip(".").encode()
                    values.append((record.priority, record.weight, record.port, target))
                else:
                    values.append(record.address.encode())
            if answer.rrset:
                ttl = min(ttl, answer.rrset.ttl)
        return values, ttl if values else _SYSTEM_TTL_S

    def _make_dns(self) -> "DnsResolver":
        from dns.asyncresolver import Resolver as DnsResolver

        resolver = DnsResolver(configure=self._server is None)
        if self._server:
            resolver.nameservers = [self._server[0]]
            resolver.port = self._server[1]
        resolver.lifetime = _LIFETIME_S
        return resolver
