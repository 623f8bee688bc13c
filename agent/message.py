"""A SIP message is the buffer it came in plus an index: where each header field and the body lie (RFC 3261 section 7).

Fields are decoded when asked for. Names are given in lower case and in full (b"call-id"); compact forms, folded lines
and odd capitals in the buffer make no difference.
"""

_COMPACT = {
    b"i": b"call-id",
    b"m": b"contact",
    b"e": b"content-encoding",
    b"l": b"content-length",
    b"c": b"content-type",
    b"f": b"from",
    b"s": b"subject",
    b"k": b"supported",
    b"t": b"to",
    b"v": b"via",
}


class Message:
    """A request or a response. The constructor never raises: what is wrong with the bytes is kept in `fault`.

    data: the datagram or the stream's buffer; octets behind the body are somebody else's.
    method, uri: of a request, else b"". status, reason: of a response, else 0 and b"".
    length: the Content-Length, None without one, -1 when it can't be used.
    body_at: where the body begins; 0 when the header section has no end.
    fault: None, or (what was expected, the status that a request like this deserves).
    """

    # Defaults in the class: an instance on a board pays for each attribute that it sets.
    method = uri = reason = b""
    status = body_at = 0
    length: int | None = None
    fault: tuple[str, int] | None = None
    _folded = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._index: list[tuple[bytes, int, int]] = []  # name, start and end of the value
        end = data.find(b"\r\n")
        if end > 0:
            self._read_start_line(data[:end])
            self._read_fields(end + 2)

    def _blame(self, detail: str, status: int = 400) -> None:
        if self.fault is None:
            self.fault = (detail, status)

    def _read_start_line(self, line: bytes) -> None:
        begin = line[:8].upper()
        if begin[:4] == b"SIP/":
            code = line[8:11]
            # below 100, or not just three digits, is no status; "SIP/2.0 200" without a space is tolerated
            if begin == b"SIP/2.0 " and code.isdigit() and b"100" <= code <= b"699" and line[11:12] in (b"", b" "):
                self.status = int(code)
                self.reason = line[12:]
            else:
                self._blame("a status line SIP/2.0 NNN was expected")
            return
        words = line.split(b" ")
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
        size = len(data)
        find = data.find
        add = self._index.append
        lines = 1  # the start line
        while True:
            end = find(b"\r\n", at)
            if end < 0:
                self._blame("an empty line after the header fields was expected")
                return
            lines += 1
            if end == at:
                self.body_at = at + 2
                break
            following = data[end + 2] if end + 2 < size else 0  # an octet, for a slice would allocate
            while following == 32 or following == 9:
                self._folded = True
                lines += 1
                end = find(b"\r\n", end + 2)
                if end < 0:
                    self._blame("an empty line after the header fields was expected")
                    return
                following = data[end + 2] if end + 2 < size else 0
            colon = find(b":", at, end)
            name = data[at:colon].lower()
            if colon > at and data[colon - 1] <= 32:
                name = name.rstrip()
            if len(name) == 1:
                name = _COMPACT.get(name, name)
            if colon <= at or not name or name.find(b" ") >= 0:
                self._blame("a header field name and a colon were expected")
            else:
                add((name, colon + 1, end))
            at = end + 2
        if data.count(b"\n", 0, end) != lines - 1 or data.count(b"\r", 0, end) != lines - 1:
            self._blame("CRLF at each line's end and no CR or LF elsewhere was expected")
        length = self.get(b"content-length")
        if length is not None:
            self.length = -1
            if length.isdigit() and len(length) < 10 and self.count(b"content-length") == 1:
                self.length = int(length)
            else:
                self._blame("one Content-Length of digits was expected")

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first field of this name, unfolded and stripped; None without one."""
        for found, start, end in self._index:
            if found == name:
                return self._value(start, end)
        return None

    def count(self, name: bytes) -> int:
        """Return how many fields have this name."""
        number = 0
        for found, _, _ in self._index:
            if found == name:
                number += 1
        return number

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of this name, in order, one each line."""
        return [self._value(start, end) for found, start, end in self._index if found == name]

    def members(self, name: bytes) -> list[bytes]:
        """Return the comma-separated members of all fields of this name; raises ParseError for an empty one."""
        from agent.headers import split_list

        found = []
        for value in self.all(name):
            found += split_list(value)
        return found

    def names(self) -> list[bytes]:
        """Return the name of each field, in order, in full and in lower case."""
        return [name for name, _, _ in self._index]

    def _value(self, start: int, end: int) -> bytes:
        value = self.data[start:end].strip()
        if self._folded and value.find(b"\r\n") >= 0:
            value = b" ".join([line.strip() for line in value.split(b"\r\n")])
        return value

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
