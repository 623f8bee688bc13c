"""R8591-4, R8551-2: each cipher, key size, tag and padding that CMS has for us, and what is passed over or refused."""

from binascii import unhexlify

from agent.cms import ephemeral
from agent.cms.der import BIT_STRING, INTEGER, OCTETS, OID, SEQUENCE, SET, encode
from agent.cms.der_reader import decode
from agent.cms.enveloped import open_enveloped
from agent.cms.enveloping import build_enveloped
from agent.cms.gcm import gcm as encrypt
from agent.cms.names import AUTH_ENVELOPED_DATA, DATA, ENVELOPED_DATA
from agent.cms.own_key import OwnKey
from agent.cms.receivers import Receiver
from agent.cms.tables import GENERATOR, make_table
from tests.aes import aes
from tests.agent.test_cms_enveloped import BY_ISSUER, BY_KEY_ID, CONTENT, Toy, opened, refused

AES = unhexlify("6086480165030401")  # and one octet that says the mode and the size of the key
RSA = unhexlify("2a864886f70d010101")


class Indulgent(Toy):
    """A Toy that takes each tag of AES-GCM for a good one, and remembers what was authenticated beside."""

    def decrypt_gcm(self, key, nonce, octets, tag, beside):
        if key == self.random(len(key)):
            raise ValueError("the key that takes the place of one of the wrong size")
        self.beside = beside
        return octets


def envelope(kind, last, params, octets, size=16, before=b"", behind=b"", recipient=None):
    """Return a ContentInfo around octets, for a Toy that gets a content key of so many octets by RSA."""
    if recipient is None:
        algorithm = encode(SEQUENCE, encode(OID, RSA))
        recipient = encode(SEQUENCE, encode(INTEGER, b"\0"), BY_ISSUER, algorithm, encode(OCTETS, b"k" * size))
    cipher = encode(SEQUENCE, encode(OID, AES + bytes((last,))), params)
    content = encode(SEQUENCE, encode(OID, DATA), cipher, encode(0x80, octets))
    inside = encode(SEQUENCE, encode(INTEGER, b"\0"), before, encode(SET, recipient), content, behind)
    return encode(SEQUENCE, encode(OID, kind), encode(0xA0, inside))


def in_cbc(octets, last=2, size=16, start=b"s" * 16, before=b"", recipient=None):
    return envelope(ENVELOPED_DATA, last, encode(OCTETS, start), octets, size, before, recipient=recipient)


def agreed_in_cbc(octets):
    """Return octets in AES-128-CBC, their key wrapped in one that is agreed on."""
    originator = encode(0xA0, encode(0xA1, encode(SEQUENCE), encode(BIT_STRING, b"\0\x04point")))
    algorithm = encode(SEQUENCE, encode(OID, unhexlify("2b8104010b01")), encode(SEQUENCE, encode(OID, AES + b"\5")))
    keys = encode(SEQUENCE, encode(SEQUENCE, BY_ISSUER, encode(OCTETS, b"k" * 24)))
    return in_cbc(octets, recipient=encode(0xA1, encode(INTEGER, b"\3"), originator, algorithm, keys))


def in_gcm(octets, last=6, size=16, tag=b"t" * 16, beside=b""):
    params = encode(SEQUENCE, encode(OCTETS, b"n" * 12))
    return envelope(AUTH_ENVELOPED_DATA, last, params, octets, size, behind=beside + encode(OCTETS, tag))


def test_padding_has_one_octet_to_a_whole_block():
    """R8591-4: each number of octets says itself (RFC 5652 section 6.3)"""
    for size in range(1, 17):
        content = b"x" * (32 - size)
        assert opened(in_cbc(content + bytes((size,)) * size), Toy(BY_ISSUER, "rsa")) == content
    for padded in (b"x" * 31 + b"\x11" * 17, b"x" * 15 + b"\0"):
        assert refused(in_cbc(padded), Toy(BY_ISSUER, "rsa"))


def test_what_is_encrypted_in_blocks_has_whole_ones_and_one_to_start_with():
    """R8591-4: no octets at all are no content either; the cipher is never asked"""
    padded = b"x" * 15 + b"\1"
    assert opened(in_cbc(padded), Toy(BY_ISSUER, "rsa")) == b"x" * 15
    for octets in (b"", b"x" + padded, padded[1:]):
        assert refused(in_cbc(octets), Toy(BY_ISSUER, "rsa"))
    for start in (b"", b"s" * 8, b"s" * 15, b"s" * 17):
        assert refused(in_cbc(padded, start=start), Toy(BY_ISSUER, "rsa"))


def test_a_key_of_each_size_of_aes_is_taken_for_its_cipher_alone():
    """R8591-4: 128, 192 and 256 bits, in CBC and in GCM"""
    padded = b"x" * 15 + b"\1"
    for size, cbc, gcm in ((16, 2, 6), (24, 22, 26), (32, 42, 46)):
        toy = Indulgent(BY_ISSUER, "rsa")
        assert opened(in_cbc(padded, cbc, size), toy) == b"x" * 15
        assert opened(in_gcm(b"hot", gcm, size), toy) == b"hot"
        for other in (size - 8, size + 1, size + 8):
            assert refused(in_cbc(padded, cbc, other), toy)
            assert refused(in_gcm(b"hot", gcm, other), toy)


