"""What goes wrong with one message at the inbox costs no other one anything."""

import sys

from tests.host_tools.peers import header, inbox, message, read_messages
from tests.host_tools.test_cpim_inbox import port_of
from tests.sip_peer import Peer
from tests.tools import Tool

_FAULTY = """
import sys
import sipmote.inbox.app as app
from sipmote.__main__ import main
from sipmote.inbox.keyboard import Keyboard
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen

def fails(name, of, when):
    whole = getattr(of, name)
    def part(*args):
        if when(*args):
            raise KeyError(name)
        return whole(*args)
    setattr(of, name, part)

describe = app.describe
def endless(*args):
    one = describe(*args)
    one.date = 10 ** 30 if one.body == b"store" else one.date
    return one
app.describe = endless
fails("describe", app, lambda event, *more: event.message.body == b"read")
fails("line", Received, lambda one: one.body == b"show")
fails("wanted", app, lambda event, cpim: b"notify" in event.message.body)
fails("notice", Screen, lambda *args: True)
fails("_send", Keyboard, lambda self, line, aim: line == "type")
sys.exit(main())
"""
_DATES = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z")


def test_a_date_at_the_edge_of_the_calendar_costs_its_own_field_alone() -> None:
    """R0-P1: in one batch with others"""
    requests = []
    for number, date in enumerate(_DATES):
        body = f"From: <sip:a@b>\r\nDateTime: {date}\r\n\r\nContent-Type: text/plain\r\n\r\n{number}".encode()
        requests.append(message(f"c{number}", body, transport="TCP", content_type="message/cpim"))
        requests.append(message(f"t{number}", b"text", transport="TCP"))
    for number, date in enumerate(("Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, x")):
        fields = [f"Date: {date}", "Expires: 4294967295"]
        requests.append(message(f"d{number}", b"text", fields, transport="TCP"))
    with inbox() as running, running.tcp() as sock:
        sock.sendall(b"".join(requests))
        answers = read_messages(sock, len(requests))
        shown = {line["call_id"]: line for line in [running.event("message") for _ in requests]}
    assert {answer.split()[1] for answer in answers} == {b"200"}
    assert shown.keys() == {header(request, "Call-ID") for request in requests}
    told = [shown[f"c{number}"]["cpim"].get("datetime") for number in range(3)]
    assert told == [None, None, "9999-12-31T23:59:59Z"]
    assert [shown[f"c{number}"]["body"] for number in range(3)] == ["0", "1", "2"]


def test_a_fault_of_ours_with_one_message_is_a_line_and_all_others_are_taken() -> None:
    """R0-P1, R0-P13: while it is read, stored, shown, notified, or a line is sent"""
    texts = [b"first", b"read", b"store", b"show", b"notify", b"last"]
    cpim = b"From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nnotify"
    options = ("--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--imdn", "--interactive")
    program = (sys.executable, "-c", _FAULTY)
    with Tool("inbox", *options, program=program) as tool, Peer() as peer:
        port = port_of(tool)
        for text in texts:
            kind = b"message/cpim" if text == b"notify" else b"text/plain"
            peer.send(port, kind, cpim if text == b"notify" else text)
        answers = [peer.receive()[0] for _ in texts]
        tool.wait_for(event="message", body="last")
        call_id = {text: f"{peer.port}-{number + 1}" for number, text in enumerate(texts)}
        for text in (b"read", b"store", b"show", b"notify"):
            tool.wait_for(event="warning", call_id=call_id[text])
        peer.send(port, b"application/im-iscomposing+xml", b"<isComposing><state>active</state></isComposing>")
        assert peer.receive()[0].status == 200
        tool.wait_for(event="warning", text=lambda text: "notice" in text and "report" in text)
        tool.type("type")
        tool.wait_for(event="warning", line="type")
        tool.type("an answer")
        assert peer.receive()[0].body == b"an answer"
    statuses = {answer.get(b"call-id"): answer.status for answer in answers}
    assert [statuses[call_id[text].encode()] for text in texts] == [200, 500, 500, 200, 200, 200]
    assert [line["body"] for line in tool.lines if line["event"] == "message"] == ["first", "notify", "last"]
    assert not any("Traceback" in line for line in tool.complaints), tool.complaints
