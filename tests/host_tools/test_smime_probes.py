"""R0-P12: what a peer can learn, or pass off as somebody else's, by sending what he has changed."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sipmote.agent.cms import mime
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import ParseError
from sipmote.inbox.addressees import Addressees
from sipmote.inbox.postponed import WAIT_S, Postponed
from sipmote.smime.reader import ContentKeys, Reader
from sipmote.smime.writer import Writer
from tests.host_tools.certificates import Issued, issue
from tests.host_tools.envelopes import CBC, Sealed, authenticated, recipient_info, seal, with_another_end
from tests.host_tools.peers import Running
from tests.sip_peer import Peer
from tests.tools import Tool

ALICE = "sip:alice@example.org"
DESK = "sip:desk@127.0.0.1"


class People:
    """alice is trusted, mallory is nobody; the desk has a key of each kind."""

    def __init__(self, folder: Path) -> None:
        self.alice = issue(folder, "alice", ALICE)
        self.mallory = issue(folder, "mallory", "sip:mallory@example.org")
        self.desk = issue(folder, "desk", DESK)
        self.rsa = issue(folder, "desk-rsa", DESK, kind="rsa")

    def inbox(self, *options: str, key: Issued | None = None) -> Tool:
        ours = ["--smime-key", (key or self.desk).path, "--smime-trust", self.alice.certificate_path]
        return Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", *ours, *options)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("probes"))


@pytest.fixture(scope="module")
def desk(people: People) -> Iterator[Tool]:
    with people.inbox() as tool:
        yield tool


def port_of(tool: Tool) -> int:
    return int(tool.wait_for(event="ready")["bind"][0].rpartition(":")[2])


def cpim(text: str = "hot", author: str = ALICE, to: str = DESK, age_s: int = 0, extra: bytes = b"") -> bytes:
    return build_cpim(author.encode(), to.encode(), text.encode(), unix=int(time.time()) - age_s, extra=extra)


def signed(signer: Issued, content: bytes, content_type: bytes = imdn.CPIM) -> bytes:
    return Writer(signer, None, False).protect(content_type, content)[1]


def signed_entity(signer: Issued, content: bytes) -> bytes:
    return mime.entity(mime.SIGNED, signed(signer, content))


# One answer to all that is wrong inside


def broken(people: People, receiver: Issued) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield what is wrong, and a message with it: content type and body."""
    text = mime.entity(b"text/plain", b"the boiler is hot")
    good = seal(receiver, text)
    yield "key of another size", CBC, seal(receiver, text, key=os.urandom(24)).body()
    yield "wrapped key", CBC, good.body(recipient=with_another_end(good.recipient))
    for what, padded in (("no padding", b"\0"), ("padding of 17", b"\x11" * 17), ("uneven", b"\2\3\3")):
        yield what, CBC, seal(receiver, b"", padded=text + bytes(-(len(text) + len(padded)) % 16) + padded).body()
    for what, content in (
        ("no entity", b"boiler"),
        ("base64", b"Content-Transfer-Encoding: base64\r\n\r\na"),
        ("CMS", mime.entity(mime.SIGNED, b"no CMS")),
        ("changed signature", with_another_end(signed_entity(people.alice, cpim()))),
        ("multipart", mime.entity(mime.MULTIPART, b"")),
        ("type", mime.entity(b"image/png", b"\x89")),
        ("message/cpim", mime.entity(imdn.CPIM, b"From: nobody\r\n\r\n")),
        ("notification", mime.entity(imdn.XML, b"<imdn/>")),
        ("old date", signed_entity(people.alice, cpim(age_s=4000))),
        ("date to come", signed_entity(people.alice, cpim(age_s=-4000))),
    ):
        if what != "changed signature":  # that is shown and marked, unless it has to be good
            yield what, CBC, seal(receiver, content).body()
            yield what, *in_gcm(receiver, content)
    at_end = in_gcm(receiver, text)[1]
    yield "tag", mime.ENCRYPTED, at_end[:-1] + bytes([at_end[-1] ^ 1])
    yield "cipher text", mime.ENCRYPTED, at_end[:-20] + bytes([at_end[-20] ^ 1]) + at_end[-19:]
    yield "another's", *in_gcm(people.mallory, text)


