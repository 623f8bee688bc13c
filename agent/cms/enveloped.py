"""Encrypted content of CMS: AuthEnvelopedData written and read (RFC 5083), EnvelopedData read (RFC 5652 section 6).

The shell brings the ciphers, as a Recipient and a Key. Keys are agreed by ECDH with X9.63's key derivation (RFC 5753),
or sent with RSA PKCS #1 v1.5; content is encrypted with AES-GCM (RFC 5084) or AES-CBC. Not read: OAEP, passwords,
shared keys, originator certificates. Every failure gives the same 493: a peer must not learn where it failed. So a
random content key takes the place of one that can't be had, and what it makes of the content fails later (RFC 3218
section 2.3.2).
"""

import hashlib

from ..errors import ParseError
from .der import BIT_STRING, INTEGER, OCTETS, OID, SEQUENCE, SET, Element, encode
from .signed import DATA

_PKCS = b"\x2a\x86\x48\x86\xf7\x0d\x01"  # 1.2.840.113549.1
ENVELOPED_DATA = _PKCS + b"\x07\x03"
AUTH_ENVELOPED_DATA = _PKCS + b"\x09\x10\x01\x17"
_RSA = _PKCS + b"\x01\x01"
_EC_KEY = b"\x2a\x86\x48\xce\x3d\x02\x01"  # 1.2.840.10045.2.1
_AES = b"\x60\x86\x48\x01\x65\x03\x04\x01"  # 2.16.840.1.101.3.4.1
_KEY_SIZES = {  # of AES in octets, by the last octet of an identifier: CBC, key wrap and GCM for each size
    "cbc": {2: 16, 22: 24, 42: 32},
    "wrap": {5: 16, 25: 24, 45: 32},
    "gcm": {6: 16, 26: 24, 46: 32},
}
_AGREEMENTS = {  # the hash that makes a key of a shared secret
    b"\x2b\x81\x04\x01\x0b\x01": "sha256",  # dhSinglePass-stdDH-sha256kdf-scheme, 1.3.132.1.11.1
    b"\x2b\x81\x05\x10\x86\x48\x3f\x00\x02": "sha1",  # and with SHA-1, 1.3.133.16.840.63.0.2
}
_AGREEMENT = b"\x2b\x81\x04\x01\x0b\x01"
_BY_KEY_ID = 0x80


class Recipient:
    """What build_enveloped() needs of a receiver; a shell derives from it.

    identifier: its certificate, DER as in agent.cms.signed.Signature. kind: of its key, "ecdh" or "rsa".
    """

    identifier: bytes
    kind: str

    def random(self, size: int) -> bytes:
        """Return random octets."""
        raise NotImplementedError

    def agree(self) -> tuple[bytes, bytes]:
        """Return a fresh public point (uncompressed) and the secret that it shares with the receiver's key."""
        raise NotImplementedError

    def wrap(self, by: bytes, key: bytes) -> bytes:
        """Return key wrapped by another one (RFC 3394)."""
        raise NotImplementedError

    def transport(self, key: bytes) -> bytes:
        """Return key encrypted to the receiver's RSA key, PKCS #1 v1.5."""
        raise NotImplementedError

    def encrypt(self, key: bytes, nonce: bytes, content: bytes) -> tuple[bytes, bytes]:
        """Return content encrypted with AES-GCM, and its tag of 16 octets."""
        raise NotImplementedError


class Key:
    """What open_enveloped() needs of a private key; a shell derives from it. Methods raise ValueError when they fail.

    identifiers: every form in which a message may name its certificate, DER as in agent.cms.signed.Signature.
    is_reused: has the content key that was used last come before, with other content?
    """

    identifiers: tuple = ()
    is_reused = False

    def random(self, size: int) -> bytes:
        """Return random octets."""
        raise NotImplementedError

    def agree(self, point: bytes) -> bytes:
        """Return the secret shared with a public point on our curve."""
        raise NotImplementedError

    def unwrap(self, by: bytes, wrapped: bytes) -> bytes:
        """Return the key in wrapped, which the key by has wrapped (RFC 3394)."""
        raise NotImplementedError

    def transport(self, octets: bytes) -> bytes:
        """Return the plain octets of some that were encrypted to our RSA key, PKCS #1 v1.5."""
        raise NotImplementedError

    def decrypt_gcm(self, key: bytes, nonce: bytes, octets: bytes, tag: bytes, beside: bytes) -> bytes:
        """Return the plain octets, by AES-GCM; beside: octets that are authenticated but not encrypted."""
        raise NotImplementedError

    def decrypt_cbc(self, key: bytes, start: bytes, octets: bytes) -> bytes:
        """Return the plain octets, by AES-CBC, with their padding; start: the initialization vector."""
        raise NotImplementedError


