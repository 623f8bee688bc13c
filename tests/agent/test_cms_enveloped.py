"""R8591-2, R8591-4, R3428-11.5: what OpenSSL encrypted is read, and what we encrypt has its parts in place."""

import hashlib
from binascii import unhexlify

from agent.cms.der import OID, SEQUENCE
from agent.cms.der_reader import decode
from agent.cms.enveloped import Key, open_enveloped
from agent.cms.enveloping import Recipient, build_enveloped
from agent.cms.names import AUTH_ENVELOPED_DATA, ENVELOPED_DATA
from agent.errors import ParseError
from tests.helpers import Dice, changed, raises

# Keys as in test_cms_signed.py, of bob; printf 'Content-Type: text/plain\r\n\r\nhot\r\n' >mime
CONTENT = b"Content-Type: text/plain\r\n\r\nhot\r\n"
# openssl cms -encrypt -binary -outform DER -in mime -aes-128-cbc bob.crt: ECDH, SHA-1 in the key derivation
AGREED = unhexlify(
    "3082013006092a864886f70d010703a08201213082011d0201023181b9a181b6020103a051a14f300906072a8648ce3d02010342"
    "00048ba4954bd4824fd220b8522277c260cf311754567f8b5bd089a255690760afda66eb9477d2e2712fec787dd5368b9daccdb4"
    "21b6b3141f4d52c70527cc872dba301806092b81051086483f0002300b0609608648016503040105304430423026300e310c300a"
    "06035504030c03626f62021473a0ac1c88165c18733e7ed6774a34602d35936c0418f7a3bfbd7e692a03e507f1c8bb2e1a185974"
    "4cb54c2d7bda305c06092a864886f70d010701301d06096086480165030401020410fceac7cee4321ab863e7068b6b5dd3158030"
    "cfe3b22eefb57258051bab81fc2447783c6f57f00d44b7fb52d206ae432ea4f84c1d0ef2ed8810644a46c1d0db1d759a"
)

# openssl cms -encrypt -binary -outform DER -in mime -aes-128-gcm -keyid -recip bob.crt
#     -keyopt ecdh_kdf_md:sha256 -aes128-wrap
AUTHENTICATED = unhexlify(
    "30820123060b2a864886f70d0109100117a08201123082010e0201003181a6a181a3020103a051a14f300906072a8648ce3d0201"
    "03420004b363b20ed5d3885f1c4a94f13427718cccb299562fcdeb224e68b4ba013edba25dbf5e41f7cf6c964babaa35e38b5074"
    "25dad1f45f95b9f12430cc12fe5c279f301506062b8104010b01300b060960864801650304010530343032a01604146720b90e36"
    "d08e2fcd2a699c7a65f40905e5fd1a0418d5dd5d4508f9a3a108ccabe5e32f1e6e1b5ae1df5e0592c2304e06092a864886f70d01"
    "0701301e06096086480165030401063011040c66ce7e8304cfed902b187b3f020110802140ab5fb524e4936191e582d9f66276c2"
    "bec03ead81acb831ebc03846928884a05d04102fe541cbb4ae60092b9bea7cb7f6d4ca"
)

# openssl cms -encrypt -binary -outform DER -in mime -aes-128-cbc -stream bob-rsa.crt: BER
TRANSPORTED = unhexlify(
    "308006092a864886f70d010703a0803080020100318201423082013e0201003026300e310c300a06035504030c03626f62021419"
    "ac6fb4dcf8f376c9d5910d7f554145f68fd285300d06092a864886f70d01010105000482010051b3f3d1d8e042a11eca4440d545"
    "a934836c5cfd3bb560386c7ad8aeb3c5ce8306b13c00b8a0dfc15091094b419ee5f34037ac01cae7d2478465724dc30a7bf3c89b"
    "c6c1d2ec8609dd060c92e8c4b6a0aef29e0e3ba6de95d39d46baccc2fbfeb2c4dfbb3204443eeaa0c44bbb49f42ea6d1214dff4e"
    "1366c540ab7d7ad8af43628e7ce361f0d5e65cb588ea2187ee76d5b96a06714e13e5b54ca17ba944a20942705e19fd7793f7cbb4"
    "b5edabf3b6a5560b6844be3619db74ff824d32b600d29745403235d66fe7b52953e94e8a0b3c7cc409f4a04930b70b330a6d1346"
    "691ec883ace294c327061f848d7f6c0503435fdba88bd1748caf642200b05d2ae856308006092a864886f70d010701301d060960"
    "864801650304010204108330917fe499ee58fe12e84763312ceda0800420dcd3e61b99baadaf8af8b9e43907af667ce6cf74f81b"
    "ea5ca07c4a686dcdd9fb041011dfd5bf55cd4613fd0f78b914f31b4f00000000000000000000"
)

