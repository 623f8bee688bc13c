"""R3261-17.1-4, R3428-8.4: memory that runs out at any moment loses no outcome and blocks no URI."""

from agent import wall_clock
from agent.clock import later
from agent.events import Outcome, Transmit
from agent.registration import Registered
from agent.user_agent import UserAgent
from tests.helpers import NOW, answer, counting, only, raises

DESK = b"sip:desk@192.0.2.9"
FLOW = (b"UDP", b"192.0.2.9", 5060)
CHALLENGE = b'WWW-Authenticate: Digest realm="r", nonce="1", algorithm=SHA-256, qop="auth"\r\n'


class Memory:
    """A random_bytes that stands for a memory: used up, it has none for the next request's branch."""

    def __init__(self):
        self.is_used_up = False
        self._next = counting()

    def __call__(self, n):
        if self.is_used_up:
            raise MemoryError
        return self._next(n)


def short(**options):
    memory = Memory()
    options["credentials"] = ((b"", b"boiler", b"steam"),)
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", memory, **options)
    return ua, memory


def fails_once(memory, function, *arguments):
    """Call function without memory, then return what it does with it."""
    memory.is_used_up = True
    raises(MemoryError, function, *arguments)
    memory.is_used_up = False
    return function(*arguments)


def test_a_challenge_is_answered_when_it_comes_again():
    ua, memory = short()
    request = only(ua.send(b"1", DESK, b"hot", NOW)).data
    again = only(fails_once(memory, ua.receive, answer(request, b"401 X", CHALLENGE), FLOW, NOW)).data
    assert again.find(b'username="boiler"') > 0
    outcome = only(ua.receive(answer(again, b"200 OK"), FLOW, NOW))
    assert (outcome.call_id, outcome.name) == (b"1", "delivered")
    assert not ua.uac.pending and not ua.uac.queues


def test_a_request_that_was_built_and_could_not_be_begun_is_built_again():
    ua, _ = short()
    request = only(ua.send(b"1", DESK, b"hot", NOW)).data
    begin = ua.uac.start

    def fail(*_):
        raise MemoryError

    ua.uac.start = fail
    response = answer(request, b"401 X", CHALLENGE)
    raises(MemoryError, ua.receive, response, FLOW, NOW)
    ua.uac.start = begin
    again = only(ua.receive(response, FLOW, NOW)).data
    assert only(ua.receive(answer(again, b"200 OK"), FLOW, NOW)).name == "delivered"
    assert not ua.uac.pending and not ua.uac.queues


def test_a_message_that_waits_keeps_its_first_cseq():
    ua, memory = short()
    request = only(ua.send(b"1", DESK, b"hot", NOW)).data
    ua.send(b"2", DESK, b"hotter", NOW)
    for _ in range(3):
        memory.is_used_up = True
        raises(MemoryError, ua.receive, answer(request, b"200 OK"), FLOW, NOW)
    memory.is_used_up = False
    assert ua.receive(answer(request, b"200 OK"), FLOW, NOW)[1].data.find(b"CSeq: 1 MESSAGE") > 0


def test_an_outcome_waits_until_the_next_message_can_be_sent():
    ua, memory = short()
    request = only(ua.send(b"1", DESK, b"hot", NOW)).data
    assert not ua.send(b"2", DESK, b"hotter", NOW)
    events = fails_once(memory, ua.receive, answer(request, b"200 OK"), FLOW, NOW)
    assert [type(event) for event in events] == [Outcome, Transmit]
    assert events[1].data.endswith(b"hotter")
    assert len(ua.uac.pending) == 1


def test_a_message_that_was_not_sent_holds_up_none_after_it():
    ua, memory = short()
    only(fails_once(memory, ua.send, b"1", DESK, b"hot", NOW))


def test_a_request_without_an_answer_ends_when_there_is_memory_for_its_end():
    ua, memory = short()
    only(ua.send(b"1", DESK, b"hot", NOW))
    assert not ua.send(b"2", DESK, b"hotter", NOW)
    events = fails_once(memory, ua.wake, later(NOW, 32000))
    assert [type(event) for event in events] == [Outcome, Transmit]
    assert events[0].name == "timeout"


def test_a_binding_is_renewed_when_there_is_memory_for_it():
    ua, memory = short()
    request = only(ua.register(NOW, b"sip:192.0.2.9")).data
    fields = b"Contact: <sip:boiler@192.0.2.7:5060>;expires=60\r\n"
    assert only(ua.receive(answer(request, b"200 OK", fields), FLOW, NOW)) == Registered(60)
    renewal = only(fails_once(memory, ua.wake, later(NOW, 30000))).data
    assert renewal.startswith(b"REGISTER ")


