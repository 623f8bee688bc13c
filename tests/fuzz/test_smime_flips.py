"""R0-P12: S/MIME bent at each octet, cut at each, and made to cost much. FUZZ=1 tries every octet and every bit."""

import os
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sipmote.agent.cms import mime
from sipmote.agent.cms.der import OID, SEQUENCE, SET, encode
from sipmote.agent.cms.der_reader import decode
from sipmote.agent.cms.names import SIGNED_DATA
from sipmote.agent.cms.signing import build_signed
from sipmote.agent.cpim import imdn
from sipmote.agent.errors import ParseError
from sipmote.smime.reader import GOOD, Reader
from sipmote.smime.writer import Writer
from tests.helpers import Dice
from tests.host_tools.envelopes import CBC, authenticated, seal
from tests.host_tools.forged import authority, forge, uris
from tests.host_tools.test_smime_probes import ALICE, People, cpim, in_gcm, signed, signed_entity

EVERY = "FUZZ" in os.environ
SHA256 = ec.ECDSA(hashes.SHA256())


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("flips"))


def messages(people: People) -> dict[str, tuple[bytes, bytes]]:
    """Return small messages of each kind: content type and body."""
    text = mime.entity(b"text/plain", b"hot")
    sealed = seal(people.desk, signed_entity(people.alice, cpim()))
    return {
        "signed": (mime.SIGNED, signed(people.alice, cpim())),
        "signed, with the certificate": Writer(people.alice, None, True).protect(imdn.CPIM, cpim()),
        "in AES-GCM": in_gcm(people.desk, text),
        "signed, in AES-GCM": Writer(people.alice, people.desk.certificate, False).protect(imdn.CPIM, cpim()),
        "signed, in AES-CBC": (CBC, sealed.body()),
        "for RSA": in_gcm(people.rsa, text),
    }


KINDS = ("signed", "signed, with the certificate", "in AES-GCM", "signed, in AES-GCM", "signed, in AES-CBC", "for RSA")


def outcome(reader: Reader, content_type: bytes, body: bytes) -> tuple[bytes, bool] | int:
    """Return what is taken for good, and what was inside; else the status that it gets, or 0 for what is marked."""
    try:
        opened = reader.open(content_type, body)
        verdict = reader.judge(opened, ALICE, 1)
        doubtful = reader.is_unauthenticated(opened, verdict)
    except ParseError as error:
        return error.status
    is_good = opened.authenticated or (verdict is not None and verdict.state == GOOD)
    return (opened.body, opened.encrypted) if is_good and not doubtful else 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_octet_changed_or_cut_off_makes_another_message(people: People, kind: str) -> None:
    """Nothing raises; what is taken for good is what was sent; FUZZ=1 tries every octet"""
    content_type, body = messages(people)[kind]
    key = people.rsa if kind == "for RSA" else people.desk
    right = outcome(Reader([] if key is None else [key], [people.alice.certificate]), content_type, body)
    assert isinstance(right, tuple)
    dice = Dice(len(kind))
    reader = Reader([] if key is None else [key], [people.alice.certificate])
    for at in range(0, len(body), 1 if EVERY else 7):
        for bits in (1, 2, 4, 8, 16, 32, 64, 128) if EVERY else (1, 128, 1 + dice.roll(255)):
            changed = body[:at] + bytes([body[at] ^ bits]) + body[at + 1 :]
            found = outcome(reader, content_type, changed)
            assert found in (0, 400, 493, right), (at, bits, found)
        assert outcome(reader, content_type, body[:at]) in (400, 493), at


def looped(kind: Any) -> bytes:
    """Return a message by two signers whose certificates were issued by some that have issued each other."""
    one = forge(authority(), name="one", issuer="two", key=kind, signed_by=kind)
    two = forge(authority(), name="two", issuer="one", key=kind, signed_by=kind)
    others = [forge(uris(ALICE.encode()), by=one, key=kind) for _ in range(2)]
    content = mime.entity(b"text/plain", b"hot")
    each = [
        build_signed(content, other.by_issuer, "ecdsa", lambda octets: kind.sign(octets, SHA256)) for other in others
    ]
    signers = [decode(body).parts[1].parts[0].parts[-1].parts[0].raw for body in each]
    parts = [part.raw for part in decode(each[0]).parts[1].parts[0].parts[:-1]]
    carried = encode(0xA0, *[each.der for each in (*others, one, two)])
    inside = encode(SEQUENCE, *parts, carried, encode(SET, *signers))
    return encode(SEQUENCE, encode(OID, SIGNED_DATA), encode(0xA0, inside))


def test_what_is_made_to_cost_much_costs_little(people: People) -> None:
    """Depth, lengths, elements, receivers, layers, and certificates that issue each other, all without end"""
    mine = seal(people.desk, b"x")
    layers = mime.entity(b"text/plain", b"x")
    for _ in range(3):
        layers = mime.entity(mime.ENCRYPTED, authenticated(people.desk, layers))
    reader = Reader([people.desk], [people.alice.certificate, forge(authority(), name="root").certificate])
    for bomb, found in (
        (b"\x30\x80" * 30000, 400),
        (b"\x24\x80" * 30000, 400),
        (b"\x30\x84\xff\xff\xff\xff" * 10000, 400),
        (b"\x30\x82\xff\x00" + b"\5\0" * 32640, 400),
        (mine.body(recipient=mine.recipient * 12), 493),
        (mine.body(recipient=seal(people.mallory, b"x").recipient * 12), 493),
        (mine.body(recipient=mine.recipient * 300), 400),
        (layers.partition(b"\r\n\r\n")[2], 493),
        (looped(ec.generate_private_key(ec.SECP256R1())), 0),
        (looped(ec.generate_private_key(ec.SECP521R1())), 0),
    ):
        outcome(reader, mime.PKCS7, bomb)  # what is needed is loaded
        began = time.process_time()
        assert outcome(reader, mime.PKCS7, bomb) == found
        assert time.process_time() - began < 0.05, bomb[:20]  # 1 to 8 ms; the bound is for a machine under load
    began = time.process_time()
    assert outcome(reader, mime.MULTIPART + b";boundary=b", b"\r\n--b" * 12000) == 400
    assert time.process_time() - began < 0.05