def in_gcm(receiver: Issued, content: bytes) -> tuple[bytes, bytes]:
    """Return content type and body of an entity in AES-GCM."""
    return mime.ENCRYPTED, authenticated(receiver, content)


@pytest.mark.parametrize("kind", ["desk", "rsa"])
def test_whatever_is_wrong_inside_gets_493_at_its_time(people: People, kind: str) -> None:
    """R3428-11.7, R8591-8: no 400, 403 or 415, and none of them sooner than the others"""
    receiver: Issued = getattr(people, kind)
    with people.inbox(key=receiver) as tool, Peer(ALICE.encode()) as peer:
        for what, content_type, body in broken(people, receiver):
            began = time.monotonic()
            response = peer.ask(port_of(tool), content_type, body)
            assert (response.status, response.reason) == (493, b"Undecipherable"), what
            assert time.monotonic() - began >= WAIT_S, what
        assert peer.ask(port_of(tool), CBC, seal(receiver, mime.entity(b"text/plain", b"fine")).body()).status == 200
        tool.wait_for(event="message", body="fine")
        assert len([line for line in tool.lines if line["event"] == "message"]) == 1


def test_what_must_be_signed_or_authenticated_tells_no_more(people: People) -> None:
    """403 is for what shows its lack outside"""
    text = mime.entity(b"text/plain", b"hot")
    hidden = signed_entity(people.alice, cpim("signed"))
    for option, status in (("--require-signed", 403), ("--require-authenticated", 200)):
        with people.inbox(option) as tool, Peer(ALICE.encode()) as peer:
            port = port_of(tool)
            assert peer.ask(port, b"text/plain", b"hot").status == status
            assert peer.ask(port, mime.SIGNED, signed(people.mallory, cpim())).status == status
            for content in (text, signed_entity(people.mallory, cpim()), with_another_end(hidden)):
                assert peer.ask(port, CBC, seal(people.desk, content).body()).status == 493
            assert peer.ask(port, *in_gcm(people.desk, text)).status == (493 if status == 403 else 200)
            assert peer.ask(port, CBC, seal(people.desk, hidden).body()).status == 200
            assert "unauthenticated" not in tool.wait_for(event="message", body="signed")


def test_answers_that_wait_leave_at_their_time_however_long_the_work_took() -> None:
    async def run() -> list[tuple[object, float]]:
        loop = asyncio.get_running_loop()
        left: list[tuple[object, float]] = []
        done = asyncio.Event()

        def answer(event: object) -> None:
            left.append((event, loop.time()))
            if event == 2:
                done.set()

        postponed = Postponed(answer)
        began = loop.time()
        for event, came_at in ((0, began - 2 * WAIT_S), (1, began), (2, began + WAIT_S / 2)):
            postponed.add(event, came_at)  # type: ignore[arg-type]
        await asyncio.wait_for(done.wait(), 20)
        postponed.add(3, loop.time())  # type: ignore[arg-type]
        postponed.close()
        return [(event, at - began) for event, at in left]

    left = asyncio.run(run())
    assert [event for event, _ in left] == [0, 1, 2, 3]
    resolution = time.get_clock_info("monotonic").resolution
    assert left[1][1] >= WAIT_S - resolution and left[2][1] >= WAIT_S * 1.5 - resolution
    assert left[3][1] - left[2][1] < WAIT_S


# A cipher text cut into others


