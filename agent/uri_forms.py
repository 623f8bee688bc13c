"""What is made of a URI that is a target: loaded for more than sip:user@host:port, and by a registration."""

from .errors import ParseError
from .escapes import unescape

_COMPARED = (b"user", b"ttl", b"method", b"maddr", b"transport")  # differ if only one URI has them


def request_uri(uri: "Uri") -> bytes:  # type: ignore[name-defined]  # noqa: F821
    """Return Uri.request_uri()."""
    parts = [uri.address_of_record() + (b"" if uri.port is None else b":%d" % uri.port)]
    for name, value in uri.params:
        if name != b"method":
            parts.append(name if value is None else name + b"=" + value)
    return b";".join(parts)


def key(uri: "Uri") -> bytes:  # type: ignore[name-defined]  # noqa: F821
    """Return Uri.key()."""
    user = b"" if uri.user is None else unescape(uri.user) + b"@"
    out = b"%s:%s%s:%s" % (uri.scheme, user, uri.host, b"" if uri.port is None else b"%d" % uri.port)
    for name in _COMPARED:
        value = uri.param(name)
        if value is not None:
            out += b";" + name + b"=" + unescape(value).lower()
    return out


def flow(uri: "Uri", transport: bytes) -> tuple:  # type: ignore[name-defined]  # noqa: F821
    """Return Uri.flow()."""
    if not uri.host or uri.scheme not in (b"sip", b"sips"):
        raise ParseError("a sip: or sips: URI to send to was expected", 416)
    named = uri.param(b"transport")
    if named is not None:
        transport = named.upper()
        if transport not in (b"UDP", b"TCP", b"TLS"):
            raise ParseError("transport udp, tcp or tls was expected")
    if uri.scheme == b"sips":
        transport = b"TLS"
    port = uri.port
    if port is None:
        port = 5061 if transport == b"TLS" else 5060
    return transport, (uri.param(b"maddr") or uri.host).strip(b"[]"), port