def build_enveloped(content: bytes, recipient: Recipient) -> bytes:
    """Return a ContentInfo with AuthEnvelopedData around content: AES-128-GCM, for one recipient."""
    key = recipient.random(16)
    nonce = recipient.random(12)
    envelope = _build_agreement(key, recipient) if recipient.kind == "ecdh" else _build_transport(key, recipient)
    octets, tag = recipient.encrypt(key, nonce, content)
    params = encode(SEQUENCE, encode(OCTETS, nonce), encode(INTEGER, b"\x10"))
    cipher = encode(SEQUENCE, encode(OID, _AES + b"\x06"), params)
    encrypted = encode(SEQUENCE, encode(OID, DATA), cipher, encode(0x80, octets))
    inside = encode(SEQUENCE, encode(INTEGER, b"\x00"), encode(SET, envelope), encrypted, encode(OCTETS, tag))
    return encode(SEQUENCE, encode(OID, AUTH_ENVELOPED_DATA), encode(0xA0, inside))


def _build_transport(key: bytes, recipient: Recipient) -> bytes:
    version = b"\x02" if recipient.identifier[0] == _BY_KEY_ID else b"\x00"
    algorithm = encode(SEQUENCE, encode(OID, _RSA), b"\x05\x00")
    octets = encode(OCTETS, recipient.transport(key))
    return encode(SEQUENCE, encode(INTEGER, version), recipient.identifier, algorithm, octets)


def _build_agreement(key: bytes, recipient: Recipient) -> bytes:
    point, secret = recipient.agree()
    wrap = encode(SEQUENCE, encode(OID, _AES + b"\x05"))
    octets = encode(OCTETS, recipient.wrap(_derive(secret, "sha256", wrap, 16, None), key))
    originator = encode(0xA1, encode(SEQUENCE, encode(OID, _EC_KEY)), encode(BIT_STRING, b"\x00", point))
    algorithm = encode(SEQUENCE, encode(OID, _AGREEMENT), wrap)
    identifier = recipient.identifier
    if identifier[0] == _BY_KEY_ID:
        identifier = encode(0xA0, encode(OCTETS, identifier[2:]))
    keys = encode(SEQUENCE, encode(SEQUENCE, identifier, octets))
    return encode(0xA1, encode(INTEGER, b"\x03"), encode(0xA0, originator), algorithm, keys)


def _derive(secret: bytes, hash: str, wrap: bytes, size: int, extra: bytes | None) -> bytes:
    """Return the wrapping key, of size octets, that follows from a shared secret (RFC 5753 section 7.2, X9.63).

    wrap: the AlgorithmIdentifier of the key wrap, unchanged. extra: user keying material, None without any.
    """
    info = encode(SEQUENCE, wrap, b"" if extra is None else encode(0xA0, encode(OCTETS, extra)), _bits(size))
    key = b""
    count = 0
    while len(key) < size:
        count += 1
        key += getattr(hashlib, hash)(secret + bytes((0, 0, 0, count)) + info).digest()
    return key[:size]


def _bits(size: int) -> bytes:
    size *= 8
    return encode(0xA2, encode(OCTETS, bytes((0, 0, size >> 8, size & 0xFF))))


def open_enveloped(envelope: Element, key: Key, is_authenticated: bool) -> bytes:
    """Return the decrypted content of an EnvelopedData or AuthEnvelopedData element.

    key: ours, for which the element has to have a recipient. is_authenticated: it is an AuthEnvelopedData.
    Raises ParseError(493) when it can't be decrypted.
    """
    try:
        return _open(envelope, key, is_authenticated)
    except ValueError:  # of the Key
        raise ParseError("what was encrypted to our key and not changed since was expected", 493)
    except ParseError as error:
        raise ParseError(error.detail, 493)


