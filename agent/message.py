"""A SIP message is the buffer it came in and the places where its header fields begin (RFC 3261 section 7).

Fields are decoded when asked for. Names are given in lower case and in full (b"call-id"); compact forms, folded lines
and odd capitals in the buffer make no difference. Whether every line is a header field, agent.headers.strict tells.
"""

SHORT = {  # the octet that stands for a name
    b"call-id": 105,
    b"contact": 109,
    b"content-encoding": 101,
    b"content-length": 108,
    b"content-type": 99,
    b"from": 102,
    b"subject": 115,
    b"supported": 107,
    b"to": 116,
    b"via": 118,
}


class Message:
    """A request or a response. The constructor never raises: what is wrong with the bytes is kept in `fault`.

    data: the datagram or the stream's buffer; octets behind the body are somebody else's.
    method, uri: of a request, else b"". status, reason: of a response, else 0 and b"".
    length: the Content-Length, None without one, -1 when it can't be used.
    lines: where each header field begins, and where the empty line does.
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
        self.lines: list[int] = []
        end = data.find(b"\r\n")
        if end > 0:
            self._read_start_line(data[:end])
            self._read_lines(end + 2)

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

    def _read_lines(self, at: int) -> None:
        data = self.data
        find = data.find
        lines = self.lines
        while True:
            end = find(b"\r\n", at)
            if end < 0:
                lines.append(at)
                self.data = data + b"\r\n"
                self._blame("an empty line after the header fields was expected")
                return
            octet = data[at]
            if (octet == 32 or octet == 9) and lines:
                self._folded = True
            else:
                lines.append(at)
                if octet == 13 and end == at:
                    break
            at = end + 2
        self.body_at = at + 2
        length = self.all(b"content-length", 2)
        if length:
            self.length = -1
            if len(length) == 1 and length[0].isdigit() and len(length[0]) < 10:
                self.length = int(length[0])
            else:
                self._blame("one Content-Length of digits was expected")

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first field of this name, unfolded and stripped; None without one."""
        values = self.all(name, 1)
        return values[0] if values else None

    def all(self, name: bytes, most: int = 65535) -> list[bytes]:
        """Return the values of all fields of this name, the first `most` of them, in order, one each line."""
        values: list[bytes] = []
        data = self.data
        first = name[0]
        size = len(name)
        short = SHORT.get(name, 0)
        for at in self.lines[:-1]:
            octet = data[at] | 32  # in lower case: most lines are none of these, and nothing was allocated
            if octet != first and octet != short:
                continue
            colon = data.find(b":", at)
            length = colon - at
            if length > 1 and data[colon - 1] <= 32:
                length = len(data[at:colon].rstrip())
            if (length == size and data[at : at + size].lower() == name) or (length == 1 and octet == short):
                end = self.lines[self.lines.index(at) + 1] - 2
                if colon >= end:  # it is another line's
                    continue
                value = data[colon + 1 : end].strip()
                if self._folded and value.find(b"\r\n") >= 0:
                    value = b" ".join([line.strip() for line in value.split(b"\r\n")])
                values.append(value)
                if len(values) == most:
                    break
        return values

    def members(self, name: bytes) -> list[bytes]:
        """Return the comma-separated members of all fields of this name; raises ParseError for an empty one."""
        from .headers.values import split_list

        found = []
        for value in self.all(name):
            found += split_list(value)
        return found

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
