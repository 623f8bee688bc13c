"""The arithmetic of boards (agent.cms) against that of the package cryptography, with random keys and messages.

FUZZ=1 takes a thousand.
"""

import hashlib
import os
import random

import pytest
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sipmote.agent.cms import agreement, ecdsa, ephemeral, mime, smime, verifying
from sipmote.agent.cms.der import OCTETS, SEQUENCE
from sipmote.agent.cms.enveloping import build_enveloped
from sipmote.agent.cms.gcm import gcm
from sipmote.agent.cms.own_key import OwnKey
from sipmote.agent.cms.p256 import N
from sipmote.agent.cms.receivers import Receiver
from sipmote.agent.cms.signing import build_signed
from sipmote.agent.cms.tables import GENERATOR, make_table
from sipmote.agent.cms.wrapping import unwrap, wrap
from sipmote.agent.errors import ParseError
from sipmote.smime.keys import Identity
from sipmote.smime.reader import Reader
from sipmote.smime.writer import Writer
from tests.aes import aes
from tests.mote.board_keys import person

_ROUNDS = 1000 if "FUZZ" in os.environ else 20
_TABLE = make_table(*GENERATOR)
_CURVE = ec.SECP256R1()
_CONTENT = mime.entity(b"text/plain", b"81 C")


def _secret(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32, "big")


def _table(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return make_table(numbers.x, numbers.y)


def _key(dice: random.Random) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(dice.randrange(1, N), _CURVE)


def test_signatures_are_good_on_both_sides() -> None:
    """R8591-4"""
    dice = random.Random(1)
    for number in range(_ROUNDS):
        key, text = _key(dice), dice.randbytes(number)
        table = _table(key)
        made = ecdsa.sign(hashlib.sha256(text).digest(), _secret(key), _TABLE, dice.randrange(1, N))
        key.public_key().verify(made, text, ec.ECDSA(hashes.SHA256()))
        for hash in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
            theirs = key.sign(text, ec.ECDSA(hash))
            assert verifying.is_ecdsa(text, hash.name, theirs, _TABLE, table)
            assert not verifying.is_ecdsa(text + b"x", hash.name, theirs, _TABLE, table)
        r, s = decode_dss_signature(made)
        assert made[0] == SEQUENCE and 0 < r < N and 0 < s < N


def test_secrets_are_the_same_on_both_sides() -> None:
    """R8591-4"""
    dice = random.Random(2)
    for _ in range(_ROUNDS):
        ours, theirs = _key(dice), _key(dice)
        form = serialization.PublicFormat.UncompressedPoint
        point = theirs.public_key().public_bytes(serialization.Encoding.X962, form)
        shared = ours.exchange(ec.ECDH(), theirs.public_key())
        assert agreement.agree(_secret(ours), point, dice.randrange(1, N)) == shared
        fresh, secret = ephemeral.agree(_TABLE, _table(theirs), dice.randbytes)
        public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, fresh)
        assert theirs.exchange(ec.ECDH(), public) == secret


def test_what_is_encrypted_and_wrapped_is_the_same() -> None:
    """R8591-4"""
    dice = random.Random(3)
    for number in range(3 * _ROUNDS):
        key, nonce, text = dice.randbytes(16), dice.randbytes(dice.choice((12, 12, 8, 16, 33))), dice.randbytes(number)
        octets, tag = gcm(aes(key, 1), nonce, text, text[::-1], False)
        assert octets + tag == AESGCM(key).encrypt(nonce, text, text[::-1])
        other = dice.randbytes(dice.choice((16, 24, 32)))
        wrapped = wrap(aes(key, 1), other)
        assert wrapped == keywrap.aes_key_wrap(key, other) and unwrap(aes(key, 1), wrapped) == other


