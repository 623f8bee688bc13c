"""`sipmote send` as a process, against scripted peers: exit code, JSON lines and what went over the wire."""

import json
import os
import socket
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

import pytest

from sipmote.send.content import content_type
from sipmote.send.parts import Parts, which_of
from tests.dns_server import closed_port
from tests.host_tools.peers import PATIENCE, Peer, Running, answer, header, inbox, sipmote
from tests.sip_peer import Peer as SipPeer

OUTCOMES = (
    (["200 OK"], 0, "delivered"),
    (["202 Accepted"], 3, "accepted"),
    (["100 Trying", "200 OK"], 0, "delivered"),
    (["302 Moved Temporarily"], 4, "failed"),
    (["404 Not Found"], 4, "failed"),
    (["503 Service Unavailable"], 4, "failed"),
    (["603 Decline"], 4, "refused"),
)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("answers, code, name", OUTCOMES)
def test_exit_code_and_last_line_tell_the_outcome(transport: str, answers: list[str], code: int, name: str) -> None:
    """R3261-17.1-2: and a line before it tells of a provisional response"""
    with Peer(transport, [answers]) as peer:
        found, out, err = sipmote("send", f"sip:desk@127.0.0.1:{peer.port};transport={transport}", "hi", "--json")
    assert (found, err) == (code, "")
    names = ["provisional"] * (len(answers) - 1) + [name]
    assert [json.loads(line) for line in out.splitlines()] == [
        {"event": name, "status": int(line[:3]), "reason": line[4:], "call_id": header(peer.got[0], "Call-ID")}
        for name, line in zip(names, answers, strict=True)
    ]
    assert peer.got[0].endswith(b"\r\n\r\nhi")
    assert header(peer.got[0], "Via").startswith(f"SIP/2.0/{transport.upper()} 127.0.0.1")


def test_outcome_is_one_line_for_people() -> None:
    for line, stream in (("200 OK", 1), ("404 \x1b[2JGone", 2)):
        with Peer("udp", [[line]]) as peer:
            result = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "hi")
        assert len(result[stream].splitlines()) == 1 and result[3 - stream] == ""
        assert line[:3] in result[stream] and "\x1b" not in result[stream]


def test_people_are_told_what_to_check_where_nobody_answers() -> None:
    closed = f"sip:127.0.0.1:{closed_port()}"
    for target, more, said in (
        (closed, (), f"nobody listens at {closed}: check port and transport"),
        ("sip:desk@example.org", ("--proxy", f"{closed};transport=tcp"), f"nobody listens at {closed};transport=tcp:"),
    ):
        code, out, err = sipmote("send", target, "hi", *more)
        assert (code, out, err.count("\n")) == (5, "", 1)
        assert err.startswith(f"sipmote: {target}: failed: connection refused ({said}"), err


def test_unanswered_request_is_sent_again_as_it_was() -> None:
    with Peer("udp", [[], ["200 OK"]]) as peer:
        assert sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "hi")[0] == 0
    assert peer.got[0] == peer.got[1]


def test_nobody_there_is_said_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", udp.getsockname()[1]))  # bound by us, so that nobody listens there
        port = udp.getsockname()[1]
        udp.close()
        cases = [
            f"127.0.0.1:{port};transport=tcp",
            f"127.0.0.1:{port}",
            "nobody.invalid",
            "nobody.invalid;transport=tcp",
        ]
        started = time.monotonic()
        for place in cases:
            code, out, _ = sipmote("send", f"sip:desk@{place}", "hi", "--json")
            event = json.loads(out)
            assert (code, event["event"], event["status"]) == (5, "failed", 503), place
            assert event["reason"]
        assert time.monotonic() - started < 30  # Timer F alone is 32 s


def test_wrong_use_is_one_line_and_code_2() -> None:
    cases = (
        ["desk", "hi"],
        ["sip:desk@127.0.0.1;transport=sctp", "hi"],
        ["sip:de sk@127.0.0.1", "hi"],
        ["im:desk@example.org", "hi"],
        ["sip:desk@127.0.0.1", "hi", "--proxy", "nowhere"],
        ["sip:desk@127.0.0.1", "hi", "--from", "me"],
        ["sip:desk@127.0.0.1", "hi", "--subject", "a\r\nContact: <sip:x@y>"],
        ["sip:desk@127.0.0.1", "\x1b" * 1300],
    )
    for arguments in cases:
        code, out, err = sipmote("send", *arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1), (arguments, err)
        assert arguments[-2:] not in (["--proxy", "nowhere"], ["--from", "me"]) or " ".join(arguments[-2:]) in err


