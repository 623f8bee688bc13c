"""R3261-18-13, R3261-18-15, R3261-18-3: whatever bytes arrive, the core returns events, raises nothing, keeps little.

Three sources: any octets, valid messages that were bent, and messages built from the grammar with odd parts. Examples
are derived from the tests' names, the same at each run; FUZZ=1000000 tries that many, other ones at each run.
"""

import os
import tracemalloc

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import later
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.notices import Dropped, Provisional
from agent.stream import PING, PONG, Framer
from agent.uas import MessageReceived
from agent.user_agent import UserAgent
from tests.helpers import MESSAGE, NOW, TCP, UDP, answer, board, checked, counting, only

KEEP = 4
LIMIT = 2000
CALM = {"deadline": None, "suppress_health_check": list(HealthCheck)}
if "FUZZ" in os.environ:
    profile = settings(max_examples=int(os.environ["FUZZ"]), **CALM)
else:
    profile = settings(max_examples=300, derandomize=True, database=None, **CALM)

REQUEST = only(board().send(b"1", b"sip:desk@192.0.2.1", b"x", NOW)).data
SEEDS = (
    MESSAGE,
    REQUEST,
    answer(REQUEST, b"200 OK"),
    answer(REQUEST, b"100 Trying"),
    answer(REQUEST, b"401 Unauthorized", b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth,auth-int"\r\n'),
    answer(REQUEST, b"302 Moved", b"Contact: <sip:desk@192.0.2.2>, <sip:desk@192.0.2.3>\r\n"),
    answer(REQUEST, b"415 Type", b"Accept: text/plain, application/json\r\n"),
    answer(REQUEST, b"503 Busy", b"Retry-After: 120 (soon)\r\n"),
)

odd = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        (
            b"\r\n",
            b"\r\n ",
            b"\n",
            b"\0",
            b'"',
            b"\\",
            b"<",
            b">",
            b",",
            b";",
            b"%",
            b"%0",
            b"[",
            b"]:",
            b"@",
            b":",
            b"\xff",
        )
    ),
    st.integers(-(2**70), 2**70).map(lambda number: b"%d" % number),
)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A valid message with up to five pieces cut, repeated or replaced."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        data = data[:start] + draw(st.one_of(odd, st.just(b""), st.just(2 * data[start:end]))) + data[end:]
    return data


def either(*usual: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), odd)


