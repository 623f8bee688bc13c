"""URIs of the schemes an instant message meets: sip and sips (RFC 3261 section 19.1), im (RFC 3860), tel (RFC 3966)."""

from .errors import ParseError

# Sets of octets: what strip() leaves of a value has one that is not in the set, found by one call in C.
_HOST = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
_TOKEN = _HOST + b"!%*+`'~"
_URI = _TOKEN + b"#$&(),/:;=?@[\\]^{|}"


class Uri:
    """A URI in its parts, each as it was written, escapes included. Not to be changed.

    scheme: lower case. user: what stands before the "@" (password included), None without one.
    host: lower case, IPv6 without its brackets; b"" for a scheme that has none (tel).
    port: int or None. params: list of (lower-case name, value or None). headers: after the "?", b"" without.
    """

    headers = b""

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
        user = b"" if self.user is None else self.user + b"@" if self.host else self.user
        return b"%s:%s%s" % (self.scheme, user, bracketed(self.host))

    def request_uri(self) -> bytes:
        """Return the URI as a Request-URI: no headers part, no method parameter (RFC 3261 section 19.1.1)."""
        from .uri_forms import request_uri

        return request_uri(self)

    def key(self) -> bytes:
        """Return bytes that are equal for URIs that RFC 3261 section 19.1.4 calls equivalent.

        Parameters that the comparison ignores when one URI lacks them are left out, so that two URIs which differ
        in nothing else share a key, too: for "one pending MESSAGE per URI" that errs on the careful side.
        """
        from .uri_forms import key

        return key(self)

    def flow(self, transport: bytes) -> tuple:
        """Return the flow (transport, host, port) that a request for this URI goes to (RFC 3263 without DNS SRV).

        transport: used where the URI names none, e.g. b"UDP".
        Raises ParseError for a scheme without a host or a transport we don't know.
        """
        from .uri_forms import flow

        return flow(self, transport)


def bracketed(host: bytes) -> bytes:
    """Return host as it stands in a URI or a Via: an IPv6 address in brackets."""
    return b"[" + host + b"]" if host.find(b":") >= 0 else host


def is_token(value: bytes) -> bool:
    """Is value a token of RFC 3261 section 25.1 (method, header name, parameter name, tag)?"""
    return len(value) > 0 and not value.strip(_TOKEN)


def parse_host_port(value: bytes) -> tuple[bytes, int | None]:
    """Split host[:port] into (lower-case host without brackets, port or None).

    Raises ParseError when the host is no name, IPv4 or bracketed IPv6 address, or the port isn't 0..65535.
    Source: RFC 3261 section 25.1 (hostport); RFC 5118 for IPv6.
    """
    if value[:1] == b"[":
        host, found, port = value[1:].partition(b"]")
        colon = port[:1]
        port = port[1:]
        fine = found and host.find(b":") >= 0 and not host.lower().strip(b"0123456789abcdef:.")
    else:
        host, colon, port = value.partition(b":")
        fine = host and not host.strip(_HOST)
    if not fine:
        raise ParseError("a host name or address was expected")
    host = host.lower()
    if not colon:
        return host, None
    digits = port.lstrip(b"0") or b"0"  # leading zeros are legal
    if colon != b":" or not port.isdigit() or len(digits) > 5 or int(digits) > 65535:
        raise ParseError("a port in 0..65535 was expected")
    return host, int(digits)


def parse_uri(value: bytes) -> Uri:
    """Take a URI apart.

    value: an addr-spec without angle brackets, e.g. b"sip:bob@[2001:db8::1]:5070;transport=tcp".
    Raises ParseError(400) when it is no URI. A scheme other than sip, sips, im and tel is taken as it comes, its
    opaque part as the user: whether we serve it is for the UAS to say (416).
    Source: RFC 3261 sections 19.1.1 and 25.1.
    """
    scheme, colon, rest = value.partition(b":")
    scheme = scheme.lower()
    if not colon or not is_token(scheme):
        raise ParseError("a URI with a scheme was expected")
    if value.strip(_URI):
        raise ParseError("a URI without spaces, quotes and brackets was expected")
    if scheme not in (b"sip", b"sips", b"im"):
        if not rest:
            raise ParseError("something after the scheme of a URI was expected")
        user, semicolon, params = rest.partition(b";") if scheme == b"tel" else (rest, b"", b"")
        return Uri(scheme, user, b"", None, _split_uri_params(params) if semicolon else [])
    user, at, after = rest.partition(b"@")  # neither a host nor a parameter may have one unescaped
    if at:
        rest = after
        if not user or user[:1] == b":" or rest.find(b"@") >= 0:
            raise ParseError("a user part before one @ was expected")
    rest, _, headers = rest.partition(b"?")
    rest, semicolon, params = rest.partition(b";")
    host, port = parse_host_port(rest)
    uri = Uri(scheme, user if at else None, host, port, _split_uri_params(params) if semicolon else [])
    uri.headers = headers
    return uri


def _split_uri_params(value: bytes) -> list:
    params = []
    for part in value.split(b";"):
        name, equals, content = part.partition(b"=")
        if not name:
            raise ParseError("a URI parameter name was expected")
        params.append((name.lower(), content if equals else None))
    return params