def test_text_over_the_budget_is_told_by_how_many_octets() -> None:
    with Peer("udp", [["200 OK"]]) as peer:
        uri = f"sip:desk@127.0.0.1:{peer.port}"
        code, _, err = sipmote("send", uri, "x" * 1200, "--from", "sip:a@example.org")
        over = int(err.partition(" over")[0].rpartition(" ")[2])
        assert code == 2 and "split" in err
        assert sipmote("send", uri, "x" * (1200 - over), "--from", "sip:a@example.org")[0] == 0
    assert len(peer.got[0]) == 1300


def test_split_text_goes_in_parts_one_after_the_other() -> None:
    text = "ä" * 1200
    with Peer("udp", [["202 Accepted"], ["200 OK"], ["200 OK"]]) as peer:
        arguments = ("--budget", "split", "--json")
        code, out, _ = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", text, *arguments)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["part", "part", "part", "accepted"]
    assert [line.get("part") for line in lines] == [1, 2, 3, None]
    assert code == 3
    assert max(map(len, peer.got)) <= 1300
    bodies = [request.partition(b"\r\n\r\n")[2].decode() for request in peer.got]
    assert "".join(body.partition(") ")[2] for body in bodies) == text


def test_parts_behind_one_that_was_refused_stay_here() -> None:
    with Peer("udp", [["200 OK"], ["404 Not Found"]]) as peer:
        arguments = ("--budget", "split", "--json")
        code, out, _ = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "x" * 3500, *arguments)
    last = json.loads(out.splitlines()[-1])
    assert (code, last["event"], last["status"]) == (4, "failed", 404)


def _challenge(nonce_octets: int, more: str = "") -> bytes:
    fields = f'realm="example.org", nonce="{"n" * nonce_octets}", algorithm=SHA-256, qop="auth"{more}'
    return f"WWW-Authenticate: Digest {fields}\r\n".encode()


def _pieces(bodies: Sequence[bytes]) -> str:
    """The text of numbered parts, whose numbers have to be those of their places."""
    numbers = [body.partition(b"/")[0] for body in bodies]
    assert numbers == [b"(%d" % number for number in range(1, len(bodies) + 1)]
    return b"".join([body.partition(b") ")[2] for body in bodies]).decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("octets, asks", [(450, 1), (650, 99)])
def test_parts_are_cut_anew_for_a_challenge_longer_than_was_thought(host: str, octets: int, asks: int) -> None:
    """R3428-8.2, R3261-22-4: also where it takes so much that it is answered only where it is asked again"""
    text = "x" * 1500
    env = {**os.environ, "SIPMOTE_PASSWORD": "x"}
    taken: list[bytes] = []
    with SipPeer() as peer:
        arguments = ("--budget", "split", "--user", "boiler")
        running = Running("send", f"sip:desk@{host}:{peer.port}", text, *arguments, env=env)
        while _pieces(taken) != text:
            request, address = peer.receive()
            assert len(request.data) <= 1300
            has_answer = request.get(b"authorization") is not None
            peer.reply(request, address, 200 if has_answer else 401, b"" if has_answer else _challenge(octets))
            asks -= not has_answer
            taken += [request.body] if has_answer else []
        assert (running.wait(), running.errors) == (0, b"")
    assert asks >= 0 and len(taken) > 1


def test_the_parts_behind_one_that_fits_are_cut_anew_too() -> None:
    """R3428-8.2: the first ends early, at a blank; a later challenge is longer still"""
    text = "x" * 500 + " " + "y" * 1500
    taken: list[bytes] = []
    with SipPeer() as peer:
        arguments = ("--budget", "split", "--user", "boiler")
        env = {**os.environ, "SIPMOTE_PASSWORD": "x"}
        running = Running("send", f"sip:desk@127.0.0.1:{peer.port}", text, *arguments, env=env)
        peer.answer(401, _challenge(240))
        taken.append(peer.answer(200).body)
        assert taken[0] == b"(1/4) " + text[:501].encode()
        assert len(peer.answer(401, _challenge(300, ", stale=true")).data) <= 1300
        while _pieces(taken) != text:
            request = peer.answer(200)
            assert len(request.data) <= 1300
            taken.append(request.body)
        assert (running.wait(), running.errors) == (0, b"")
    assert taken[-1].startswith(b"(%d/%d) " % (len(taken), len(taken)))


