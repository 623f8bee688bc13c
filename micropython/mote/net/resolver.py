"""Finds the flows for a URI: RFC 3263 by our own DNS queries. Loaded by the first Resolve event."""

import asyncio
import os
from gc import collect

from agent.compat import const

collect()  # what loading leaves behind goes before the next module comes
from mote.net.names import Names

collect()
from agent.resolve.search import Search

collect()
from agent.errors import AgentError
from agent.resolve.dns import SRV
from agent.uri import parse_uri
from mote.net.sockets import now

_TRANSPORTS = {"udp": (b"UDP", b"TCP"), "tcp": (b"TCP", b"UDP"), "tls": (b"TLS",)}
_MAX_KEPT = const(4)  # places


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
        settings = self._shell.settings
        try:
            search = Search(parse_uri(uri), _TRANSPORTS[settings.get("transport", "udp")], os.urandom)
            names = Names(settings)
            question = search.question()
            # Who listens on TCP isn't looked for over UDP, too: a stream that fails says so, UDP is silent for 32 s.
            while question is not None and not (question[1] and search.flows and search.flows[0][0] == b"TCP"):
                name, is_service = question
                values, ttl = await (names.ask(name, SRV) if is_service else names.addresses(name))
                search.answer(values, ttl)
                question = search.question()
            if not search.flows:
                raise OSError("no address found for " + search.host.decode())
            flows = search.flows
            if settings.get("bind", "0.0.0.0:5060")[0] == "[":
                flows = [_from_ipv6(flow) for flow in flows]
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


def _from_ipv6(flow: tuple) -> tuple:
    """Return a flow as an IPv6 UDP socket reaches it: IPv4 addresses in their IPv6 form (RFC 4291 section 2.5.5.2)."""
    if flow[0] != b"UDP" or flow[1].find(b":") >= 0:
        return flow
    return (flow[0], b"::ffff:" + flow[1]) + flow[2:]
