"""The RFC 4475 messages against the core, by their index; runs on CPython and on MicroPython.

`micropython tests/conformance/torture.py FOLDER`, from the root of the clone, prints a line for each problem.
"""

import json
import sys
from binascii import hexlify

if sys.implementation.name == "micropython":
    sys.path[0] = ""  # not this file's folder

from agent.errors import ParseError
from agent.escapes import unescape
from agent.events import Transmit
from agent.headers.delta import parse_delta
from agent.headers.values import parse_address, parse_cseq, parse_via
from agent.message import Message
from agent.notices import Dropped
from agent.stream import Framer
from agent.uas import MessageReceived
from agent.uri import parse_uri
from tests.helpers import NOW, desk

_UNFRAMED = [{"action": "respond_then_close", "status": 400}]  # RFC 3261 section 18.3


def entries(folder):
    """Return the entries of the index."""
    with open(folder + "/index.json") as file:
        index = json.load(file)
    assert len(index["entries"]) == index["count"] == 49
    return index["entries"]


def read(folder, entry):
    """Return the octets of a message."""
    with open(folder + "/" + entry["file"], "rb") as file:
        return file.read()


def problems(entry, data):
    """Return what is wrong with what the core makes of an entry's octets: a list of texts."""
    found = []
    for transport, piece in ((b"UDP", len(data)), (b"TCP", len(data)), (b"TCP", 1)):
        for strict in (True, False):
            found += _outcome_problems(entry, data, transport, piece, strict)
    message = Message(data)
    whole = entry["verdict"] == "accept" or (entry["verdict"] == "either" and _fault(message) is None)
    return found + _field_problems(entry["assert"], message, whole)


def _fault(message):
    try:
        message.check()
    except ParseError as error:
        return error.detail
    return None


def _outcome_problems(entry, data, transport, piece, strict):
    """Let a user agent take the octets, as a datagram or in pieces of a stream, and compare with the outcomes."""
    ua = desk(strict=strict)
    flow = (transport, b"192.0.2.99", 5099)
    allowed = entry["outcomes"]
    items = [data]
    lost = False
    if transport == b"TCP":
        if "Content-Length" not in entry["assert"]["header_lines"]:
            allowed = _UNFRAMED
        allowed = entry.get("tcp_outcomes") or allowed
        framer = Framer()
        items = []
        for at in range(0, len(data), piece):
            items += framer.feed(data[at : at + piece])
        lost = framer.lost and len(items) == 1
        items = items[:1]  # on a stream what follows is another message
    events = []
    for item in items:
        events += ua.receive(item, flow, NOW)
    if events and type(events[0]) is MessageReceived:
        events = ua.respond(events[0], 200, NOW)
    for event in events:
        assert type(event) in (Transmit, Dropped), event
    answers = [Message(event.data) for event in events if type(event) is Transmit]
    for answer in answers:
        assert answer.status not in entry["assert"].get("forbidden_status", ()), answer.status
    for outcome in allowed:
        if _is_outcome(outcome, answers, lost):
            return []
    statuses = [answer.status for answer in answers]
    return ["over %s, %d octets a piece: answers %s, framing lost %s" % (transport.decode(), piece, statuses, lost)]


def _is_outcome(outcome, answers, lost):
    action = outcome["action"]
    if action in ("drop", "wait_then_close"):
        return not answers and not lost
    if action == "close":
        return not answers and lost
    if [answer.status for answer in answers] != [outcome["status"]] or (action == "respond_then_close") != lost:
        return False
    for name, what in outcome.get("headers", {}).items():
        field = name.lower().encode()
        value = answers[0].get(field)
        if name == "body":
            fine = answers[0].body == b""
        elif what in ("present", "absent"):
            fine = (value is not None) == (what == "present")
        elif what.startswith("must list "):
            fine = what[10:].encode() in answers[0].members(field)
        else:
            fine = value == what.encode()
        if not fine:
            return False
    return True


def _field_problems(expected, message, whole):
    """Compare the fields; of a message that is to be rejected just those that an answer copies."""
    found = []

    def compare(what, value, expectation):
        if isinstance(expectation, str):
            expectation = expectation.encode()
        if value != expectation:
            found.append("%s is %r and should be %r" % (what, value, expectation))

    def compare_if(key, value):
        if key in expected:
            compare(key, value, expected[key])

    for name, count in expected["header_lines"].items():
        compare("the number of " + name, len(message.all(name.lower().encode())), count)
    compare_if("call_id", message.get(b"call-id"))
    compare_if("cseq_raw", (message.get(b"cseq") or b"").split(b" ")[0])
    if not whole:
        return found
    compare("a fault", _fault(message), None)
    compare_if("method", message.method)
    compare_if("request_uri", message.uri)
    compare_if("status_code", message.status)
    compare_if("reason_phrase", message.reason)
    cseq = expected["cseq"]
    compare("cseq", parse_cseq(message.get(b"cseq")), (cseq["number"], cseq["method"].encode()))
    for name, count in expected["header_values"].items():
        compare("the number of values of " + name, len(message.members(name.lower().encode())), count)
    compare("octets_after_headers", len(message.data) - message.body_at, expected["octets_after_headers"])
    compare("content_length", message.length, expected.get("content_length"))
    compare("body_length", len(message.body), expected["body_length"])
    compare_if("body_contains_nul", message.body.find(b"\0") >= 0)
    compare_if("contact_present_in_request", message.get(b"contact") is not None)
    compare_if("max_forwards", parse_delta(message.get(b"max-forwards")))
    compare_if("subject", message.get(b"subject"))
    if "unknown_header" in expected:
        compare("unknown_header", len(message.all(expected["unknown_header"].lower().encode())), 1)
    vias = [parse_via(value) for value in message.members(b"via")]
    compare_if("via_transports", [via.transport.decode() for via in vias])
    compare_if("via_sent_by", [via.host.decode() for via in vias])
    params = dict(vias[0].params)
    compare_if("top_branch", params.get(b"branch"))
    compare_if("top_branch_has_cookie", params.get(b"branch", b"").startswith(b"z9hG4bK"))
    compare_if("rport_requested", b"rport" in params)
    for name in ("from", "to"):
        display, uri, params = parse_address(message.get(name.encode()))
        user = unescape(parse_uri(uri).user or b"")
        compare_if(name + "_tag", dict(params).get(b"tag"))
        compare_if(name + "_display", display)
        compare_if(name + "_display_raw_hex", hexlify(display))
        compare_if(name + "_uri_user_decoded", user)
        compare_if(name + "_uri_user_decoded_hex", hexlify(user))
    if message.method:
        uri = parse_uri(message.uri)
        compare_if("request_uri_user_decoded", unescape(uri.user or b""))
        compare_if("request_uri_param_count", len(uri.params))
    if "contact_uri_params" in expected:
        _, uri, params = parse_address(message.get(b"contact"))
        compare("contact_header_params", [name.decode() for name, _ in params], expected["contact_header_params"])
        params = parse_uri(uri).params
        compare("contact_uri_params", [name.decode() for name, _ in params], expected["contact_uri_params"])
    return found


def main(folder):
    """Check all entries; returns the exit code."""
    failed = 0
    listed = entries(folder)
    for entry in listed:
        for problem in problems(entry, read(folder, entry)):
            print("%s: %s" % (entry["name"], problem))
            failed += 1
    print("%d messages, %d problems" % (len(listed), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