def _open(envelope: Element, key: Key, is_authenticated: bool) -> bytes:
    envelope.take(INTEGER)
    envelope.maybe(0xA0)
    recipients = envelope.take(SET).parts
    encrypted = envelope.take(SEQUENCE)
    if encrypted.take(OID).octets != DATA:
        raise ParseError("encrypted data was expected")
    cipher = encrypted.take(SEQUENCE)
    name = cipher.take(OID).octets
    size = _key_size(name, "gcm" if is_authenticated else "cbc")
    octets = (encrypted.maybe(0x80) or encrypted.take(0xA0)).octets
    content_key = None
    for recipient in recipients:
        if content_key is None:
            content_key = _find_key(recipient, key)
    if content_key is None:
        raise ParseError("a body encrypted to our key was expected")
    spare = key.random(size)
    if len(content_key) != size:
        content_key = spare
    if is_authenticated:
        beside = envelope.maybe(0xA1)
        aad = b"" if beside is None else bytes((SET,)) + beside.raw[1:]
        nonce = cipher.take(SEQUENCE, OCTETS).octets
        tag = envelope.take(OCTETS).octets
        if not 12 <= len(tag) <= 16 or not 8 <= len(nonce) <= 64:
            raise ParseError("a tag of 12 to 16 octets was expected")
        return key.decrypt_gcm(content_key, nonce, octets, tag, aad)
    start = cipher.take(OCTETS).octets
    if len(start) != 16 or not octets or len(octets) % 16:
        raise ParseError("whole blocks of AES were expected")
    return _without_padding(key.decrypt_cbc(content_key, start, octets))


def _key_size(name: bytes, mode: str) -> int:
    size = _KEY_SIZES[mode].get(name[-1]) if name[:-1] == _AES else None
    if size is None:
        raise ParseError("AES was expected")
    return size


def _without_padding(padded: bytes) -> bytes:
    size: int = padded[-1]
    if not 1 <= size <= 16 or padded[-size:] != bytes((size,)) * size:
        raise ParseError("whole blocks of AES were expected")
    return padded[:-size]


def _find_key(recipient: Element, key: Key) -> bytes | None:
    """Return the content's key out of a RecipientInfo, b"" when it can't be had, None when it is not for us."""
    try:
        if recipient.tag == SEQUENCE:
            return _find_transported(recipient, key)
        return _find_agreed(recipient, key) if recipient.tag == 0xA1 else None
    except ValueError:  # of the Key
        return b""


def _find_transported(recipient: Element, key: Key) -> bytes | None:
    recipient.take(INTEGER)
    identifier = (recipient.maybe(SEQUENCE) or recipient.take(_BY_KEY_ID)).raw
    if identifier not in key.identifiers or recipient.take(SEQUENCE, OID).octets != _RSA:
        return None
    return key.transport(recipient.take(OCTETS).octets)


def _find_agreed(recipient: Element, key: Key) -> bytes | None:
    recipient.take(INTEGER)
    originator = recipient.take(0xA0).maybe(0xA1)
    material = recipient.maybe(0xA1)
    algorithm = recipient.take(SEQUENCE)
    hash = _AGREEMENTS.get(algorithm.take(OID).octets)
    wrap = algorithm.maybe(SEQUENCE)
    for entry in recipient.take(SEQUENCE).parts:
        by_key_id = entry.maybe(0xA0)
        identifier = entry.take(SEQUENCE).raw if by_key_id is None else encode(0x80, by_key_id.take(OCTETS).octets)
        if identifier in key.identifiers and originator is not None and hash is not None and wrap is not None:
            originator.take(SEQUENCE)
            secret = key.agree(originator.take(BIT_STRING).octets[1:])
            size = _key_size(wrap.take(OID).octets, "wrap")
            extra = None if material is None else material.take(OCTETS).octets
            return key.unwrap(_derive(secret, hash, wrap.raw, size, extra), entry.take(OCTETS).octets)
    return None