def test_attributes_are_authenticated_as_a_set():
    """R8591-4: RFC 5083 section 2.2: with the tag of a SET in place of [1], and only where there are any"""
    attribute = encode(SEQUENCE, encode(OID, b"\x2a\x03"), encode(SET, encode(INTEGER, b"\1")))
    for beside, authenticated in ((b"", b""), (encode(0xA1, attribute), encode(SET, attribute))):
        toy = Indulgent(BY_ISSUER, "rsa")
        assert opened(in_gcm(b"hot", beside=beside), toy) == b"hot"
        assert toy.beside == authenticated


def test_certificates_of_the_originator_are_passed_over():
    """R8551-2: RFC 5652 section 6.1, originatorInfo"""
    padded = b"x" * 15 + b"\1"
    data = in_cbc(padded, before=encode(0xA0, encode(0xA0, encode(SEQUENCE))))
    assert opened(data, Toy(BY_ISSUER, "rsa")) == b"x" * 15


def test_tags_of_12_to_16_octets_are_taken():
    """R8591-4: as RFC 5084 section 3.2 has them"""
    for size in range(18):
        data = in_gcm(b"hot", tag=b"t" * size)
        if 12 <= size <= 16:
            assert opened(data, Indulgent(BY_ISSUER, "rsa")) == b"hot"
        else:
            assert refused(data, Indulgent(BY_ISSUER, "rsa"))


def test_a_recipient_has_the_version_of_how_it_is_called():
    """R8591-4: RFC 5652 section 6.2.1 and 6.2.2: 0 by issuer, 2 by key identifier, 3 wherever a key is agreed on"""
    for identifier, kind, version in (
        (BY_ISSUER, "rsa", b"\0"),
        (BY_KEY_ID, "rsa", b"\2"),
        (BY_ISSUER, "ecdh", b"\3"),
        (BY_KEY_ID, "ecdh", b"\3"),
    ):
        inside = decode(build_enveloped(CONTENT, Toy(identifier, kind))).parts[1].take(SEQUENCE)
        inside.take(INTEGER)
        assert inside.take(SET).parts[0].take(INTEGER).octets == version


def test_what_boards_encrypt_their_own_keys_open():
    """R8591-4: to a certificate and with a shared key; the nonce has 12 octets (SP 800-38D section 8.2.1)"""
    public = make_table(*GENERATOR, 4)  # of the private key 1
    asked = []

    def random(size):
        asked.append(size)
        return bytes(range(size))

    agreed = ephemeral.agree(public, public, random)
    key = OwnKey((BY_KEY_ID,), (1).to_bytes(32, "big"), {b"we": b"k" * 16}, aes, random)
    octets, tag = encrypt(aes(bytes(16), 1), bytes(12), CONTENT, b"", False)
    done = (bytes(16), bytes(12), octets, tag)
    for receiver in (Receiver(BY_KEY_ID, agreed, b"", done, aes), Receiver(b"we", None, b"k" * 16, done, aes)):
        built = build_enveloped(CONTENT, receiver)
        assert open_enveloped(decode(built).parts[1].take(SEQUENCE), key, True) == CONTENT
    toy = Toy(BY_ISSUER, "rsa")
    assert encode(OCTETS, toy.random(12)) in build_enveloped(CONTENT, toy)
    assert asked == [40, 40, 40, 16, 16]  # 64 bits more than a number has, so that none is likelier; then spare keys


class Agreeing(Toy):
    """A Toy whose agreed secret is known, and whose content key is unwrapped by one key alone."""

    def __init__(self, by):
        Toy.__init__(self, BY_ISSUER, "ecdh")
        self._by = by

    def agree(self, point=None):
        return bytes(range(32))

    def unwrap(self, by, wrapped):
        if by != self._by:
            raise ValueError("another key")
        return wrapped


def test_user_keying_material_and_the_size_of_the_wrapping_make_the_key():
    """R8591-4: RFC 5753 section 7.2; figures by openssl kdf -kdfopt digest:SHA256 ... X963KDF"""
    originator = encode(0xA0, encode(0xA1, encode(SEQUENCE), encode(BIT_STRING, b"\0point")))
    keys = encode(SEQUENCE, encode(SEQUENCE, BY_ISSUER, encode(OCTETS, b"k" * 16)))
    for last, by in (
        (5, "9b020f5dea7b570c5b24bcc11af5141d"),
        (25, "fc835dcf33953e3d04cdf38992b56e4ba7b21b3f73272235"),
        (45, "31b9bfb79f025d1ef5e9d7445c79e6118db7c88be324669893ea8559ef913ba2"),
    ):
        wrap = encode(SEQUENCE, encode(OID, AES + bytes((last,))))
        algorithm = encode(SEQUENCE, encode(OID, unhexlify("2b8104010b01")), wrap)
        material = encode(0xA1, encode(OCTETS, b"more"))
        for recipient, is_right in (
            (encode(0xA1, encode(INTEGER, b"\3"), originator, material, algorithm, keys), True),
            (encode(0xA1, encode(INTEGER, b"\3"), originator, algorithm, keys), False),
        ):
            data = in_cbc(b"x" * 15 + b"\1", recipient=recipient)
            if is_right:
                assert opened(data, Agreeing(unhexlify(by))) == b"x" * 15
            else:
                assert refused(data, Agreeing(unhexlify(by)))
