"""What the portable tests of a registration share, apart from tests.helpers, which each module pays for on a board."""

from agent.clock import later
from agent.message import Message
from agent.registration import Registered
from tests.helpers import NOW, answer, board, only

REGISTRAR = (b"UDP", b"example.org", 5060)  # of board()
CONTACT = b"<sip:boiler@192.0.2.7:5060>"  # which it registers
PING = b"\r\n\r\n"
STREAM = (b"TCP", b"192.0.2.1", 5060)
OK = b"Contact: " + CONTACT + b";expires=3600\r\n"


def steady(octet=0):
    """Return a random_bytes of tokens that count up, and of this octet where one is asked for alone."""
    count = [0]

    def random_bytes(n):
        count[0] += 1
        return bytes([octet]) if n == 1 else count[0].to_bytes(n, "big")

    return random_bytes


def registering(octet=0, users=None, hosts=None, **options):
    """Return a user agent that registers, and its REGISTER."""
    ua = board(steady(octet), users=users, hosts=hosts)
    return ua, only(ua.register(NOW, **options))


def replied(ua, transmit, status_line, fields=b"", now=NOW):
    """Give ua the answer to what it sent."""
    return list(ua.receive(answer(transmit.data, status_line, fields), transmit.flow, now))


def registered(seconds=3600, fields=b"", octet=0, **options):
    """Return a user agent that is registered for so long since NOW."""
    ua, transmit = registering(octet, **options)
    contact = Message(transmit.data).get(b"contact")
    granted = b"Contact: %s;expires=%d\r\n" % (contact, seconds)
    assert replied(ua, transmit, b"200 OK", granted + fields) == [Registered(seconds)]
    return ua


def on_a_stream(seconds=3600, fields=b"", octet=0):
    """Return a user agent that is registered over STREAM."""
    ua = board(steady(octet), proxy=b"sip:192.0.2.1;transport=tcp")
    transmit = only(ua.register(NOW))
    contact = Message(transmit.data).get(b"contact")
    granted = b"Contact: %s;expires=%d\r\n" % (contact, seconds)
    assert replied(ua, transmit, b"200 OK", granted + fields) == [Registered(seconds)]
    return ua


def events_until(ua, ms, take=None, start=0):
    """Wake ua whenever it wants until ms after NOW; return (ms, event) pairs. take: is called with each event."""
    log = []
    at = start
    rounds = 0
    while True:
        wait = ua.wait_ms(later(NOW, at))
        if wait is None or at + wait > ms:
            return log
        at += wait
        rounds += 1
        assert rounds < 2000, "it wants to be woken again and again"
        for event in ua.wake(later(NOW, at)):
            log.append((at, event))
            if take is not None:
                take(event, later(NOW, at))