def test_what_is_left_of_a_text_is_cut_with_the_numbers_going_on() -> None:
    """R3428-8.2: a last part that needs no cut, text that looks like a number, no room at all, policies that cut not"""
    text = b"x" * 20 + b"(1/2) y" + b"z" * 13
    parts = Parts(text, [b"(1/2) " + text[:20], b"(2/2) " + text[20:]], "split")
    parts.taken = 1
    assert parts.recut(30) and parts.left == [b"(2/2) " + text[20:]]
    assert not parts.recut(12) and parts.left == [b"(2/2) " + text[20:]]
    assert parts.recut(26) and all(len(body) <= 26 for body in parts.left)
    assert parts.bodies[0] == b"(1/2) " + text[:20] and _pieces(parts.bodies) == text.decode()
    whole = Parts(text, [text], "truncate")
    assert whole.recut(20) and whole.left == [text[:17] + "…".encode()]
    assert not Parts(text, [text], "compact").recut(20)
    assert [which_of(numbers, 9) for numbers in ([1, 2, 3], [1, 3, 4], [2], [])] == [
        "parts 1 to 3 of 9",
        "parts 1, 3 and 4 of 9",
        "part 2 of 9",
        "none of 9 parts",
    ]


def test_a_text_that_may_not_be_cut_says_by_how_much_it_is_over() -> None:
    """R0-P13: a challenge that leaves too little room is no wrong password"""
    env = {**os.environ, "SIPMOTE_PASSWORD": "x"}
    for policy, octets in (("refuse", 500), ("split", 1000)):
        with SipPeer() as peer:
            arguments = ("x" * 500, "--user", "boiler", "--budget", policy)
            running = Running("send", f"sip:desk@127.0.0.1:{peer.port}", *arguments, env=env)
            peer.answer(401, _challenge(octets))
            assert running.wait() == 4
        text = running.errors.decode()
        assert " octets over the budget with what the 401 asks for" in text and "password" not in text


@pytest.mark.parametrize(
    "answers, said",
    [
        (["404 Not Found"], "; none of 4 parts arrived"),
        (["200 OK", "404 Not Found"], "; part 1 of 4 arrived"),
        (["200 OK", "200 OK", "404 Not Found"], "; parts 1 and 2 of 4 arrived"),
        (["202 Accepted", "200 OK", "200 OK", "404 Not Found"], "; parts 1 to 3 of 4 went to a server"),
    ],
)
def test_which_parts_arrived_is_said_where_one_fails(answers: list[str], said: str) -> None:
    with Peer("udp", [[line] for line in answers]) as peer:
        code, _, err = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "x" * 3500, "--budget", "split")
    assert code == 4 and err.endswith(f" 404 Not Found (check what stands before the @){said}\n"), err


def test_compact_and_truncate_make_one_request_of_it() -> None:
    for policy, length in (("compact", 960), ("truncate", 2000)):
        with Peer("udp", [["200 OK"]]) as peer:
            code, _, err = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "x" * length, "--budget", policy)
        assert code == 0, err
        assert len(peer.got[0]) <= 1300


def test_what_the_options_say_is_in_the_request() -> None:
    options = ("--from", "sip:boiler@example.org", "--subject", "Kessel ü", "--expires", "600")
    more = ("--content-type", "text/html", "--proxy")
    with Peer("tcp", [["200 OK"]]) as peer:
        proxy = f"sip:127.0.0.1:{peer.port};transport=tcp"
        code, _, err = sipmote("send", "sip:desk@example.org", "-", *options, *more, proxy, stdin=b"<b>\xff</b>")
    request = peer.got[0]
    assert (code, err) == (0, "")
    assert request.startswith(b"MESSAGE sip:desk@example.org SIP/2.0\r\n")
    assert header(request, "To") == "<sip:desk@example.org>"
    assert header(request, "From").startswith("<sip:boiler@example.org>;tag=")
    assert header(request, "Subject") == "Kessel ü"
    assert header(request, "Expires") == "600"
    assert abs(parsedate_to_datetime(header(request, "Date")).timestamp() - time.time()) < 60
    assert header(request, "Content-Type") == "text/html"
    assert request.endswith(b"\r\n\r\n<b>\xff</b>")
    assert b"Contact" not in request


def test_transport_option_is_for_a_uri_that_names_none() -> None:
    with Peer("tcp", [["200 OK"]]) as peer:
        assert sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "hi", "--transport", "tcp")[0] == 0


def test_bind_gives_the_port_it_is_sent_from() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        uri = f"sip:desk@127.0.0.1:{sock.getsockname()[1]}"
        running = Running("send", uri, "hi", "--bind", "udp:127.0.0.1:0")
        request, (_, port) = sock.recvfrom(65535)
        sock.sendto(answer(request, "200 OK"), ("127.0.0.1", port))
        assert running.wait() == 0
    assert header(request, "Via").startswith(f"SIP/2.0/UDP 127.0.0.1:{port};")