method = either(b"MESSAGE", b"OPTIONS", b"INVITE", b"CANCEL", b"ACK", b"message", b"XYZ")
uri = st.builds(
    lambda scheme, user, host, tail: scheme + b":" + user + host + tail,
    either(b"sip", b"sips", b"im", b"tel", b"SIP"),
    either(b"", b"desk@", b"%64esk@", b"a:b@", b"a;b?c@"),
    either(b"example.org", b"192.0.2.1", b"[2001:db8::1]", b"h:5070", b"+358"),
    either(b"", b";lr", b";transport=tcp", b"?a=b", b";x=%20;y"),
)
params = st.lists(
    either(
        b"tag=1", b"branch=z9hG4bK1", b"branch=z9hG4bK" + b"0" * 15 + b"2", b"rport", b"lr", b'q="x;y"', b"received=1"
    ),
    max_size=4,
).map(lambda parts: b"".join([b";" + part for part in parts]))
address = st.builds(
    lambda form, uri, params: form % uri + params,
    st.sampled_from((b"<%s>", b"%s", b'"A, \\"B" <%s>', b"A <%s>")),
    uri,
    params,
)
via = st.builds(
    lambda head, host, params: head + host + params,
    either(b"SIP/2.0/UDP ", b"SIP / 2.0 / TCP ", b"SIP/2.0/X "),
    either(b"192.0.2.7:5060", b"[::1]", b"a.b", b"192.0.2.1 : 5062"),
    params,
)
line = st.one_of(
    st.tuples(either(b"Via", b"v", b"VIA"), via),
    st.tuples(either(b"From", b"To", b"t", b"f", b"Contact", b"Route", b"Record-Route"), address),
    st.tuples(st.just(b"CSeq"), st.builds(lambda n, m: n + b" " + m, either(b"1", b"0", b"4294967296"), method)),
    st.tuples(either(b"Call-ID", b"i"), either(b"1", b"a@b", b"")),
    st.tuples(either(b"Content-Length", b"l"), either(b"0", b"5", b"99999", b"-1")),
    st.tuples(either(b"Content-Type", b"c"), either(b"text/plain", b"message/cpim", b"TEXT / plain;x=y", b"")),
    st.tuples(either(b"Require", b"Expires", b"Date", b"Timestamp", b"Content-Encoding", b"Max-Forwards", b"X"), odd),
)
start = st.one_of(
    st.builds(lambda method, uri: method + b" " + uri + b" SIP/2.0", method, uri),
    either(b"SIP/2.0 200 OK", b"SIP/2.0 100 Trying", b"SIP/2.0 603 ", b"SIP/7.0 200 x", b"MESSAGE sip:a SIP/7.0"),
)


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A message made of the grammar's parts, some of them odd, in any order."""
    lines = [draw(start)]
    if draw(st.booleans()):  # a good deal of it right
        lines += [b"Via: " + draw(via), b"From: " + draw(address), b"To: " + draw(address)]
        lines += [b"Call-ID: " + draw(st.sampled_from((b"1", b"2"))), b"CSeq: 1 " + lines[0].split(b" ")[0]]
    lines += [
        name + draw(st.sampled_from((b": ", b":", b" :\t"))) + value for name, value in draw(st.lists(line, max_size=6))
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + draw(st.binary(max_size=20))


anything = st.one_of(st.binary(max_size=200), bent(), built())


def agent() -> UserAgent:
    """A user agent with a request pending and credentials, so that every branch of the code can be reached."""
    ua = board(keep=KEEP, accept=(b"text/plain",), users=None)
    ua.uac.settings["credentials"] = ((b"", b"boiler", b"secret"),)
    ua.send(b"1", b"sip:desk@192.0.2.1", b"x", NOW, fallback=(b"text/plain", b"y"))
    return ua


def give(ua: UserAgent, data: bytes | Message, flow: tuple, now: int, size: int) -> None:
    """Hand over what came, answer what is accepted, and hold the events to what they may be."""
    events = list(ua.receive(data, flow, now))
    is_request = True
    if data not in (PING, PONG):
        is_request = not (data if isinstance(data, Message) else Message(data.lstrip(b"\r\n\0"))).status
    for event in list(events):
        assert type(event) in (Transmit, MessageReceived, Outcome, Dropped, Provisional)
        if type(event) is MessageReceived:
            event.sender.decode()  # if it is no URI, it is text
            assert len(event.message.body) <= size
            events += ua.respond(event, 202, now)
    answers = [event for event in events if type(event) is Transmit]
    assert len(answers) <= 1
    for event in answers:
        if not is_request:  # the request again, amended
            assert event.data.startswith(b"MESSAGE ")
            assert len(event.data) <= 1300
            continue
        assert event.flow[:2] == flow[:2]
        assert len(event.data) <= 6 * size + 100
        response = Message(event.data)
        assert event.data == PONG or (response.status and response.fault is None and response.get(b"via"))
        assert response.get(b"contact") is None
    if ua._more is not None and ua._more._uas is not None:
        assert len(ua._more._uas._transactions) <= KEEP
        assert len(ua._more._uas._merged) <= KEEP


@profile
@given(st.lists(anything, min_size=1, max_size=6))
def test_datagrams_of_any_kind_raise_nothing(datagrams: list[bytes]) -> None:
    ua = agent()
    for i, data in enumerate(datagrams):
        give(ua, data, UDP, later(NOW, i * 700), len(data))
    for ms in (3500, 32000, 64000, 96000):
        ua.wake(later(NOW, 5000 + ms))
    assert not ua.uac.pending


@profile
@given(st.lists(anything, min_size=1, max_size=4), st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_streams_of_any_kind_cut_anywhere_raise_nothing(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(messages)
    ua = agent()
    framer = Framer(LIMIT)
    at = i = 0
    while at < len(data) and not framer.lost:
        end = at + cuts[i % len(cuts)]
        for item in framer.feed(data[at:end]):
            give(ua, item, TCP, NOW, len(data))
        assert framer.pending <= LIMIT + 300
        at = end
        i += 1


@profile
@given(st.lists(st.one_of(st.sampled_from((MESSAGE, PING, b"\r\n")), bent()), max_size=5), st.data())
def test_streams_mean_the_same_however_they_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    whole = Framer()
    expected = [item for item in whole.feed(stream) if item != PONG]
    framer = Framer()
    found: list[Message | bytes] = []
    at = 0
    while at < len(stream):
        end = at + data.draw(st.integers(1, 60))
        found += [item for item in framer.feed(stream[at:end]) if item != PONG]
        at = end
    assert framer.lost == whole.lost

    def octets(items: list[Message | bytes]) -> list[bytes]:
        return [item.data if isinstance(item, Message) else item for item in items]

    assert octets(found) == octets(expected)


@profile
@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=40), st.integers(-5, 2**33))
def test_whatever_a_caller_gives_is_sent_well_formed_or_refused(
    target: bytes, content_type: bytes, body: bytes, expires: int
) -> None:
    from agent.errors import UsageError

    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", counting(), proxy=b"sip:192.0.2.1")
    for uri in (target, b"sip:" + target, b"sip:desk@" + target):
        try:
            events = ua.send(ua.new_call_id(), uri, body, NOW, content_type=content_type, expires=expires)
        except UsageError:
            continue
        for event in events:
            message = Message(event.data)
            assert message.fault is None
            assert message.body == body
            assert message.get(b"contact") is None
            assert checked(message).count(b"to") == 1


def test_datagrams_of_65535_octets_are_taken_in_bounded_time_and_memory() -> None:
    """R3261-18-3, R3261-18-13: many lines, many members, long values, deep folds, a long body"""
    head, _, body = MESSAGE.partition(b"Content-Length")
    for filling in (b"X: y\r\n", b"Via: SIP/2.0/UDP a\r\n", b"v: a, b, c\r\n", b"X:\r\n \r\n \r\n", b"Require: x\r\n"):
        data = head + filling * ((65000 - len(MESSAGE)) // len(filling)) + b"Content-Length" + body
        give(agent(), data, UDP, NOW, len(data))
    for value in (b'"' * 60000, b"<" * 60000, b"," * 60000, b";" * 60000, b"%" * 60000, b"\\" * 60000, b"a" * 60000):
        for name in (
            b"Subject",
            b"Via",
            b"From",
            b"To",
            b"Require",
            b"Content-Type",
            b"CSeq",
            b"Call-ID",
            b"Timestamp",
        ):
            data = head + name + b": " + value + b"\r\nContent-Length" + body
            give(agent(), data, UDP, NOW, len(data))
    data = MESSAGE.replace(b"Length: 18", b"Length: 65000").replace(b"Watson, come here.", b"x" * 65000)
    event = only(agent().receive(data, UDP, NOW))
    assert type(event) is MessageReceived and len(event.message.body) == 65000


def test_an_hour_of_noise_leaves_no_memory_behind() -> None:
    """R3261-18-13: the same flood ten times over costs what it cost the second time"""
    ua = agent()
    sizes = []
    tracemalloc.start()
    try:
        for round in range(10):
            for i in range(200):
                data = MESSAGE.replace(b"776sgdkse", b"%d" % (round * 200 + i)).replace(
                    b"asd88", b"%d" % (round * 200 + i)
                )
                for event in ua.receive(data, UDP, NOW):
                    ua.respond(event, 200, NOW) if type(event) is MessageReceived and i % 3 else None
                ua.receive(data[: i % len(data)], UDP, NOW)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(sizes[2:]) - min(sizes[2:]) < 20000, sizes
