"""R8591-4: AES-128-GCM, by the test cases of its specification (McGrew and Viega), and key wrap by RFC 3394."""

from binascii import unhexlify
from hashlib import sha256

from agent.cms.gcm import gcm
from agent.cms.own_key import OwnKey
from agent.cms.wrapping import unwrap, wrap
from tests.aes import aes
from tests.helpers import Dice, raises

_KEY = unhexlify("feffe9928665731c6d6a8f9467308308")
_TEXT = unhexlify(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
    "ba637b391aafd255"
)
_BESIDE = unhexlify("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_LONG_NONCE = unhexlify(
    "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57"
    "a637b39b"
)
_CASES = (  # key, nonce, text, beside, tag
    (bytes(16), bytes(12), b"", b"", "58e2fccefa7e3061367f1d57a4e7455a"),
    (bytes(16), bytes(12), bytes(16), b"", "ab6e47d42cec13bdf53a67b21257bddf"),
    (_KEY, unhexlify("cafebabefacedbaddecaf888"), _TEXT, b"", "4d5c2af327cd64a62cf35abd2ba6fab4"),
    (_KEY, unhexlify("cafebabefacedbaddecaf888"), _TEXT[:60], _BESIDE, "5bc94fbc3221a5db94fae95ae7121a47"),
    (_KEY, unhexlify("cafebabefacedbad"), _TEXT[:60], _BESIDE, "3612d2e79e3b0785561be14aaca2fccb"),
    (_KEY, _LONG_NONCE, _TEXT[:60], _BESIDE, "619cc5aefffe0bfa462af43c1699d050"),
)


def test_what_the_specification_encrypts():
    for key, nonce, text, beside, tag in _CASES:
        octets, made = gcm(aes(key, 1), nonce, text, beside, False)
        assert made == unhexlify(tag)
        assert gcm(aes(key, 1), nonce, octets, beside, True) == (text, made)
    assert gcm(aes(bytes(16), 1), bytes(12), bytes(16), b"", False)[0] == unhexlify("0388dace60b6a392f328c2b971b2fe78")


def test_every_length_comes_back_and_every_flipped_bit_shows_in_the_tag():
    dice = Dice(7)
    for size in range(35):
        nonce = dice.random_bytes(12)
        text = dice.random_bytes(size)
        octets, tag = gcm(aes(_KEY, 1), nonce, text, text[:3], False)
        assert len(octets) == size and gcm(aes(_KEY, 1), nonce, octets, text[:3], True) == (text, tag)
        if size:
            at = dice.roll(size)
            other = octets[:at] + bytes((octets[at] ^ 1 << dice.roll(8),)) + octets[at + 1 :]
            assert gcm(aes(_KEY, 1), nonce, other, text[:3], True)[1] != tag
        assert gcm(aes(_KEY, 1), nonce, octets, text[:3] + b"\0", True)[1] != tag


def test_the_counter_wraps_in_its_own_word():
    """SP 800-38D section 6.2: it begins with 0xFFFFFFFE here, as this nonce hashes; octets are those of cryptography"""
    text = bytes([i * 7 & 255 for i in range(80)])
    octets, tag = gcm(aes(_KEY, 1), unhexlify("7aefb2a1276c674c995d8175b1000d4b"), text, b"", False)
    assert sha256(octets + tag).digest() == unhexlify(
        "f1fe7c948da713d1e3c26cb4732edb4351b19ad53111ebd9c7d70c11a01d7e6d"
    )


def test_texts_around_a_block_and_of_more_than_256_are_those_of_cryptography():
    text = bytes([i * 7 & 255 for i in range(256)]) * 17
    for size, digest in (
        (0, "5ba106053d0acfc705a5423484843db8"),
        (1, "f79f5f1caaecefcb9f132c3dd746fa27"),
        (15, "0ee9c1fcbadffdce676b94fe8209b36c"),
        (16, "31272ccdb5b592fe7e9313b1be895d28"),
        (17, "f5c243320507f76a6d1303b4ba5ebab7"),
        (255 * 16, "746a9266778c5dd98d976d3f0b0dcf94"),
        (256 * 16 + 1, "e6423cc4f553f1606a296ff25d4bbe80"),
    ):
        octets, tag = gcm(aes(_KEY, 1), bytes(12), text[:size], b"", False)
        assert sha256(octets + tag).digest()[:16] == unhexlify(digest), size


def test_a_tag_counts_in_each_of_its_octets_however_many_it_has():
    """RFC 5084 section 3.2: 12 to 16, those in front"""
    key = OwnKey((), b"", {}, aes, None)
    octets, tag = gcm(aes(_KEY, 1), bytes(12), b"hot", b"beside", False)
    for size in range(12, 17):
        assert key.decrypt_gcm(_KEY, bytes(12), octets, tag[:size], b"beside") == b"hot"
        for at in range(size):
            wrong = bytearray(tag[:size])
            wrong[at] ^= 1 << at % 8
            raises(ValueError, key.decrypt_gcm, _KEY, bytes(12), octets, bytes(wrong), b"beside")
        raises(ValueError, key.decrypt_gcm, _KEY, bytes(12), octets, tag[-size:-1] + b"\0", b"beside")


def test_keys_are_wrapped_as_rfc_3394_does():
    """Sections 4.1, 4.2, 4.3 and 4.6"""
    by = bytes(range(32))
    key = unhexlify("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    for size, octets, wrapped in (
        (16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
        (32, 32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"),
    ):
        assert wrap(aes(by[:size], 1), key[:octets]) == unhexlify(wrapped)
        assert unwrap(aes(by[:size], 1), unhexlify(wrapped)) == key[:octets]


def test_what_is_not_wrapped_by_the_key_opens_nothing():
    for size in (32, 24, 16):
        wrapped = wrap(aes(bytes(16), 1), bytes(range(size)))
        for at in range(len(wrapped)):
            other = wrapped[:at] + bytes((wrapped[at] ^ 1 << at % 8,)) + wrapped[at + 1 :]
            assert unwrap(aes(bytes(16), 1), other) is None
    assert unwrap(aes(b"x" * 16, 1), wrapped) is None
    key = OwnKey((), b"", {}, aes, None)
    assert key.unwrap(bytes(16), wrapped) == bytes(range(16))
    raises(ValueError, key.unwrap, b"x" * 16, wrapped)
    for wrong in (b"", wrapped[:-1], wrapped[:16], wrapped[:8], wrapped * 2):
        assert unwrap(aes(bytes(16), 1), wrong) is None