def test_name_is_resolved_and_the_inbox_gets_it() -> None:
    with inbox() as running:
        for transport in ("udp", "tcp"):
            uri = f"sip:desk@localhost:{running.ports[transport]};transport={transport}"
            assert sipmote("send", uri, "grüß dich") == (0, "delivered: 200 OK\n", "")
            event = running.event("message")
            assert (event["body"], event["to"], event["transport"]) == ("grüß dich", "sip:desk@localhost", transport)


def test_a_name_stands_before_the_uri_of_from() -> None:
    """R3261-8.1-3: however it is given; it counts for the budget"""
    for given, sent in (
        ('"Boiler 3" <sip:boiler@example.org>', '"Boiler 3" <sip:boiler@example.org>;tag='),
        ("Kessel Ü <sip:boiler@example.org>", '"Kessel Ü" <sip:boiler@example.org>;tag='),
        ('"a \\" b \\\\" <sip:boiler@example.org>', '"a \\" b \\\\" <sip:boiler@example.org>;tag='),
        ('a " b <sip:boiler@example.org>', '"a \\" b" <sip:boiler@example.org>;tag='),
        ("<sip:boiler@example.org>", "<sip:boiler@example.org>;tag="),
    ):
        with Peer("udp", [["200 OK"]]) as peer:
            uri = f"sip:desk@127.0.0.1:{peer.port}"
            assert sipmote("send", uri, "hi", "--from", given)[0] == 0
        assert header(peer.got[0], "From").startswith(sent)
    with Peer("udp", [["200 OK"]]) as peer:
        uri = f"sip:desk@127.0.0.1:{peer.port}"
        named = ("--from", "Boiler <sip:a@example.org>", "--budget", "truncate")
        assert sipmote("send", uri, "x" * 1300, *named)[0] == 0
    assert len(peer.got[0]) == 1300 and header(peer.got[0], "From").startswith('"Boiler" <')
    for wrong in ("Boiler <sip:a@b", "a\nb <sip:a@b>", "<sip:a@b> x"):
        assert sipmote("send", "sip:desk@127.0.0.1", "hi", "--from", wrong)[0] == 2


def test_further_fields_are_sent_and_ours_are_refused() -> None:
    """R3428-9.1: they count for the budget; a MESSAGE has no Contact"""
    with Peer("udp", [["200 OK"]]) as peer:
        more = ("--header", "Priority: urgent", "--header", "X-Unit:Kessel ü", "--budget", "truncate")
        assert sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "x" * 1300, *more)[0] == 0
    request = peer.got[0]
    assert (header(request, "Priority"), header(request, "X-Unit"), len(request)) == ("urgent", "Kessel ü", 1300)
    for field, said in (
        ("Via: x", "leave it out"),
        ("f: <sip:a@b>", "use --from"),
        ("CONTACT : <sip:a@b>", "leave it out"),
        ("Authorization: Basic x", "use --user"),
        ("Date: now", "use --expires"),
        ("X: a\r\nContact: <sip:a@b>", "one line"),
        ("X", "one line"),
        ("X Y: z", "one line"),
    ):
        code, _, err = sipmote("send", "sip:desk@127.0.0.1", "hi", "--header", field)
        assert (code, len(err.splitlines())) == (2, 1) and said in err, err


def test_a_timeout_is_for_all_parts_and_needs_a_number_above_nothing() -> None:
    with Peer("udp", [["200 OK"], []]) as peer:
        arguments = ("x" * 2000, "--budget", "split", "--timeout", "1", "--json")
        started = time.monotonic()
        code, out, _ = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", *arguments)
    last = json.loads(out.splitlines()[-1])
    assert (code, last["event"], last["status"]) == (5, "timeout", 408)
    assert last["reason"] == "no final response in 1 s" and time.monotonic() - started < 10
    for wrong in ("0", "-1", "nan", "inf"):
        assert sipmote("send", "sip:desk@127.0.0.1", "hi", f"--timeout={wrong}")[0] == 2


def test_a_content_type_is_one() -> None:
    """R3428-4.2: what is none is refused before anything is sent"""
    for wrong in (
        "foo",
        "/",
        "text/",
        "text/plain;",
        "text/plain; charset",
        "text/pl\x1bain",
        "text/plain\r\nX: y",
    ):
        code, out, err = sipmote("send", "sip:desk@127.0.0.1", "hi", f"--content-type={wrong}")
        assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("sipmote: --content-type "), (wrong, err)
    for right in ("text/html", "application/vnd.x+json", 'text/plain; charset="UTF-8";format=flowed'):
        assert content_type(right) == right.encode()
