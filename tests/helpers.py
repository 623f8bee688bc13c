"""Shared by the portable tests. It runs on CPython and on boards, so it is plain Python and imports `agent` alone."""

from agent.clock import later
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.notices import Dropped, Provisional, Resolve
from agent.stream import Framer
from agent.uas import MessageReceived
from agent.uri import parse_uri
from agent.user_agent import UserAgent
from agent.wall_clock import WallClock

NOW = 0x3FFFFFFF - 700  # tests begin just before the clock wraps

MESSAGE = (
    b"MESSAGE sip:desk@example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:boiler@example.org>;tag=49583\r\n"
    b"To: <sip:desk@example.org>\r\n"
    b"Call-ID: asd88asd77a@1.2.3.4\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 18\r\n"
    b"\r\n"
    b"Watson, come here."
)
UDP = (b"UDP", b"192.0.2.1", 5062)  # where MESSAGE comes from
TCP = (b"TCP", b"192.0.2.1", 49152)


def raises(kind, function, *arguments):
    """Call function and return the exception of this kind that it raises; fail when it raises none."""
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError("%s was not raised" % kind.__name__)


def checked(message):
    """Return the names of the fields of a message, which has to be well-formed: else it raises ParseError."""
    message.check()
    return message.names


def counting():
    """Return a random_bytes whose n octets count up: 00..01, 00..02, ... so that a test can write them down."""
    count = [0]

    def random_bytes(n):
        count[0] += 1
        return count[0].to_bytes(n, "big")

    return random_bytes


class Dice:
    """Pseudo-random numbers that are the same on every interpreter."""

    def __init__(self, seed):
        self._state = seed

    def roll(self, sides):
        """Return 0..sides-1, sides at most 65536."""
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 12) % sides

    def random_bytes(self, n):
        return bytes([self.roll(256) for _ in range(n)])


class Settled(UserAgent):
    """A user agent that looks up no names: it answers each Resolve itself, with the host of the URI as the address."""

    def settled(self, events, now):
        """Return events, each Resolve replaced by the events that follow from its answer."""
        if not [1 for event in events if type(event) is Resolve]:
            return events
        found = []
        for event in events:
            if type(event) is Resolve:
                flow = parse_uri(event.uri).flow(self.uac.transport)
                found += self.more().resolved(event.uri, [flow], now)
            else:
                found.append(event)
        return found

    def send(self, call_id, target, body, now, **options):
        return self.settled(UserAgent.send(self, call_id, target, body, now, **options), now)

    def receive(self, data, flow, now):
        return self.settled(UserAgent.receive(self, data, flow, now), now)

    def failed(self, flow, now, *more):
        return self.settled(self.more().failed(flow, now, *more), now)

    def register(self, now, *more, **options):
        return self.settled(self.more().register(now, *more, **options), now)

    def unregister(self, now):
        return self.settled(self.more().unregister(now), now)

    def wake(self, now):
        return self.settled(UserAgent.wake(self, now), now)


def board(random_bytes=None, **options):
    """Return the user agent that sends in most tests."""
    options.setdefault("clock", WallClock())
    return Settled(b"sip:boiler@example.org", b"192.0.2.7:5060", random_bytes or counting(), **options)


def desk(random_bytes=None, **options):
    """Return the user agent that answers in most tests."""
    options.setdefault("clock", WallClock())
    return Settled(b"sip:desk@example.org", b"192.0.2.9:5060", random_bytes or counting(), **options)


def changed(data, *pairs):
    """Return data with old, new, old, new, ... replaced; each old has to be there."""
    for i in range(0, len(pairs), 2):
        assert pairs[i] in data, "%r is not in the message to change" % pairs[i]
        data = data.replace(pairs[i], pairs[i + 1])
    return data


def with_field(line, data=MESSAGE):
    """Return data with one more header line before its Content-Length."""
    return changed(data, b"Content-Length:", line + b"\r\nContent-Length:")


def without(name, data=MESSAGE):
    """Return data without the header line that begins with name."""
    start = data.find(b"\r\n" + name)
    assert start > 0, "%r is not in the message to change" % name
    return data[:start] + data[data.find(b"\r\n", start + 2) :]


def with_body(body, data=MESSAGE):
    """Return data with another body and its Content-Length."""
    return changed(data, b"Length: 18\r\n\r\nWatson, come here.", b"Length: %d\r\n\r\n%s" % (len(body), body))


def only(events):
    """Return the one event there is."""
    assert len(events) == 1, "one event was expected, not %r" % (events,)
    return events[0]


def sent(events):
    """Return the one message that these events send, parsed."""
    data = [event.data for event in events if type(event) is Transmit]
    assert len(data) == 1, "one Transmit was expected in %r" % (events,)
    return Message(data[0])


def answer(request, status_line, fields=b"", to_tag=b"ab8asdasd9"):
    """Return the response that a peer makes to a request (octets), fields being whole header lines."""
    request = Message(request)
    lines = [b"SIP/2.0 " + status_line]
    for via in request.all(b"via"):
        lines.append(b"Via: " + via)
    for name in (b"from", b"to", b"call-id", b"cseq"):
        value = request.get(name)
        lines.append(name + b": " + value + (b";tag=" + to_tag if name == b"to" and to_tag else b""))
    return b"\r\n".join(lines) + b"\r\n" + fields + b"Content-Length: 0\r\n\r\n"


