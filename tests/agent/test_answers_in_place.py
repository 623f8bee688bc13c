"""R3261-17.1-6, R3261-8.1-11, R3261-18-8: an answer compared in place has the outcome that the parser gives it."""

from agent.message import Message
from tests.helpers import NOW, Dice, answer, board, changed, only

TARGET = b"sip:desk@192.0.2.9"
FLOW = (b"UDP", b"192.0.2.9", 5060)
DATE = b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"


def both(data, flow=FLOW):
    """Give an answer to two user agents that have sent the same: as octets, and parsed; return what each tells."""
    told = []
    for given in (data, Message(data.lstrip(b"\r\n\0"))):  # line ends before it are no part of it
        ua = pending()
        events = list(ua.receive(given, flow, NOW))
        told.append((events, ua.clock.quality, ua.clock.unix(NOW), ua.wait_ms(NOW), len(ua.uac.pending)))
    return told


def pending():
    ua = board()
    ua.send(b"1", TARGET, b"hot", NOW)
    return ua


def good(line=b"200 OK", fields=b""):
    request = only(board().send(b"1", TARGET, b"hot", NOW)).data
    reply = answer(request, line, fields)
    for name in (b"from", b"to", b"call-id"):
        reply = reply.replace(b"\r\n%s:" % name, b"\r\n%s:" % {b"call-id": b"Call-ID"}.get(name, name))
    return reply.replace(b"\r\ncseq:", b"\r\nCSeq:")


def test_the_usual_answer_takes_no_parser():
    ua = pending()
    for line in (b"200 OK", b"202 Accepted", b"100 Trying", b"299 "):
        attempt, date = ua.uac.match(good(line, DATE))
        assert attempt is next(iter(ua.uac.pending.values())) and date == DATE[6:-2]


def test_answers_of_every_kind_have_the_same_outcome():
    """R3261-7.3, R3261-7.4, R3428-4.7, R3428-4.9, R3428-11.11"""
    reply = good()
    via = reply[reply.find(b"Via: ") : reply.find(b"\r\nfrom")]
    cases = [
        good(line) for line in (b"200 OK", b"202 Accepted", b"404 No", b"603 No", b"100 Trying", b"299 ", b"301 x")
    ]
    cases += [
        good(b"200 OK", fields) for fields in (DATE, b"date: " + DATE[6:], b"Date : x\r\n", DATE + DATE, b"d: x\r\n")
    ]
    cases += [
        good(b"503 Busy", b"Retry-After: 9\r\n"),
        good(b"200 OK", b"Retry-After: 9\r\n"),
        good(b"200 OK", b"Expires: 5\r\n"),
    ]
    cases += [
        changed(reply, b"branch=z9hG4bK0", b"branch=z9hG4bK1"),
        changed(reply, b"192.0.2.7", b"192.0.2.8"),
        changed(reply, b"192.0.2.7:5060", b"192.0.2.7:5061"),
        changed(reply, b"1 MESSAGE", b"1 REGISTER"),
        changed(reply, b"1 MESSAGE", b"1 XMESSAGE"),
        changed(reply, b"Length: 0", b"Length: 1"),
        changed(reply, b"Length: 0", b"Length: x"),
        changed(reply, b"Content-Length: 0", b"l: 0"),
        changed(reply, b"Content-Length: 0\r\n", b""),
        changed(reply, b"Content-Length: 0\r\n", b"Content-Length: 0\r\nContent-Length: 0\r\n"),
        changed(reply, b"\r\nfrom", b"\r\n" + via + b"\r\nfrom"),
        changed(reply, b"\r\nfrom", b"\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nfrom"),
        changed(reply, b";rport\r\n", b", SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"),
        changed(reply, b";rport\r\n", b";rport=5060;received=192.0.2.7\r\n"),
        changed(reply, b";branch=", b";rport;branch="),
        changed(reply, b"Via: ", b"v: "),
        changed(reply, b"Via: ", b"VIA: "),
        changed(reply, b"Via: SIP/2.0/UDP ", b"Via: SIP/2.0/UDP\r\n "),
        changed(reply, b"CSeq: 1 ", b"cseq: 1 "),
        changed(reply, b"CSeq: 1 ", b"CSeq: 1\r\n\t"),
        changed(reply, b"CSeq: ", b"CSeq : "),
        changed(reply, b"SIP/2.0 200", b"sip/2.0 200"),
        changed(reply, b"SIP/2.0 200", b"SIP/3.0 200"),
        changed(reply, b"200 OK", b"200"),
        changed(reply, b"200 OK", b"2000 OK"),
        changed(reply, b"200 OK", b"099 OK"),
        changed(reply, b"z9hG4bK", b"Z9HG4BK"),
        b"\r\n" + reply,
        reply[:-2],
        reply + b"and more",
        reply[: reply.find(b"CSeq")] + b"\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 2",
        b"SIP/2.0 200 OK",
    ]
    for case in cases:
        in_place, parsed = both(case)
        assert in_place == parsed, case


def test_three_at_once_have_each_its_own_answer():
    """R3428-8.4: to three URIs, answered in another order, one of them twice"""
    ua = board()
    requests = [only(ua.send(b"%d" % i, b"sip:desk%d@192.0.2.9" % i, b"hot", NOW)).data for i in (1, 2, 3)]
    for i, line, name in ((2, b"202 Accepted", "accepted"), (0, b"200 OK", "delivered"), (1, b"404 No", "failed")):
        event = only(ua.receive(answer(requests[i], line), FLOW, NOW))
        assert (event.call_id, event.name) == (b"%d" % (i + 1), name)
    assert type(only(ua.receive(answer(requests[0], b"200 OK"), FLOW, NOW))).__name__ == "Dropped"
    assert ua.wait_ms(NOW) is None


def test_answers_bent_by_chance_have_the_same_outcome():
    dice = Dice(11)
    pieces = (
        b"\r\n",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"v",
        b"V",
        b"c",
        b"L",
        b"0",
        b"z9hG4bK",
        b"\r",
        b"\n",
        b"\0",
        b"Date: x\r\n",
    )
    for _ in range(300):
        data = good(b"200 OK", (b"", DATE)[dice.roll(2)])
        for _ in range(1 + dice.roll(3)):
            at = dice.roll(len(data))
            piece = pieces[dice.roll(len(pieces))]
            data = data[:at] + piece + data[at + dice.roll(3) :]
        if data[:4] == b"SIP/":  # anything else is taken as a request, or skipped to its beginning
            in_place, parsed = both(data)
            assert in_place == parsed, data