def spliced(sealed: Sealed, target: int) -> Callable[[int], bytes]:
    """Return a function that makes a body for each guess: the blocks of a message, then one of them again."""
    blocks = [sealed.octets[at : at + 16] for at in range(0, len(sealed.octets), 16)]

    def body(guess: int) -> bytes:
        return sealed.body(octets=b"".join(blocks[:3]) + bytes(15) + bytes((guess,)) + blocks[target])

    return body


@pytest.mark.parametrize("kind", ["desk", "rsa"])
def test_an_oracle_for_padding_answers_nothing(people: People, kind: str) -> None:
    """Each octet that may stand before a block: exactly one makes the padding right, and gets what the others get"""
    receiver: Issued = getattr(people, kind)
    sealed = seal(receiver, mime.entity(b"text/plain", b"the code of the door is 4711, of the safe 0815"))
    guesses = spliced(sealed, 3)
    with people.inbox(key=receiver) as tool, Peer(ALICE.encode()) as peer:
        port = port_of(tool)
        assert peer.ask(port, CBC, sealed.body()).status == 200
        assert tool.wait_for(event="message")["unauthenticated"]
        for start in range(0, 256, 32):
            for guess in range(start, start + 32):
                peer.send(port, CBC, guesses(guess))
            assert {peer.receive()[0].status for _ in range(32)} == {493}
        assert peer.ask(port, CBC, sealed.body()).status == 200  # it was the first one with this key


def test_a_key_that_came_with_something_else_opens_nothing_that_is_not_authenticated(people: People) -> None:
    """Whichever came first; what is authenticated, by AES-GCM or a signature, is never shut out by it"""
    reader = Reader([people.desk], [people.alice.certificate])
    text = mime.entity(b"text/plain", b"the code of the door is 4711")

    def state(content_type: bytes, body: bytes) -> bool:
        opened = reader.open(content_type, body)
        return reader.is_unauthenticated(opened, reader.judge(opened, ALICE, 1))

    sealed = seal(people.desk, text)
    with pytest.raises(ParseError) as refused:
        state(CBC, sealed.body(octets=sealed.octets[:-16]))  # it fails by itself, and shuts the key
    assert refused.value.status == 493
    with pytest.raises(ParseError) as refused:
        state(CBC, sealed.body())
    assert refused.value.status == 493
    by_alice = seal(people.desk, signed_entity(people.alice, cpim()))
    with pytest.raises(ParseError):  # a header line that is none, whatever it was encrypted with
        state(CBC, by_alice.body(start=bytes(octet ^ 0x80 for octet in by_alice.start)))
    assert state(CBC, by_alice.body()) is False
    again = seal(people.desk, text)
    assert [state(CBC, again.body()) for _ in range(2)] == [True, True]
    other_wrapping = again.body(recipient=recipient_info(people.desk, again.key))
    assert state(CBC, other_wrapping) is True  # it is the key that counts, and not who wraps it how
    with pytest.raises(ParseError):
        state(CBC, again.body(start=bytes(16), recipient=recipient_info(people.desk, again.key)))


def test_keys_are_remembered_up_to_a_number() -> None:
    """The oldest is forgotten"""
    keys = ContentKeys(most=3)
    for number in range(4):
        assert not keys.is_other(b"%d" % number, b"a", b"b")
    assert not keys.is_other(b"3", b"ab") and keys.is_other(b"3", b"b") and keys.is_other(b"1", b"b")
    assert not keys.is_other(b"0", b"b") and keys.is_other(b"0", b"a")


def test_people_see_what_nobody_vouches_for(people: People) -> None:
    arguments = ["--smime-trust", people.alice.certificate_path, "--smime-key", people.desk.path, "--db", ":memory:"]
    running = Running("inbox", "--bind", "udp:127.0.0.1:0", *arguments)
    try:
        port = int(running.line().partition(b"udp:127.0.0.1:")[2].partition(b";")[0])
        with Peer(b"sip:mallory@example.org") as peer:
            for content_type, body, line in (
                (
                    CBC,
                    seal(people.desk, mime.entity(b"text/plain", b"hot")).body(),
                    "[encryption that others can change] hot",
                ),
                (mime.SIGNED, signed(people.alice, cpim()), f"[in the name of {ALICE}, who has signed it] hot"),
                (mime.SIGNED, signed(people.alice, cpim(to="sip:bob@example.org")), "[for sip:bob@example.org] hot"),
            ):
                assert peer.ask(port, content_type, body).status == 200
                said = running.line().decode()
                assert line in said and "signed sip:" not in said
    finally:
        running.end()


