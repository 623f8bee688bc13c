"""The desk of a simulated board: takes alerts, registers, asks for passwords, tells the time, and can be away."""

_CHALLENGE = b'WWW-Authenticate: Digest realm="desk", nonce="%d", qop="auth"\r\n'
_SHORT = {b"Via": b"v", b"From": b"f", b"To": b"t", b"Call-ID": b"i"}


def field(data, name):
    """Return the value of a message's field, None where it has none."""
    at = data.find(b"\r\n" + name + b":")
    if at < 0 and name in _SHORT:
        name = _SHORT[name]
        at = data.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    at += len(name) + 3
    return data[at : data.find(b"\r\n", at)].strip()


class Desk:
    """got: one tuple for each copy that came: (text, Call-ID, From's URI, Date, Expires, Unix seconds when it came)."""

    def __init__(self, world, asks=False, dates=False):
        """asks: for a password, of each request that has none. dates: does its 200 say the time?"""
        self._world = world
        self._asks = asks
        self._dates = dates
        self._nonces = 0
        self.is_present = True
        self.got = []
        self.registered = []  # each Contact
        self.way = None  # back to the board

    def take(self, data, reply):
        """Take a datagram, or a message of a stream."""
        if not self.is_present or not data.strip():  # a ping, which nobody answers over UDP
            return
        self.way = reply
        if data.startswith(b"SIP/2.0"):
            self.answered(data)
        elif self._asks and field(data, b"Authorization") is None:
            self._nonces += 1
            reply(answer(data, b"401 Who", _CHALLENGE % self._nonces))
        elif data.startswith(b"REGISTER"):
            contact = field(data, b"Contact")
            self.registered.append(contact)
            reply(answer(data, b"200 OK", b"Contact: %s;expires=600\r\n" % contact))
        else:
            self.message(data)
            reply(answer(data, b"200 OK", b"Date: %s\r\n" % date_of(self._world.unix()) if self._dates else b""))

    def message(self, data):
        """Keep a MESSAGE."""
        text = data[data.find(b"\r\n\r\n") + 4 :].decode()
        who = field(data, b"From").split(b";")[0]
        when = field(data, b"Date"), field(data, b"Expires"), self._world.unix()
        self.got.append((text, field(data, b"Call-ID"), who) + when)

    def answered(self, data):
        """Hear an answer to a command."""

    def texts(self):
        """Return the texts that came, each once, in the order in which they came."""
        found = []
        for copy in self.got:
            if copy[0] not in found:
                found.append(copy[0])
        return found

    def doubled(self):
        """Return the texts that came as what an inbox can't know for the same."""
        known = {}
        for copy in self.got:
            known.setdefault(copy[0], set()).add(copy[1:3])
        return [text for text in known if len(known[text]) > 1]


def answer(request, status, fields=b""):
    """Return the response to a request."""
    lines = [b"SIP/2.0 " + status]
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        lines.append(name + b": " + field(request, name) + (b";tag=desk" if name == b"To" else b""))
    return b"\r\n".join(lines) + b"\r\n" + fields + b"Content-Length: 0\r\n\r\n"


def command(world, text, number, host=b"192.0.2.7"):
    """Return a MESSAGE of the desk to its board."""
    return (
        b"MESSAGE sip:boiler@%s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%016d\r\nMax-Forwards: 70\r\n"
        b"From: <sip:desk@192.0.2.1>;tag=%d\r\nTo: <sip:boiler@%s>\r\nCall-ID: command-%d\r\nCSeq: 1 MESSAGE\r\n"
        b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
    ) % (host, number, number, host, number, len(text), text)


def date_of(unix):
    """Return the value of a Date."""
    from agent.headers.date_writer import format_date

    return format_date(unix)


def unix_of(value):
    """Return Unix seconds of a Date's value, None where there is none."""
    from agent.date_reader import parse_date

    return None if value is None else parse_date(value)
