"""A SIP message is the buffer it came in and an index of its header fields (RFC 3261 section 7).

Fields are decoded when asked for. Names are given in lower case and in full (b"call-id"); compact forms, folded lines
and odd capitals in the buffer make no difference.

Message is the portable reader of messages. UserAgent and Framer take another one by their argument `reader`: a class
that is called as Message is, has what is public in it, and yields the same for any octets whatever, faults included.
Nothing else in the core reads a request, so that a host may read the usual one in its own, faster way.
"""

from .compat import const
from .errors import ParseError

MAX_HEAD = const(8192)  # octets before the body, most of which a response may have to copy
_MAX_LINES = const(256)  # header fields
_MAX_MEMBERS = const(256)  # of a list in several of them; in one agent.headers.quoting counts them

# The octet that stands for a name, and the name.
_COMPACT = (
    b"c:content-type e:content-encoding f:from i:call-id k:supported l:content-length m:contact s:subject t:to v:via "
)


class Message:
    """A request or a response. The constructor never raises: what is wrong with the bytes is kept in `fault`.

    data: the datagram or the stream's buffer; octets behind the body are somebody else's.
    method, uri: of a request, else b"". status, reason: of a response, else 0 and b"".
    length: the Content-Length, None without one, -1 when it can't be used.
    body_at: where the body begins; 0 when the header section has no end.
    fault: None, or (what was expected, the status that a request like this deserves).
    names: of its fields, in order; b"" for a line that has none.
    A Framer, which knows better how long a message is, sets data, length and fault.
    """

    # Defaults in the class: an instance on a board pays for each attribute that it sets.
    method = uri = reason = b""
    status = body_at = 0
    length: int | None = None
    fault: tuple[str, int] | None = None
    _folded = False
    is_overlong = False  # its fields were too many to be read
    most = MAX_HEAD  # octets before the body of a request

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.names: list[bytes] = []
        self._places: list[int] = []  # where each field's line begins, and the last one's end
        end = data.find(b"\r\n")
        if end > 0:
            self._read_start_line(data[:end])
            if self.status or data.find(b"\r\n\r\n", end, self.most) >= 0 or len(data) <= self.most:
                self._read_fields(end + 2)
            else:
                self._overflow()

    def _blame(self, detail: str, status: int = 400) -> None:
        if self.fault is None:
            self.fault = (detail, status)

    def _overflow(self) -> None:
        """Leave a header section unread that is too long; agent.uas.overlong finds in it what an answer takes."""
        self.fault = ("a shorter header section was expected", 513)
        self.is_overlong = True
        self.names = []
        self._places = []
        self.body_at = self.data.find(b"\r\n\r\n") + 4
        if self.body_at < 4:  # it has no end
            self.body_at = 0

    def _read_start_line(self, line: bytes) -> None:
        if line[:4].upper() == b"SIP/":
            version, _, rest = line.partition(b" ")
            code, _, reason = rest.partition(b" ")
            # below 100, or not just three digits, is no status; "SIP/2.0 200" without a space is tolerated
            if version.upper() == b"SIP/2.0" and len(code) == 3 and code.isdigit() and b"100" <= code <= b"699":
                self.status = int(code)
                self.reason = reason
            else:
                self._blame("a status line SIP/2.0 NNN was expected")
            return
        words = line.split(b" ", 3)
        self.method = words[0]
        if len(words) != 3 or not words[0] or not words[1]:
            self._blame("a request line of method, URI and version was expected")
            return
        self.uri = words[1]
        version = words[2].upper()
        if version != b"SIP/2.0":
            self._blame("version SIP/2.0 was expected", 505 if version[:4] == b"SIP/" else 400)

    def _read_fields(self, at: int) -> None:
        data = self.data
        find = data.find
        size = len(data) - 2
        end = find(b"\r\n", at)
        while end != at:
            while 0 <= end < size and (data[end + 2] == 32 or data[end + 2] == 9):
                self._folded = True
                end = find(b"\r\n", end + 2)
            if len(self.names) == _MAX_LINES:
                self._overflow()
                return
            self._places.append(at)
            if end < 0:
                self._blame("an empty line after the header fields was expected")
                return
            colon = find(b":", at, end)
            name = data[at:colon].rstrip().lower() if colon > at else b""
            if len(name) == 1:
                found = _COMPACT.find(name + b":")
                if found >= 0:
                    name = _COMPACT[found + 2 : _COMPACT.find(b" ", found)]
            self.names.append(b"" if b" " in name else name)
            at = end + 2
            end = find(b"\r\n", at)
        self._places.append(at)
        self.body_at = at + 2
        lengths = self.all(b"content-length")
        if lengths:
            self.length = -1
            digits = lengths[0].lstrip(b"0") or b"0"  # leading zeros are legal
            if len(lengths) == 1 and lengths[0].isdigit() and len(digits) < 10:
                self.length = int(digits)
            else:
                self._blame("one Content-Length of digits was expected")

    def check(self, once: bytes = b"") -> None:
        """Raise ParseError for a message that is not well-formed, with the status that a request like this deserves.

        That is one with a fault, an octet of a line's end that stands alone, a line that is no header field (RFC 3261
        section 7.3), or two fields of a name in `once`, which has names with blanks between them.
        """
        if self.fault is not None:
            raise ParseError(self.fault[0], self.fault[1])
        if b"" in self.names:
            raise ParseError("a header field name and a colon were expected")
        if (self.get(b"call-id") or b"").find(b"\0") >= 0:  # for who reads C strings two such are the same
            raise ParseError("a Call-ID without NUL was expected")
        count = self.data.count
        ends = count(b"\r\n", 0, self.body_at)
        if count(b"\n", 0, self.body_at) != ends or count(b"\r", 0, self.body_at) != ends:
            raise ParseError("CRLF at each line's end and no CR or LF elsewhere was expected")
        for name in once.split():
            if self.names.count(name) > 1:
                raise ParseError("one %s only was expected" % name.decode())

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first field of this name, unfolded and stripped; None without one."""
        return self._value(self.names.index(name)) if name in self.names else None

    def values(self, names: bytes) -> tuple:
        """Return get() of each of these names, which have blanks between them."""
        return tuple([self.get(name) for name in names.split()])

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of this name, in order, one each line."""
        found = []
        at = -1
        for _ in range(self.names.count(name)):
            at = self.names.index(name, at + 1)
            found.append(self._value(at))
        return found

    def _value(self, i: int) -> bytes:
        data = self.data
        end = self._places[i + 1] - 2
        value = data[data.find(b":", self._places[i], end) + 1 : end].strip()
        if self._folded and value.find(b"\r\n") >= 0:
            value = b" ".join([line.strip() for line in value.split(b"\r\n")])
        return value

    def members(self, name: bytes) -> list[bytes]:
        """Return the comma-separated members of all fields of this name.

        Raises ParseError for an empty one, and for more than 256.
        """
        found = []
        for value in self.all(name):
            if value and value.find(b",") < 0 and value.find(b'"') < 0 and value.find(b"<") < 0:
                found.append(value)
            else:
                from .headers.quoting import split_list

                found += split_list(value)
        if len(found) > _MAX_MEMBERS:
            raise ParseError("256 members of a list at most were expected")
        return found

    @property
    def grammar(self) -> "Any":  # type: ignore[name-defined]  # noqa: F821
        """A module with parse_via, parse_address, parse_cseq and parse_uri, for values of this message."""
        from .headers import values

        return values

    def missing(self) -> int:
        """Return how many octets of the body that Content-Length announced are not in the buffer."""
        return 0 if self.length is None else max(0, self.body_at + self.length - len(self.data))

    @property
    def body(self) -> bytes:
        """The octets that Content-Length frames; without it the rest of the buffer (RFC 3261 section 18.3)."""
        if not self.body_at:
            return b""
        if self.length is None or self.length < 0:
            return self.data[self.body_at :]
        return self.data[self.body_at : self.body_at + self.length]
