"""Where a URI leads, read without the grammar where it is plain. A board frees this once its targets are read."""

from .compat import const
from .request import PLAIN

_SIPS_PORT = const(5061)


def read_target(uri: bytes, transport: bytes, flow: tuple | None) -> tuple:
    """Return (Request-URI, To, key, flow, place) of a URI; place is None where flow has an address.

    transport: b"UDP", b"TCP" or b"TLS", where the URI names none. flow: where requests go in any case, or None.
    A plain sip:user@host:port;transport=tcp, or less than that, is read here, everything else by the grammar. Raises
    UsageError for no URI to send to.
    """
    user, at, host = uri[4:].rpartition(b"@")
    host, semicolon, parameter = host.partition(b";")
    host, colon, port = host.lower().partition(b":")
    if (
        uri[:4] != b"sip:"
        or (at and (not user or user.strip(PLAIN)))
        or not host
        or host.strip(PLAIN)
        or (colon and (not port.isdigit() or port[:1] == b"0" or len(port) > 5 or int(port) > 65535))
        or parameter not in (b"", b"transport=udp", b"transport=tcp", b"transport=tls")
        or (semicolon and not parameter)
    ):
        from .any_target import read_any

        return read_any(uri, transport, flow)
    parameter = semicolon + parameter
    transport = parameter[11:].upper() or transport
    to = b"sip:" + user + at + host
    number = int(port) if port else _SIPS_PORT if transport == b"TLS" else 5060
    place = None if host.replace(b".", b"").isdigit() else b"sip:" + host + colon + port + parameter
    return to + colon + port + parameter, to, to + b":" + port + parameter, (transport, host, number), place