def test_rsa_signatures_are_good() -> None:
    """R8591-4"""
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    for hash in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        value = key.sign(b"hot", padding.PKCS1v15(), hash)
        assert verifying.is_rsa(b"hot", hash.name, value, modulus, numbers.e)
        assert not verifying.is_rsa(b"cold", hash.name, value, modulus, numbers.e)
        for at in range(0, 256, 17):
            wrong = value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]
            assert not verifying.is_rsa(b"hot", hash.name, wrong, modulus, numbers.e)


def _ours(content: bytes, dice: random.Random) -> bytes:
    """Return content encrypted for the desk as a board does it."""
    desk = person("sip:desk@127.0.0.1")
    key, nonce = dice.randbytes(16), dice.randbytes(12)
    agreed = ephemeral.agree(_TABLE, _table(desk.key), dice.randbytes)
    done = (key, nonce, *gcm(aes(key, 1), nonce, content, b"", False))
    return build_enveloped(b"", Receiver(bytes.fromhex(desk.ids[0]), agreed, b"", done, aes))


def _board_key() -> OwnKey:
    desk = person("sip:desk@127.0.0.1")
    names = tuple(bytes.fromhex(one) for one in desk.ids)
    return OwnKey(names, _secret(desk.key), {b"we": bytes(16)}, aes, os.urandom)


def test_envelopes_open_on_the_other_side() -> None:
    """R8591-4, R8591-5"""
    desk, board = person("sip:desk@127.0.0.1"), person("sip:boiler@127.0.0.1")
    dice = random.Random(4)
    signed = build_signed(
        _CONTENT,
        bytes.fromhex(board.ids[0]),
        "ecdsa",
        lambda octets: ecdsa.sign(hashlib.sha256(octets).digest(), _secret(board.key), _TABLE, 7),
    )
    reader = Reader([Identity(desk.key, desk.certificate)], [board.certificate])
    opened = reader.open(mime.ENCRYPTED, _ours(mime.entity(mime.SIGNED, signed), dice))
    verdict = reader.judge(opened, board.uri, 1)
    assert opened.body == b"81 C" and opened.authenticated and verdict is not None and verdict.is_good
    for receiver in (desk.certificate, (b"we", bytes(16))):
        writer = Writer(Identity(board.key, board.certificate), receiver, False)
        opened = smime.open_body(*writer.protect(b"text/plain", b"hot"), _board_key())
        assert opened.body == b"hot" and opened.authenticated
        (signature,) = opened.signatures
        assert verifying.is_ecdsa(signature.covered, signature.hash, signature.value, _TABLE, _table(board.key))


@pytest.mark.parametrize("receiver", ["certificate", "shared"])
def test_whatever_is_changed_opens_nothing_and_looks_the_same(receiver: str) -> None:
    """R0-P12: every octet flipped, every truncation"""
    desk = person("sip:desk@127.0.0.1")
    key = _board_key()
    writer = Writer(None, desk.certificate if receiver == "certificate" else (b"we", bytes(16)), False)
    content_type, body = writer.protect(b"text/plain", b"hot")
    assert smime.open_body(content_type, body, key).body == b"hot"
    broken = [body[:at] for at in range(len(body))]
    step = 1 if receiver == "shared" else 5  # an agreement takes 30 ms
    broken += [body[:at] + bytes((body[at] ^ 0x41,)) + body[at + 1 :] for at in range(0, len(body), step)]
    statuses = set()
    for one in broken:
        try:
            opened = smime.open_body(content_type, one, key)
        except ParseError as error:
            statuses.add(error.status)
        else:
            assert opened.body == b"hot" and opened.authenticated  # what isn't protected: a version, a spare name
    assert statuses <= {400, 493}
    tag_at = body.rindex(bytes((OCTETS, 16))) + 2
    inside = body[: tag_at + 1] + bytes((body[tag_at + 1] ^ 1,)) + body[tag_at + 2 :]
    with pytest.raises(ParseError) as told:
        smime.open_body(content_type, inside, key)
    assert told.value.status == 493
