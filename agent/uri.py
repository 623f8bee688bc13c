"""URIs of the schemes an instant message meets: sip and sips (RFC 3261 section 19.1), im (RFC 3860), tel (RFC 3966)."""

from binascii import unhexlify

from .errors import ParseError

_TRANSPORTS = {b"udp": b"UDP", b"tcp": b"TCP", b"tls": b"TLS"}
# Sets of octets: what strip() leaves of a value has one that is not in the set, found by one call in C.
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_TOKEN = _LETTERS + _LETTERS.upper() + _DIGITS + b"-.!%*_+`'~"
_URI = _TOKEN + b"#$&(),/:;=?@[\\]^{|}"
_COMPARED = (b"user", b"ttl", b"method", b"maddr", b"transport")  # differ if only one URI has them


class Uri:
    """A URI in its parts, each as it was written, escapes included. Not to be changed: what is made of it is kept.

    scheme: lower case. user: what stands before the "@" (password included), None without one.
    host: lower case, IPv6 without its brackets; b"" for a scheme that has none (tel).
    port: int or None. params: list of (lower-case name, value or None). headers: after the "?", b"" without.
    """

    headers = b""
    _aor = _request_uri = _key = b""
    _flow: tuple | None = None

    def __init__(self, scheme: bytes, user: bytes | None, host: bytes, port: int | None, params: list) -> None:
        self.scheme = scheme
        self.user = user
        self.host = host
        self.port = port
        self.params = params

    def param(self, name: bytes) -> bytes | None:
        """Return the value of a URI parameter: b"" when it has none, None when the parameter is absent."""
        for found, value in self.params:
            if found == name:
                return value or b""
        return None

    def address_of_record(self) -> bytes:
        """Return the URI with just the parts that To and From may have (RFC 3261 section 19.1.1, table 1)."""
        if not self._aor:
            user = b"" if self.user is None else self.user + (b"@" if self.host else b"")
            self._aor = b"%s:%s%s" % (self.scheme, user, bracketed(self.host))
        return self._aor

    def request_uri(self) -> bytes:
        """Return the URI as a Request-URI: no headers part, no method parameter (RFC 3261 section 19.1.1)."""
        if not self._request_uri:
            out = self.address_of_record()
            if self.port is not None:
                out += b":%d" % self.port
            for name, value in self.params:
                if name != b"method":
                    out += b";" + name if value is None else b";" + name + b"=" + value
            self._request_uri = out
        return self._request_uri

    def key(self) -> bytes:
        """Return bytes that are equal for URIs that RFC 3261 section 19.1.4 calls equivalent.

        Parameters that the comparison ignores when one URI lacks them are left out, so that two URIs which differ
        in nothing else share a key, too: for "one pending MESSAGE per URI" that errs on the careful side.
        """
        if not self._key:
            user = b"" if self.user is None else unescape(self.user) + b"@"
            out = b"%s:%s%s:%s" % (self.scheme, user, self.host, b"" if self.port is None else b"%d" % self.port)
            for name in _COMPARED:
                value = self.param(name)
                if value is not None:
                    out += b";" + name + b"=" + unescape(value).lower()
            self._key = out
        return self._key

    def flow(self, transport: bytes) -> tuple:
        """Return the flow (transport, host, port) that a request for this URI goes to (RFC 3263 without DNS SRV).

        transport: used where the URI names none, e.g. b"UDP"; the same at each call.
        Raises ParseError for a scheme without a host or a transport we don't know.
        """
        if self._flow is not None:
            return self._flow
        if not self.host or self.scheme not in (b"sip", b"sips"):
            raise ParseError("a sip: or sips: URI to send to was expected", 416)
        named = self.param(b"transport")
        if named is not None:
            transport = _TRANSPORTS.get(named.lower(), b"")
            if not transport:
                raise ParseError("transport udp, tcp or tls was expected")
        if self.scheme == b"sips":
            transport = b"TLS"
        port = self.port
        if port is None:
            port = 5061 if transport == b"TLS" else 5060
        self._flow = (transport, (self.param(b"maddr") or self.host).strip(b"[]"), port)
        return self._flow


def bracketed(host: bytes) -> bytes:
    """Return host as it stands in a URI or a Via: an IPv6 address in brackets."""
    return b"[" + host + b"]" if host.find(b":") >= 0 else host


