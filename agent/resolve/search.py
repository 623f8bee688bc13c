"""Where a request can go: RFC 3263 without NAPTR, and which of the places found to try first.

Loaded by a shell that is told to resolve a URI. It makes a Search, looks up what question() says until that is None,
and hands what was found to UserAgent.resolved().
"""

from ..compat import const
from ..uri import Uri

_SERVICES = {b"UDP": b"_sip._udp.", b"TCP": b"_sip._tcp.", b"TLS": b"_sips._tcp."}
_MAX_TARGETS = const(8)  # of one SRV name
_MAX_FLOWS = const(8)  # as many as a request has attempts
_LONGEST_TTL = const(86400)  # seconds


class Search:
    """Finds the flows for one URI. flows: what was found, the best first; ttl: seconds that it may be kept.

    host: the name that the search begins with.
    uri: a sip: or sips: URI. transports: those we have, the preferred one first; a URI that names one has only that.
    Put b"TCP" before b"UDP" to prefer congestion control (RFC 3428 section 8). random_bytes: of n, n random octets.
    Raises ParseError where Uri.flow does.
    """

    def __init__(self, uri: Uri, transports: tuple, random_bytes: object) -> None:
        transport, host, _ = uri.flow(transports[0])
        if uri.scheme == b"sips" or uri.param(b"transport") is not None:
            transports = (transport,)
        self._transports = transports
        self.host = host.lower()
        self._name = b"" if is_address(uri.host) else uri.host
        self._random = random_bytes
        self._hosts: dict[bytes, list] = {}  # by name, as far as they were looked up
        self._has_services = False
        self.flows: list[tuple] = []
        self.ttl = _LONGEST_TTL
        self._steps: list[tuple]  # (transport, name, port) to look up, port None for SRV
        if uri.port is None and not is_address(self.host) and not is_local(self.host):
            self._steps = [(transport, _SERVICES[transport] + self.host, None) for transport in transports]
        else:
            self._steps = self._without_srv(uri.port)

    def question(self) -> tuple[bytes, bool] | None:
        """Return what to look up now, (name, True for SRV records or False for addresses); None: flows has it all."""
        while self._steps and len(self.flows) < _MAX_FLOWS:
            transport, name, port = self._steps[0]
            if port is None:
                return name, True
            hosts = [name] if is_address(name) else self._hosts.get(name)
            if hosts is None:
                return name, False
            self._steps.pop(0)
            for host in hosts:
                flow: tuple = (transport, host, port)
                if transport == b"TLS" and self._name:
                    flow += (self._name,)  # what the certificate has to be for (RFC 5922 section 4)
                if flow not in self.flows and len(self.flows) < _MAX_FLOWS:
                    self.flows.append(flow)
        return None

    def answer(self, values: list, ttl: int = _LONGEST_TTL) -> None:
        """Take what the question has brought: SRV records as resolve.dns has them, or addresses; none is an answer."""
        transport, name, port = self._steps[0]
        self.ttl = min(self.ttl, ttl)
        if port is not None:
            self._hosts[name] = values
            return
        self._has_services = self._has_services or len(values) > 0
        targets = [(transport, target, port) for _, _, port, target in srv_order(values, self._random) if target]
        self._steps = targets[:_MAX_TARGETS] + self._steps[1:]
        if not self._steps and not self._has_services:
            self._steps = self._without_srv(None)

    def _without_srv(self, port: int | None) -> list[tuple]:
        """Return the steps for default or named ports: UDP, and what is preferred to it (RFC 3263 section 4.1)."""
        transports = self._transports
        if b"UDP" in transports:
            transports = transports[: transports.index(b"UDP") + 1]
        return [(kind, self.host, port or (5061 if kind == b"TLS" else 5060)) for kind in transports]


def srv_order(records: list, random_bytes: object) -> list:
    """Return SRV records in the order to try them: by priority, then by chance in proportion to weight (RFC 2782)."""
    left = sorted(records, key=lambda record: (record[0], record[1]))[: 2 * _MAX_TARGETS]
    ordered = []
    while left:
        group = [record for record in left if record[0] == left[0][0]]
        chance = int.from_bytes(random_bytes(3), "big") % (sum([record[1] for record in group]) + 1)  # type: ignore[operator]
        for record in group:
            chance -= record[1]
            if chance <= 0:
                break
        ordered.append(record)
        left.remove(record)
    return ordered


def is_address(host: bytes) -> bool:
    """Is host an IP address, and not a name?"""
    return host.find(b":") >= 0 or host.replace(b".", b"").isdigit()


def is_local(name: bytes) -> bool:
    """Is a name this network's own, without SRV records: one without a dot, or one for mDNS (RFC 6762)?"""
    return name.find(b".") < 0 or name.endswith(b".local")