BY_ISSUER = unhexlify("3026300e310c300a06035504030c03626f62021473a0ac1c88165c18733e7ed6774a34602d35936c")
BY_KEY_ID = unhexlify("80146720b90e36d08e2fcd2a699c7a65f40905e5fd1a")
RSA_BY_ISSUER = unhexlify("3026300e310c300a06035504030c03626f62021419ac6fb4dcf8f376c9d5910d7f554145f68fd285")


class Recorded(Key):
    """What bob's key did with one of these: hexadecimal arguments and results, in the order of the calls."""

    def __init__(self, identifiers, *steps):
        self.identifiers = identifiers
        self._steps = list(steps)

    def _next(self, name, *given):
        if not self._steps:
            raise ValueError("nothing more was done with the key")
        step = self._steps.pop(0)
        if step[0] != name or tuple([unhexlify(text) for text in step[1:-1]]) != given:
            raise ValueError("another step was recorded")
        return unhexlify(step[-1])

    def random(self, size):
        return bytes(size)

    def agree(self, point):
        return self._next("agree", point[:5])

    def unwrap(self, by, wrapped):
        return self._next("unwrap", by, wrapped)

    def transport(self, octets):
        return self._next("transport", octets[:5])

    def decrypt_gcm(self, key, nonce, octets, tag, beside):
        return self._next("gcm", key, nonce, octets[:5], tag, beside)

    def decrypt_cbc(self, key, start, octets):
        return self._next("cbc", key, start, octets[:5])


# The key that wraps another one, second in "unwrap", is derived here: openssl and we agree on it or nothing is read.
_PADDED = "436f6e74656e742d547970653a20746578742f706c61696e0d0a0d0a686f740d0a" + "0f" * 15
_WITH_SHA1 = (
    ("agree", "048ba4954b", "25dcb64a157745e8d458e431a92153f478a497d4ca00956f6189fb1d7ef83a53"),
    (
        "unwrap",
        "256c88ccf95b94d941a3b1525e3a1fd6",
        "f7a3bfbd7e692a03e507f1c8bb2e1a1859744cb54c2d7bda",
        "6b1c9a76c2f470d03788bb018d3f49d6",
    ),
    ("cbc", "6b1c9a76c2f470d03788bb018d3f49d6", "fceac7cee4321ab863e7068b6b5dd315", "cfe3b22eef", _PADDED),
)
_WITH_SHA256 = (
    ("agree", "04b363b20e", "4919ac68297be47ecd0b127fe86791a1c79e7b742a3aa4b6490a8eb6ab7a276e"),
    (
        "unwrap",
        "78e61a287faddf49581a934973746a56",
        "d5dd5d4508f9a3a108ccabe5e32f1e6e1b5ae1df5e0592c2",
        "1264f9615b9a200197b6e1c945872d69",
    ),
    (
        "gcm",
        "1264f9615b9a200197b6e1c945872d69",
        "66ce7e8304cfed902b187b3f",
        "40ab5fb524",
        "2fe541cbb4ae60092b9bea7cb7f6d4ca",
        "",
        _PADDED[:66],
    ),
)
_WITH_RSA = (
    ("transport", "51b3f3d1d8", "42940f5affdcd3e8c47c328f99ed27ce"),
    ("cbc", "42940f5affdcd3e8c47c328f99ed27ce", "8330917fe499ee58fe12e84763312ced", "dcd3e61b99", _PADDED),
)
CASES = (
    (AGREED, (BY_ISSUER,), _WITH_SHA1),
    (AUTHENTICATED, (BY_KEY_ID, BY_ISSUER), _WITH_SHA256),
    (TRANSPORTED, (RSA_BY_ISSUER,), _WITH_RSA),
)


def opened(data, key):
    root = decode(data)
    kind = root.take(OID).octets
    assert kind in (ENVELOPED_DATA, AUTH_ENVELOPED_DATA)
    return open_enveloped(root.take(0xA0, SEQUENCE), key, kind == AUTH_ENVELOPED_DATA)


def refused(data, key):
    return raises(ParseError, opened, data, key).status == 493


def but(step, at, text):
    """Return a recorded step with something else in one place."""
    step = list(step)
    step[at] = text
    return step


class Toy(Recipient, Key):
    """Both ends with arithmetic that hides nothing, for the structure alone."""

    def __init__(self, identifier, kind):
        self.identifier = identifier
        self.identifiers = (identifier,)
        self.kind = kind

    def random(self, size):
        return bytes([size + i for i in range(size)])

    def agree(self, point=None):
        if point is None:
            return b"\x04point", b"secret"
        if point != b"\x04point":
            raise ValueError
        return b"secret"

    def wrap(self, by, key):
        return bytes([key[i] ^ by[i % len(by)] for i in range(len(key))])

    unwrap = wrap

    def transport(self, octets):
        return bytes([c ^ 1 for c in octets])

    def encrypt(self, key, nonce, content):
        return bytes([c ^ key[0] for c in content]), self._tag(key, nonce, content)

    def decrypt_gcm(self, key, nonce, octets, tag, beside):
        content = bytes([c ^ key[0] for c in octets])
        if tag != self._tag(key, nonce, content) or beside:
            raise ValueError
        return content

    def decrypt_cbc(self, key, start, octets):
        return bytes(len(octets)) if key == self.random(len(key)) else octets  # a random key makes nonsense

    def _tag(self, key, nonce, content):
        return hashlib.sha256(key + nonce + content).digest()[:16]