def unescape(value: bytes) -> bytes:
    """Decode %HH once; a percent sign that starts no escape stays (RFC 3261 section 19.1.2)."""
    parts = value.split(b"%")
    for i in range(1, len(parts)):
        part = parts[i]
        try:
            parts[i] = unhexlify(part[:2]) + part[2:] if len(part) > 1 else b"%" + part
        except ValueError:
            parts[i] = b"%" + part
    return b"".join(parts)


def is_token(value: bytes) -> bool:
    """Is value a token of RFC 3261 section 25.1 (method, header name, parameter name, tag)?"""
    return len(value) > 0 and not value.strip(_TOKEN)


def parse_host_port(value: bytes) -> tuple[bytes, int | None]:
    """Split host[:port] into (lower-case host without brackets, port or None).

    Raises ParseError when the host is no name, IPv4 or bracketed IPv6 address, or the port isn't 0..65535.
    Source: RFC 3261 section 25.1 (hostport); RFC 5118 for IPv6.
    """
    if value[:1] == b"[":
        end = value.find(b"]")
        host = value[1:end]
        rest = value[end + 1 :]
        fine = end > 0 and host.find(b":") >= 0
        allowed = _DIGITS + b"abcdef:."
    else:
        end = value.find(b":")
        host = value if end < 0 else value[:end]
        rest = b"" if end < 0 else value[end:]
        fine = len(host) > 0
        allowed = _LETTERS + _DIGITS + b"-._"
    host = host.lower()
    if not fine or host.strip(allowed):
        raise ParseError("a host name or address was expected")
    if not rest:
        return host, None
    port = rest[1:]
    if rest[:1] != b":" or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ParseError("a port in 0..65535 was expected")
    return host, int(port)


def parse_uri(value: bytes) -> Uri:
    """Take a URI apart.

    value: an addr-spec without angle brackets, e.g. b"sip:bob@[2001:db8::1]:5070;transport=tcp".
    Raises ParseError(400) when it is no URI. A scheme other than sip, sips, im and tel is taken as it comes, its
    opaque part as the user: whether we serve it is for the UAS to say (416).
    Source: RFC 3261 sections 19.1.1 and 25.1.
    """
    colon = value.find(b":")
    scheme = value[:colon].lower()
    if colon < 1 or not is_token(scheme):
        raise ParseError("a URI with a scheme was expected")
    if value.strip(_URI):
        raise ParseError("a URI without spaces, quotes and brackets was expected")
    rest = value[colon + 1 :]
    if scheme not in (b"sip", b"sips", b"im"):
        return _without_host(scheme, rest)
    at = rest.find(b"@")  # neither a host nor a parameter may have one unescaped
    user = None
    if at >= 0:
        user = rest[:at]
        if not user or user[:1] == b":" or rest.find(b"@", at + 1) >= 0:
            raise ParseError("a user part before one @ was expected")
        rest = rest[at + 1 :]
    question = rest.find(b"?")
    headers = b""
    if question >= 0:
        headers = rest[question + 1 :]
        rest = rest[:question]
    semicolon = rest.find(b";")
    params = []
    if semicolon >= 0:
        params = _split_uri_params(rest[semicolon + 1 :])
        rest = rest[:semicolon]
    host, port = parse_host_port(rest)
    uri = Uri(scheme, user, host, port, params)
    if headers:
        uri.headers = headers
    return uri


def _without_host(scheme: bytes, rest: bytes) -> Uri:
    """Return a tel: URI, or one of a scheme that we don't know."""
    semicolon = rest.find(b";")
    if not rest:
        raise ParseError("something after the scheme of a URI was expected")
    if scheme != b"tel" or semicolon < 0:
        return Uri(scheme, rest, b"", None, [])
    return Uri(scheme, rest[:semicolon], b"", None, _split_uri_params(rest[semicolon + 1 :]))


def _split_uri_params(value: bytes) -> list:
    params = []
    for part in value.split(b";"):
        equals = part.find(b"=")
        name = (part if equals < 0 else part[:equals]).lower()
        if not name:
            raise ParseError("a URI parameter name was expected")
        params.append((name, None if equals < 0 else part[equals + 1 :]))
    return params