# Whose it is, and for whom


def test_a_signed_message_is_taken_once_however_its_from_is_spelled(people: People, desk: Tool) -> None:
    """R8591-7: with its From inside, and without; in the request of whoever"""
    for text, content, content_type in (
        ("inside", cpim("inside"), imdn.CPIM),
        ("escaped", cpim("escaped", "sip:%61lice@EXAMPLE.org"), imdn.CPIM),
        ("named", cpim("named", extra=imdn.ask(b"id-1")), imdn.CPIM),
        ("no From", b"no From", b"text/plain"),
    ):
        body = signed(people.alice, content, content_type)
        for name in (ALICE, "sip:alice@EXAMPLE.org", "sip:%61lice@example.org", "sips:alice@example.org;x=1"):
            with Peer(name.encode()) as peer:
                assert peer.ask(port_of(desk), mime.SIGNED, body).status == 200
        last = desk.wait_for(event="message", body=text, **{"from": name})
        found = [line for line in desk.lines if line.get("body") == text]
        assert [line["duplicate"] for line in found] == [False, True, True, True]
        assert last["signature"]["signer"] == ALICE


def test_a_forgery_that_comes_first_takes_nobody_s_place(people: People, desk: Tool) -> None:
    """With From and Message-ID of what alice has signed: unsigned, signed by others, or her own in another's name"""
    ask = imdn.ask(b"id-2")
    real = signed(people.alice, cpim("real", extra=ask))
    bare = signed(people.alice, b"bare", b"text/plain")
    with Peer(ALICE.encode()) as peer, Peer(b"sip:eve@127.0.0.1") as eve:
        for who, content_type, body in (
            (peer, imdn.CPIM, cpim("forged", extra=ask)),
            (peer, mime.SIGNED, signed(people.mallory, cpim("forged, too", extra=ask))),
            (peer, mime.SIGNED, real),
            (eve, mime.SIGNED, bare),
            (peer, mime.SIGNED, bare),
        ):
            assert who.ask(port_of(desk), content_type, body).status == 200
    assert not desk.wait_for(event="message", body="real")["duplicate"]
    assert (
        desk.wait_for(event="message", body="bare", **{"from": "sip:eve@127.0.0.1"})["signature"]["state"] == "mismatch"
    )
    assert not desk.wait_for(event="message", body="bare", **{"from": ALICE})["duplicate"]


def test_who_requires_signatures_wants_them_by_from(people: People) -> None:
    """Of the SIP request and of message/cpim; who hides behind anonymous@anonymous.invalid has signed as somebody"""
    mine = signed(people.alice, cpim())
    with people.inbox("--require-signed") as tool:
        for name, author, status in (
            (ALICE, ALICE, 200),
            ("sips:%61lice@EXAMPLE.org:5061", ALICE, 200),
            ("sip:anonymous@anonymous.invalid", ALICE, 403),
            ("sip:mallory@example.org", ALICE, 403),
            ("sip:alice@example.com", ALICE, 403),
            (ALICE, "sip:mallory@example.org", 403),
        ):
            body = mine if author == ALICE else signed(people.alice, cpim(author=author))
            with Peer(name.encode()) as peer:
                assert peer.ask(port_of(tool), mime.SIGNED, body).status == status, (name, author)
                if status == 403:
                    hidden = Writer(people.alice, people.desk.certificate, False).protect(
                        imdn.CPIM, cpim(author=author)
                    )
                    assert peer.ask(port_of(tool), *hidden).status == 493, (name, author)