def test_what_openssl_encrypted_is_read():
    """R8551-2: definite lengths and indefinite ones"""
    for data, identifiers, steps in CASES:
        assert opened(data, Recorded(identifiers, *steps)) == CONTENT


def test_what_is_for_another_key_gets_493():
    """R8591-8: without a word of why"""
    for data, _, steps in CASES:
        assert refused(data, Recorded((b"somebody", BY_ISSUER + b"x"), *steps))


def test_what_the_key_can_not_do_gets_493():
    """R8591-8: each step fails in its turn"""
    for data, identifiers, steps in CASES:
        for count in range(len(steps)):
            assert refused(data, Recorded(identifiers, *steps[:count]))


def test_padding_is_checked_to_the_last_octet():
    for end in ("00" * 15, "10" * 15, "0e" + "0f" * 14, "ff" * 15):
        steps = (_WITH_RSA[0], but(_WITH_RSA[1], -1, _PADDED[:66] + end))
        assert refused(TRANSPORTED, Recorded((RSA_BY_ISSUER,), *steps))


def test_a_key_of_another_size_than_the_cipher_asks_for_is_refused():
    steps = (("transport", "51b3f3d1d8", "42" * 32), but(_WITH_RSA[1], 1, "42" * 32))
    assert refused(TRANSPORTED, Recorded((RSA_BY_ISSUER,), *steps))


def test_a_tag_cut_short_is_refused():
    data = AUTHENTICATED[:-18] + b"\x04\x04" + AUTHENTICATED[-16:-12]
    for at in (2, 19, 23):  # the lengths of what it is in
        size = (data[at] << 8 | data[at + 1]) - 12
        data = data[:at] + bytes((size >> 8, size & 255)) + data[at + 2 :]
    steps = (_WITH_SHA256[0], _WITH_SHA256[1], but(_WITH_SHA256[2], 4, "2fe541cb"))
    assert refused(data, Recorded((BY_KEY_ID,), *steps))


def test_ciphers_that_we_do_not_have_get_493():
    for data, identifiers, steps in CASES[:2]:
        aes = unhexlify("6086480165030401")
        last = data.rfind(aes) + len(aes)
        other = data[:last] + b"\x01" + data[last + 1 :]  # ECB
        assert refused(other, Recorded(identifiers, *steps))
        assert refused(data[: last - 1] + b"\x09" + data[last:], Recorded(identifiers, *steps))
    kdf = unhexlify("2b81051086483f0002")
    assert refused(changed(AGREED, kdf, kdf[:-1] + b"\x09"), Recorded((BY_ISSUER,), *_WITH_SHA1))


def test_what_we_encrypt_is_read_again():
    """R3428-11.5, R8591-4: for a key to agree with and one to transport to, called by either name"""
    for identifier in (BY_ISSUER, BY_KEY_ID):
        for kind in ("ecdh", "rsa"):
            toy = Toy(identifier, kind)
            data = build_enveloped(CONTENT, toy)
            assert decode(data).take(OID).octets == AUTH_ENVELOPED_DATA
            assert data.find(CONTENT) < 0
            assert opened(data, toy) == CONTENT
            assert refused(data[:-1] + bytes((data[-1] ^ 1,)), toy)
            assert refused(data, Toy(RSA_BY_ISSUER, kind))


def test_keys_are_derived_for_each_size_of_the_wrapping():
    """R8591-4: AES-256 takes two rounds of SHA-1; figures by openssl kdf -kdfopt digest:... X963KDF"""
    from agent.cms.derivation import derive as _derive

    wrap = unhexlify("300b060960864801650304012d")
    for hash, extra, key in (
        ("sha1", None, "692b6ec3f522f1736589cc9f5b2bbd0f03572e973f35fbf7f3b2ca18c22451fa"),
        ("sha256", b"more", "31b9bfb79f025d1ef5e9d7445c79e6118db7c88be324669893ea8559ef913ba2"),
    ):
        assert _derive(bytes(range(32)), hash, wrap, 32, extra) == unhexlify(key)


def test_every_cut_and_nonsense_raises_parse_error_only():
    toy = Toy(BY_KEY_ID, "ecdh")
    ours = build_enveloped(CONTENT, toy)
    for size in range(len(ours)):
        raises(ParseError, decode, ours[:size])
    dice = Dice(5083)
    for _ in range(400):
        data = bytearray(ours if dice.roll(2) else AUTHENTICATED)
        data[dice.roll(len(data))] = dice.roll(256)
        try:
            root = decode(bytes(data))
            root.take(OID)
            open_enveloped(root.take(0xA0, SEQUENCE), toy, dice.roll(2) == 1)
        except ParseError:
            continue
