"""Header field values: one parser for each form that a MESSAGE agent reads (RFC 3261 sections 20 and 25).

Values come in unfolded, without the field name. A value that a peer got wrong raises ParseError.
"""

from ..compat import const
from ..errors import ParseError
from ..uri import is_token, parse_host_port, parse_uri  # noqa: F401  # one place for all that a message is made of

_MAX_PARAMS = const(64)  # of one value: no field has a dozen, and each name is compared with all before it


def split_params(value: bytes) -> list:
    """Split b"tag=1;lr" into [(b"tag", b"1"), (b"lr", None)]: names lower case, values as written.

    value: what follows the first semicolon. Raises ParseError for an empty or repeated name (section 7.3.1), or more
    parameters than anybody needs.
    """
    if value.find(b'"') < 0 and value.find(b"<") < 0:
        parts = value.split(b";", _MAX_PARAMS)
    else:
        from .quoting import split_outside_quotes

        parts = split_outside_quotes(value, b";")
    if len(parts) > _MAX_PARAMS:
        raise ParseError("fewer parameters were expected")
    params: list = []
    for part in parts:
        name, equals, text = part.partition(b"=")
        name = name.strip().lower()
        content = text.strip() if equals else None
        if content == b"" or not is_token(name):
            raise ParseError("a parameter was expected")
        if param(params, name) is not None:
            raise ParseError("each parameter only once was expected")
        params.append((name, content))
    return params


def param(params: list, name: bytes) -> bytes | None:
    """Return a value out of split_params: b"" for a parameter without one, None for an absent parameter."""
    for found, content in params:
        if found == name:
            return b"" if content is None else content
    return None


def parse_address(value: bytes) -> tuple[bytes, bytes, list]:
    """Split a From, To or Contact value into (display name, URI, parameters).

    The display name is as written between the quotes, escapes included. Without angle brackets what follows a
    semicolon belongs to the header field, and a comma or question mark can't be there (section 20.10).
    Raises ParseError when quotes or brackets don't match, or the display name is no list of tokens.
    """
    value = value.strip()
    display = b""
    if value[:1] == b'"':
        end = value.find(b'"', 1)
        if end > 0 and value[end - 1] == 92:  # a backslash
            from .quoting import closing_quote

            end = closing_quote(value, 0)
        display = value[1:end]
        value = value[end + 1 :].lstrip()
        if end < 0 or value[:1] != b"<":
            raise ParseError("a closing quote and a URI in angle brackets was expected")
    name, bracket, rest = value.partition(b"<")
    if bracket:
        if name:
            display = name.rstrip()
            for word in display.split():
                if not is_token(word):
                    raise ParseError("quotes around such a display name were expected")
        uri, bracket, rest = rest.partition(b">")
        rest = rest.lstrip()
        if not bracket or rest[:1] not in (b"", b";"):
            raise ParseError("a closing bracket and a semicolon or nothing was expected")
        semicolon, params = rest[:1], rest[1:]
    else:
        uri, semicolon, params = value.partition(b";")
        uri = uri.rstrip()
        if b"," in uri or b"?" in uri:
            raise ParseError("angle brackets around such a URI were expected")
    return display, uri, split_params(params) if semicolon else []


class Via:
    """One Via value: transport (upper case), host, port or None, params as split_params gives them, and the text."""

    def __init__(self, transport: bytes, host: bytes, port: int | None, params: list, text: bytes) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.params = params
        self.text = text


def parse_via(value: bytes) -> Via:
    """Take one Via value apart, e.g. b"SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport" (section 20.42).

    Raises ParseError when protocol, transport or sent-by are missing or a parameter is malformed.
    """
    head, semicolon, params = value.partition(b";")
    parts = head.split(b"/", 3)
    if len(parts) != 3 or parts[0].strip().upper() != b"SIP" or parts[1].strip() != b"2.0":
        raise ParseError("SIP/2.0/transport in Via was expected")
    words = parts[2].split(None, 1)
    if len(words) != 2 or not is_token(words[0]):
        raise ParseError("a transport and an address in Via were expected")
    host, port = parse_host_port(words[1].replace(b" ", b"").replace(b"\t", b""))
    return Via(words[0].upper(), host, port, split_params(params) if semicolon else [], value)


def parse_cseq(value: bytes) -> tuple[int, bytes]:
    """Split a CSeq value into (number, method).

    value: as received, e.g. b"4711 MESSAGE". Returns number in 0..2**32-1 and the method as the peer wrote it.
    Raises ParseError when a part is missing or the number is too large.
    Source: RFC 3261 section 20.16.
    """
    words = value.split(None, 2)
    if len(words) != 2 or not words[0].isdigit() or not is_token(words[1]):
        raise ParseError("a CSeq of number and method was expected")
    number = words[0].lstrip(b"0") or b"0"  # leading zeros are legal
    if len(number) > 10 or int(number) > 0xFFFFFFFF:
        raise ParseError("a CSeq number below 2**32 was expected")
    return int(number), words[1]


def media_type(value: bytes) -> bytes:
    """Return type/subtype of a Content-Type value in lower case without blanks and parameters (section 20.15).

    Parameters may also follow a blank or a comma, as some write them.
    """
    words = value.partition(b";")[0].replace(b"/", b" / ").split(None, 3)[:3]
    return b"".join(words).rstrip(b",").lower()


def takes(accepted: tuple | list, media: bytes) -> bool:
    """Do these media ranges, such as b"text/plain", b"text/*" or b"*/*", take this type?"""
    for one in accepted:
        if one == media or one == b"*/*" or (one[-2:] == b"/*" and media.startswith(one[:-1])):
            return True
    return False