def deliver(ua, data, flow=UDP, now=NOW, status=200):
    """Give ua a request, answer it with status if ua accepts it; return (status sent, MessageReceived or None).

    The status sent is 0 when ua sends nothing.
    """
    received = None
    events = list(ua.receive(data, flow, now))
    for event in list(events):
        if type(event) is MessageReceived:
            received = event
            events += ua.respond(event, status, now)
    statuses = [Message(event.data).status for event in events if type(event) is Transmit]
    assert len(statuses) < 2, "more than one answer: %r" % (events,)
    return (statuses[0] if statuses else 0), received


class Peer:
    """One end of a Link: a user agent, its address, and everything that its application has been told."""

    def __init__(self, ua, host, port=5060):
        self.ua = ua
        self.address = (host, port)
        self.received = []  # MessageReceived
        self.outcomes = []  # (ms since the start, Outcome)
        self.sent = []  # (ms since the start, octets)
        self.dropped = []  # reasons
        self.framers = {}  # by flow
        self.status = 200  # the answer to what comes; None: no answer yet

    def texts(self):
        return [event.message.body for event in self.received]


class Link:
    """Two user agents back to back, time and network in the test's hand: no socket, no waiting.

    fate: a function of (number of the datagram, octets) that returns the delays in ms after which copies arrive:
    () loses it, (0, 0) doubles it, (0, 40) doubles it late. cut: octets a piece, of a stream.
    Whatever the network does, a Link asserts three things: the application gets a MESSAGE at most once for each
    transaction, each send has one Outcome, and nothing of a message is sent after its Outcome.
    """

    def __init__(self, left, right, fate=None, cut=7, now=NOW):
        self.peers = [left, right]
        self.ms = 0  # since the start
        self._fate = fate or (lambda number, data: (0,))
        self._cut = cut
        self._start = now
        self._carried = 0
        self._under_way = []  # [ms of arrival, receiving peer, octets, flow]
        self._call_ids = []
        self._ended = []
        self._seen = []

    def now(self):
        return later(self._start, self.ms)

    def send(self, peer, target, body, **options):
        """Let one end send a MESSAGE; return its Call-ID."""
        call_id = peer.ua.new_call_id()
        self._call_ids.append(call_id)
        self._carry_out(peer, peer.ua.send(call_id, target, body, self.now(), **options))
        return call_id

    def respond(self, peer, received, status):
        self._carry_out(peer, peer.ua.respond(received, status, self.now()))

    def fail(self, peer, flow):
        self._carry_out(peer, peer.ua.failed(flow, self.now()))

    def run(self, until_ms=None):
        """Let time pass until all is done and each send has its Outcome; or only until until_ms after the start."""
        while True:
            waits = [peer.ua.wait_ms(self.now()) for peer in self.peers]
            times = [self.ms + wait for wait in waits if wait is not None] + [item[0] for item in self._under_way]
            if until_ms is not None and (not times or min(times) > until_ms):
                self.ms = until_ms
                return
            if not times:
                break
            self.ms = max(self.ms, min(times))
            assert self.ms < 100000000, "there is always more to do"
            for item in [item for item in self._under_way if item[0] <= self.ms]:
                self._under_way.remove(item)
                self._arrive(item[1], item[2], item[3])
            for peer in self.peers:
                self._carry_out(peer, peer.ua.wake(self.now()))
        assert sorted(self._ended) == sorted(self._call_ids), "each send has one Outcome"

    def _arrive(self, peer, data, flow):
        if flow[0] == b"UDP":
            self._carry_out(peer, peer.ua.receive(data, flow, self.now()))
            return
        framer = peer.framers.setdefault(flow, Framer())
        for i in range(0, len(data), self._cut):
            for message in framer.feed(data[i : i + self._cut]):
                self._carry_out(peer, peer.ua.receive(message, flow, self.now()))
        assert not framer.lost

    def _carry_out(self, peer, events):
        for event in events:
            if type(event) is Transmit:
                self._transmit(peer, event)
            elif type(event) is MessageReceived:
                message = event.message
                transaction = (message.get(b"call-id"), message.get(b"cseq"), message.get(b"via"))
                assert transaction not in self._seen, "the same message twice"
                self._seen.append(transaction)
                peer.received.append(event)
                if peer.status is not None:
                    self.respond(peer, event, peer.status)
            elif type(event) is Outcome:
                assert event.call_id in self._call_ids and event.call_id not in self._ended, "one Outcome for each send"
                self._ended.append(event.call_id)
                peer.outcomes.append((self.ms, event))
            elif type(event) is not Provisional:
                assert type(event) is Dropped
                peer.dropped.append(event.reason)

    def _transmit(self, peer, event):
        message = Message(event.data)
        assert message.status or message.get(b"call-id") not in self._ended, "sent after its Outcome"
        peer.sent.append((self.ms, event.data))
        self._carried += 1
        for other in self.peers:
            if event.flow[1:3] == other.address:
                for delay in self._fate(self._carried, event.data):
                    self._under_way.append(
                        [self.ms + delay, other, event.data, (event.flow[0], peer.address[0], peer.address[1])]
                    )
