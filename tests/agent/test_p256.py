"""R8591-4: P-256 on boards: multiples of points, ECDH by RFC 5903, ECDSA by RFC 6979."""

import hashlib
from binascii import unhexlify
from hashlib import sha256

from agent.cms import agreement, ecdsa, ephemeral, verifying
from agent.cms.der import INTEGER, SEQUENCE, encode
from agent.cms.p256 import N, P, add, affine, double, inverse, multiply
from agent.cms.tables import GENERATOR, make_table
from tests.helpers import raises

_X, _Y = GENERATOR
_TABLE = make_table(_X, _Y, 5)
_TWICE = (
    0x7CF27B188D034F7E8A52380304B51AC3C08969E277F21B35A60B48FC47669978,
    0x07775510DB8ED040293D9AC69F7430DBBA7DADE63CE982299E04B79D227873D1,
)
_SECRET = unhexlify("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # RFC 6979 A.2.5
_PUBLIC = (
    0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
    0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
)
_SAMPLE = (
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
)
_TEST = (
    0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
    0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
)
_I = unhexlify("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433")  # RFC 5903 section 8.1
_R_POINT = unhexlify(
    "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f"
    "8353e74f33039872ab"
)
_SHARED = unhexlify("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de")


def _point(x, y):
    return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def _numbers(signature):
    size = signature[3]
    return int.from_bytes(signature[4 : 4 + size], "big"), int.from_bytes(signature[6 + size :], "big")


def _value(r, s):
    octets = [n.to_bytes(40, "big").lstrip(b"\0") or b"\0" for n in (r, s)]
    return encode(SEQUENCE, *[encode(INTEGER, (b"\0" if one[0] & 0x80 else b"") + one) for one in octets])


def test_multiples_of_a_point_are_right_whatever_hides_them():
    for z in (1, 2, P - 1, 0x1234567890ABCDEF):
        assert multiply(z, (1, _TABLE)) == GENERATOR
        assert multiply(z, (2, _TABLE)) == _TWICE
        assert multiply(z, (N - 1, _TABLE)) == (_X, P - _Y)
        assert multiply(z, (N - 2, _TABLE)) == (_TWICE[0], P - _TWICE[1])
        assert multiply(z, (int.from_bytes(_SECRET, "big"), _TABLE)) == _PUBLIC


def test_powers_of_two_are_what_doubling_gives():
    q = (_X, _Y, 1)
    for i in range(0, 256, 15):
        assert multiply(5, (1 << i, _TABLE)) == affine(*q)
        for _ in range(15):
            q = double(*q)


def test_tables_of_any_width_give_the_same():
    for width in (4, 6):
        table = make_table(_X, _Y, width)
        assert len(table) == 32 << width
        assert multiply(9, (int.from_bytes(_SECRET, "big"), table)) == _PUBLIC


def test_sums_have_no_blind_spot():
    """The same point twice, and one with what undoes it"""
    assert affine(*add(_X, _Y, 1, _X, _Y)) == _TWICE == affine(*double(_X, _Y, 1))
    assert add(_X, _Y, 1, _X, P - _Y)[2] == 0
    raises(ZeroDivisionError, multiply, 3, (5, _TABLE), (N - 5, _TABLE))
    assert multiply(3, (5, _TABLE), (N - 4, _TABLE)) == GENERATOR
    for a in (1, 2, P - 1, _X):
        assert a * inverse(a, P) % P == 1


def test_a_secret_is_shared_as_rfc_5903_has_it():
    for z in (1, 77, P - 1, 0xFFFFFFFF, 0xFFFFFFFE):
        assert agreement.agree(_I, _R_POINT, z) == _SHARED


def test_what_encrypts_agrees_with_what_decrypts():
    table = make_table(*_PUBLIC, 5)
    point, secret = ephemeral.agree(_TABLE, table, lambda size: bytes(range(7, 7 + size)))
    assert agreement.agree(_SECRET, point, 12345) == secret and len(point) == 65


def test_only_points_of_the_curve_are_agreed_with():
    x, y = _PUBLIC
    right = _point(x, y)
    for wrong in (
        b"",
        right[:-1],
        right + b"\0",
        b"\2" + right[1:33],
        b"\6" + right[1:],
        _point(x, y ^ 1),
        _point(x + 1, y),
        bytes(65),
        b"\4" + bytes(64),
        b"\4" + P.to_bytes(32, "big") + right[33:],
        b"\0",
        b"\3" + right[1:33],
        right[:33],
        _point(x, y) + _point(x, y)[1:],
        _point(5, 0),  # of order 2 on another curve, with the same formulas
        _point(1, 0),
        _point(1, 1),  # no point of ours has this x: those of the twist have
    ):
        raises(ValueError, agreement.agree, _SECRET, wrong, 5)
    assert agreement.agree((1).to_bytes(32, "big"), right, 5) == right[1:33]


def test_a_point_is_written_in_one_way():
    """Coordinates below P; one that is zero, or small, is a point as well"""
    small = 0xD7325D7646CD60D80A92738CEB345F844CFFAF35841022CAB176F692DE8DE1D7, 5
    zero = 0, 0x66485C780E2F83D72433BD5D84A06BB6541C2AF31DAE871728BF856A174F93F4
    for x, y in (small, zero):
        assert agreement.agree((1).to_bytes(32, "big"), _point(x, y), 5) == x.to_bytes(32, "big")
    raises(ValueError, agreement.agree, _SECRET, _point(small[0], 5 + P), 5)
    raises(ValueError, agreement.agree, _SECRET, _point(P, zero[1]), 5)


def test_a_shared_secret_keeps_its_leading_zeros():
    """SP 800-56A section 5.7.1.2: 32 octets, whatever they are"""
    secret = unhexlify("00001fe0d1f330c5b5779f95966757812a1a450272438c661db76659e208fba5")
    assert agreement.agree((54244).to_bytes(32, "big"), _point(*_PUBLIC), 77) == secret
    chance = [54243, 76]  # from which ephemeral.agree() makes 54244 and 77
    shared = ephemeral.agree(_TABLE, _PUBLIC_TABLE, lambda size: chance.pop(0).to_bytes(size, "big"))[1]
    assert shared == secret


def test_signatures_are_those_of_rfc_6979():
    for text, numbers in ((b"sample", _SAMPLE), (b"test", _TEST)):
        for hiding in (1, 12345, N - 1):
            signature = ecdsa.sign(sha256(text).digest(), _SECRET, _TABLE, hiding)
            assert _numbers(signature) == numbers


def _is_good(value, text=b"sample", hash="sha256"):
    return verifying.is_ecdsa(text, hash, value, _TABLE, _PUBLIC_TABLE)


_PUBLIC_TABLE = make_table(*_PUBLIC, 5)


def test_a_signature_is_good_for_its_text_alone():
    r, s = _SAMPLE
    assert _is_good(_value(r, s)) and _is_good(_value(*_TEST), b"test")
    assert _is_good(_value(r, N - s))  # its twin, which anybody can make of it
    assert not _is_good(_value(r, s), b"samplf") and not _is_good(_value(s, r))
    assert not verifying.is_ecdsa(b"sample", "sha256", _value(r, s), _TABLE, _TABLE)


def test_numbers_out_of_range_are_no_signature():
    r, s = _SAMPLE
    for one in ((0, s), (r, 0), (0, 0), (N, s), (r, N), (r + N, s), (r, s + N), (1, 1), (N - 1, N - 1), (r, 1)):
        assert not _is_good(_value(*one))
    right = _value(r, s)
    negative = encode(SEQUENCE, encode(INTEGER, r.to_bytes(32, "big")), right[right[3] + 4 :])
    for wrong in (
        b"",
        b"\x30\x00",
        right[:-1],
        right + b"\0",
        encode(SEQUENCE, right),
        right[2:],
        b"\x31" + right[1:],
        negative,
    ):
        assert not _is_good(wrong)
    more = encode(SEQUENCE, right[2:], encode(INTEGER, b"\1"))
    assert not _is_good(more)


def test_short_numbers_are_written_short():
    """r, then s, below 2**247: by cryptography the same"""
    for text, r, s in (
        (
            b"1708",
            0x5863E32F938CA28AF57FA188CAB8A4E51425F46A323C546908F7990F7FC0A6,
            0x46EBF603754A6179CFC121B99A71ECE9D85A48ED26BBA8D20A85B6223D3DC0CC,
        ),
        (
            b"192",
            0xE9AD937BDBE95EA89251BC94492EB0C0C4294B535767E4B11461B5A3AA31927B,
            0x6C67BED7318CDC11CFDD1154D763F35298856C65F796C807EFE7FBACE64C2,
        ),
    ):
        signature = ecdsa.sign(sha256(text).digest(), _SECRET, _TABLE, 5)
        assert signature == _value(r, s) and _is_good(signature, text)


def test_r_is_what_is_left_of_a_coordinate_above_n():
    """x is N + 3 and r is 3, which chance alone never brings"""
    public = (
        0xDFC15811F89D0A2FD9A8B512D08C63630543ABE6E690675C1641CC510E669A7B,
        0xFBC60DE2280E24AD0AC5A31B022984A651408F81B67D4FAD72267A2346C85368,
    )
    table = make_table(public[0], public[1], 5)
    assert verifying.is_ecdsa(b"sample", "sha256", _value(3, 3), _TABLE, table)
    assert not verifying.is_ecdsa(b"sample", "sha256", _value(4, 3), _TABLE, table)


def test_of_a_longer_digest_the_first_256_bits_count():
    """RFC 6979 A.2.5 with SHA-384 and SHA-512, where hashlib has them"""
    for hash, r, s in (
        (
            "sha384",
            0x0EAFEA039B20E9B42309FB1D89E213057CBF973DC0CFC8F129EDDDC800EF7719,
            0x4861F0491E6998B9455193E34E7B0D284DDD7149A74B95B9261F13ABDE940954,
        ),
        (
            "sha512",
            0x8496A60B5E9B47C825488827E0495B0E3FA109EC4568FD3F8D1097678EB97F00,
            0x2362AB1ADBE2B8ADF9CB9EDAB740EA6049C028114F2460F96554F61FAE3302FE,
        ),
    ):
        if hasattr(hashlib, hash):
            assert _is_good(_value(r, s), hash=hash)
            assert not _is_good(_value(r, s)) and not _is_good(_value(*_SAMPLE), hash=hash)


def test_a_signature_is_written_in_one_way():
    """DER alone, as OpenSSL has it: lengths in the shortest form, zeros where they have to be, nothing behind"""
    r, s = [encode(INTEGER, b"\0" + n.to_bytes(32, "big")) for n in _SAMPLE]
    assert _is_good(encode(SEQUENCE, r, s)) and encode(SEQUENCE, r, s) == _value(*_SAMPLE)
    front = bytes((len(r + s),))
    for wrong in (
        b"\x30\x81" + front + r + s,
        b"\x30\x82\0" + front + r + s,
        b"\x30\x80" + r + s + b"\0\0",
        encode(SEQUENCE, b"\2\x81" + r[1:], s),
        encode(SEQUENCE, r, b"\2\x81" + s[1:]),
        encode(SEQUENCE, encode(INTEGER, b"\0" + r[2:]), s),
        encode(SEQUENCE, r, encode(INTEGER, b"\0" + s[2:])),
        encode(SEQUENCE, r, s[:1] + b"\x20" + s[3:]),
        encode(SEQUENCE, encode(INTEGER), s),
        encode(SEQUENCE, r, s, b"\5\0"),
        encode(SEQUENCE, r),
        encode(SEQUENCE, b"\x22" + r[1:], s),
        encode(SEQUENCE, r, s) + b"\0",
    ):
        assert not _is_good(wrong), wrong


def test_rsa_is_verified_in_full():
    """PKCS #1 v1.5 (RFC 8017 section 8.2.2): with the exponent 1 a signature is what it says"""
    info = unhexlify("3031300d060960864801650304020105000420") + sha256(b"x").digest()
    size = 64
    right = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
    large = b"\xff" * size
    assert not verifying.is_rsa(b"x", "sha256", right[1:], large, 1)
    assert verifying.is_rsa(b"x", "sha256", right, large, 1)
    for wrong in (
        b"\0\2" + right[2:],
        b"\0\1\xff\0" + info + bytes(size - len(info) - 4),
        right[:-1] + bytes((right[-1] ^ 1,)),
        right[:5] + b"\xfe" + right[6:],
        b"\0\1" + b"\xff" * (size - len(info) - 1) + info[2:4] + info[4:] + b"\0",
    ):
        assert not verifying.is_rsa(b"x", "sha256", wrong[:size], large, 1)
    assert not verifying.is_rsa(b"y", "sha256", right, large, 1)
