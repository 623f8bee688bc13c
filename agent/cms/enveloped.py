"""Encrypted content of CMS, read: AuthEnvelopedData (RFC 5083) and EnvelopedData (RFC 5652 section 6).

The shell brings the ciphers, as a Key. Keys are agreed by ECDH with X9.63's key derivation (RFC 5753), shared before,
or sent with RSA PKCS #1 v1.5; content is encrypted with AES-GCM (RFC 5084) or AES-CBC. Not read: OAEP, passwords,
originator certificates. Every failure gives the same 493: a peer must not learn where it failed. So a random content
key takes the place of one that can't be had, and what it makes of the content fails later (RFC 3218 section 2.3.2).
"""

from ..errors import ParseError
from .der import BIT_STRING, INTEGER, OCTETS, OID, SEQUENCE, SET, encode
from .der_reader import Element
from .derivation import derive
from .names import AES, AGREEMENT, BY_KEY_ID, DATA, RSA

_KEY_SIZES = {  # of AES in octets, by the last octet of an identifier: CBC, key wrap and GCM for each size
    "cbc": {2: 16, 22: 24, 42: 32},
    "wrap": {5: 16, 25: 24, 45: 32},
    "gcm": {6: 16, 26: 24, 46: 32},
}
_AGREEMENTS = {  # the hash that makes a key of a shared secret
    AGREEMENT: "sha256",
    b"\x2b\x81\x05\x10\x86\x48\x3f\x00\x02": "sha1",  # the same with SHA-1, 1.3.133.16.840.63.0.2
}


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

    def shared(self, name: bytes) -> bytes | None:
        """Return the AES key that we have shared before under a name, None for a name that we don't know."""
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
    size = _KEY_SIZES[mode].get(name[-1]) if name[:-1] == AES else None
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
        if recipient.tag == 0xA2:
            return _find_shared(recipient, key)
        return _find_agreed(recipient, key) if recipient.tag == 0xA1 else None
    except ValueError:  # of the Key
        return b""


def _find_transported(recipient: Element, key: Key) -> bytes | None:
    recipient.take(INTEGER)
    identifier = (recipient.maybe(SEQUENCE) or recipient.take(BY_KEY_ID)).raw
    if identifier not in key.identifiers or recipient.take(SEQUENCE, OID).octets != RSA:
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
            return key.unwrap(derive(secret, hash, wrap.raw, size, extra), entry.take(OCTETS).octets)
    return None


def _find_shared(recipient: Element, key: Key) -> bytes | None:
    recipient.take(INTEGER)
    shared = key.shared(recipient.take(SEQUENCE, OCTETS).octets)
    if shared is None or len(shared) != _key_size(recipient.take(SEQUENCE, OID).octets, "wrap"):
        return None
    return key.unwrap(shared, recipient.take(OCTETS).octets)