def two_that_end_together():
    """Return a user agent, its memory, and nothing but memory missing to end message 2: another waits behind that."""
    ua, memory = short()
    only(ua.send(b"1", b"sip:lamp@192.0.2.9", b"hot", NOW))
    only(ua.send(b"2", DESK, b"hot", NOW))
    assert not ua.send(b"3", DESK, b"hotter", NOW, flow=(b"UDP", b"192.0.2.99", 5060))
    return ua, memory


def outcomes_of(memory, function, *arguments):
    """Call function without memory until it brings nothing new, then with memory; return all outcomes."""
    events = []
    memory.is_used_up = True
    try:
        events += function(*arguments)
        events += function(*arguments)
    except MemoryError:
        pass
    memory.is_used_up = False
    events += function(*arguments)
    return [event for event in events if type(event) is Outcome]


def test_what_ended_is_told_though_memory_is_short_for_what_ends_with_it():
    ua, memory = two_that_end_together()
    ended = outcomes_of(memory, ua.wake, later(NOW, 32000))
    assert sorted([one.call_id for one in ended]) == [b"1", b"2"]


def test_a_flow_that_is_gone_ends_each_message_once_though_memory_is_short():
    ua, memory = two_that_end_together()
    ended = outcomes_of(memory, ua.failed, FLOW, NOW)
    assert sorted([one.call_id for one in ended]) == [b"1", b"2"]


class NoRoom:
    """A dict that can't grow, once."""

    def __init__(self, content):
        self._content = content
        self._fails = True
        self.get, self.pop, self.values = content.get, content.pop, content.values

    def __setitem__(self, key, value):
        if self._fails:
            self._fails = False
            raise MemoryError
        self._content[key] = value

    def __getitem__(self, key):
        return self._content[key]

    def __delitem__(self, key):
        del self._content[key]

    def __len__(self):
        return len(self._content)


def test_a_send_that_raised_has_left_nothing():
    for place in ("queues", "pending"):
        ua, _ = short()
        setattr(ua.uac, place, NoRoom({}))
        raises(MemoryError, ua.send, b"1", DESK, b"hot", NOW)
        assert not ua.uac.pending and not ua.uac.queues
        assert ua.wake(later(NOW, 32000)) == []
        only(ua.send(b"1", DESK, b"hot", NOW))


def test_a_redirect_that_has_no_memory_leaves_one_attempt():
    for place in ("queues", "pending"):
        ua, _ = short()
        request = only(ua.send(b"1", DESK, b"hot", NOW)).data
        ua.send(b"2", DESK, b"hotter", NOW)
        setattr(ua.uac, place, NoRoom(getattr(ua.uac, place)))
        moved = answer(request, b"302 X", b"Contact: <sip:lamp@192.0.2.9>\r\n")
        raises(MemoryError, ua.receive, moved, FLOW, NOW)
        again = ua.receive(moved, FLOW, NOW)
        assert sorted([event.data[8:12] + event.data[-3:] for event in again]) == [b"sip:hot", b"sip:ter"]
        events = []
        for event in again:
            events += ua.receive(answer(event.data, b"200 OK"), FLOW, NOW)
        assert sorted([event.call_id for event in events]) == [b"1", b"2"]
        assert not ua.uac.pending and not ua.uac.queues


class Failing:
    """A part of a user agent that has no memory."""

    def wake(self, *_):
        raise MemoryError

    def wait_ms(self, now):
        return 0


def test_an_outcome_is_told_when_the_other_half_has_no_memory():
    ua, _ = short()
    only(ua.send(b"1", DESK, b"hot", NOW))
    ua.more().registration = Failing()
    assert [event.call_id for event in ua.wake(later(NOW, 32000))] == [b"1"]
    raises(MemoryError, ua.wake, later(NOW, 32000))


def test_an_alert_is_delivered_though_there_is_no_memory_to_learn_the_time():
    ua, _ = short()
    request = only(ua.send(b"1", DESK, b"hot", NOW)).data
    learned = wall_clock.learned
    wall_clock.learned = Failing().wake
    try:
        dated = answer(request, b"200 OK", b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n")
        assert only(ua.receive(dated, FLOW, NOW)).name == "delivered"
    finally:
        wall_clock.learned = learned
    assert ua.uac.clock is None