def test_what_was_signed_for_somebody_else_is_marked(people: People, desk: Tool) -> None:
    """By the To of message/cpim, and by that of the request"""
    with Peer(ALICE.encode()) as peer:
        for text, inside, outside, is_for_others in (
            ("for us", DESK, DESK, False),
            ("for bob", "sip:bob@example.org", DESK, True),
            ("for bob's box", DESK, "sip:bob@example.org", False),
        ):
            to = outside.encode()
            assert (
                peer.ask(port_of(desk), mime.SIGNED, signed(people.alice, cpim(text, to=inside)), to=to).status == 200
            )
            line = desk.wait_for(event="message", body=text)
            assert line.get("for_others", False) is (is_for_others or inside != outside)


def test_an_inbox_knows_what_it_is_called() -> None:
    """Its address-of-record, its domains, and the contact that requests come to"""

    def inside(*to: str) -> bytes:
        head = "".join([f"{'To' if number % 2 == 0 else 'cc'}: <{uri}>\r\n" for number, uri in enumerate(to)])
        return f"From: <{ALICE}>\r\n{head}\r\nContent-Type: text/plain\r\n\r\nhot".encode()

    bob = "sip:bob@example.org"
    named = Addressees(b"sip:desk@example.org", [])
    ours = Addressees(None, [b"example.org"])
    nobody = Addressees(None, [])
    address = Addressees(b"sip:desk@[2001:db8::1]", [])
    addresses = Addressees(None, [b"2001:db8::1"])
    for us, request_uri, to, names, others in (
        (named, "sip:desk@192.0.2.1:5060", "sip:desk@example.org", ("im:desk@EXAMPLE.org",), ()),
        (named, "sip:desk@192.0.2.1:5060", "sip:desk@192.0.2.1", ("sip:%64esk@example.org;x=1",), ()),
        (named, "sip:desk@192.0.2.1:5060", bob, (), (bob,)),
        (named, bob, bob, (), (bob,)),  # who sends it can write what he likes
        (named, "sip:desk@192.0.2.1", "sip:desk@example.org", (bob,), (bob,)),
        (named, "sip:desk@192.0.2.1", "sip:desk@example.org", (bob, "sip:desk@example.org"), ()),
        (
            named,
            "sip:desk@192.0.2.1",
            "sip:desk@example.org",
            (bob, "sip:carol@example.org"),
            (bob, "sip:carol@example.org"),
        ),
        (ours, "sip:desk@192.0.2.1", bob, (bob,), ()),
        (ours, "sip:desk@192.0.2.1", "sip:bob@example.com", (), ("sip:bob@example.com",)),
        (ours, "sip:desk@192.0.2.1", bob, ("sip:bob@example.com",), ("sip:bob@example.com",)),
        (ours, "sip:desk@192.0.2.1", "sip:bob@example.org.", (), ()),
        (named, "sip:desk@192.0.2.1:5060", "sip:desk@example.org.", (), ()),
        (address, "sip:desk@[::1]", "sip:desk@[2001:DB8:0::1]", (), ()),
        (address, "sip:desk@[::1]", "sip:desk@[2001:DB8::2]", (), ("sip:desk@[2001:DB8::2]",)),
        (addresses, "sip:desk@[::1]", "sip:desk@[2001:DB8:0::1]", (), ()),
        (nobody, bob, bob, ("im:bob@example.org",), ()),
        (nobody, "sip:desk@localhost", bob, (), (bob,)),
        (nobody, bob, bob, ("sip:desk@example.org",), ("sip:desk@example.org",)),
        (nobody, bob, "tel:+15551234567", (), ("tel:+15551234567",)),
    ):
        found = us.others(request_uri.encode(), to, parse_cpim(inside(*names)) if names else None)
        assert found == others, (request_uri, to, names)
