"""Encrypted bodies as older peers make them, and worse: AES-CBC, with nothing that shows a change."""

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from sipmote.agent.cms.der import BIT_STRING, INTEGER, OCTETS, OID, SEQUENCE, SET, encode
from sipmote.agent.cms.names import AUTH_ENVELOPED_DATA, DATA, ENVELOPED_DATA
from sipmote.smime.keys import Identity, identifiers

CBC = b"application/pkcs7-mime;smime-type=enveloped-data"
_AES = bytes.fromhex("6086480165030401")
_RSA = bytes.fromhex("2a864886f70d010101")
_EC_KEY = bytes.fromhex("2a8648ce3d0201")
_AGREEMENT = bytes.fromhex("2b8104010b01")


@dataclass(frozen=True)
class Sealed:
    """AES-128-CBC for one receiver, part by part. key: of the content; recipient: DER, with that key inside."""

    key: bytes
    recipient: bytes
    start: bytes
    octets: bytes

    def body(self, start: bytes | None = None, octets: bytes | None = None, recipient: bytes | None = None) -> bytes:
        """Return it as a body, with other parts in place of its own."""
        cipher = encode(SEQUENCE, encode(OID, _AES + b"\x02"), encode(OCTETS, self.start if start is None else start))
        octets = self.octets if octets is None else octets
        content = encode(SEQUENCE, encode(OID, DATA), cipher, encode(0x80, octets))
        inside = encode(SEQUENCE, encode(INTEGER, b"\2"), encode(SET, recipient or self.recipient), content)
        return encode(SEQUENCE, encode(OID, ENVELOPED_DATA), encode(0xA0, inside))


def with_another_end(octets: bytes) -> bytes:
    """Return octets of which the last is another one: of a signature any may be the right one."""
    return octets[:-1] + bytes((octets[-1] ^ 1,))


def seal(receiver: Identity, content: bytes, padded: bytes | None = None, key: bytes | None = None) -> Sealed:
    """Encrypt a MIME entity. padded: whole blocks in its place. key: that the receiver gets, of any size."""
    if padded is None:
        size = 16 - len(content) % 16
        padded = content + bytes((size,)) * size
    right, start = os.urandom(16), os.urandom(16)
    encryptor = Cipher(algorithms.AES(right), modes.CBC(start)).encryptor()
    octets = encryptor.update(padded) + encryptor.finalize()
    recipient = recipient_info(receiver, right if key is None else key)
    return Sealed(right, recipient, start, octets)


def authenticated(receiver: Identity, content: bytes) -> bytes:
    """Encrypt a MIME entity, or what is none, with AES-GCM; returns a body."""
    key, nonce = os.urandom(16), os.urandom(12)
    octets = AESGCM(key).encrypt(nonce, content, None)
    cipher = encode(SEQUENCE, encode(OID, _AES + b"\x06"), encode(SEQUENCE, encode(OCTETS, nonce), b"\2\1\x10"))
    encrypted = encode(SEQUENCE, encode(OID, DATA), cipher, encode(0x80, octets[:-16]))
    parts = encode(INTEGER, b"\0"), encode(SET, recipient_info(receiver, key)), encrypted, encode(OCTETS, octets[-16:])
    return encode(SEQUENCE, encode(OID, AUTH_ENVELOPED_DATA), encode(0xA0, encode(SEQUENCE, *parts)))


def recipient_info(receiver: Identity, key: bytes) -> bytes:
    """Return a RecipientInfo that gives receiver this key."""
    called = identifiers(receiver.certificate)[0]
    public = receiver.key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        algorithm = encode(SEQUENCE, encode(OID, _RSA), b"\5\0")
        octets = encode(OCTETS, public.encrypt(key, padding.PKCS1v15()))
        return encode(SEQUENCE, encode(INTEGER, b"\2"), called, algorithm, octets)
    own = ec.generate_private_key(public.curve)
    wrap = encode(SEQUENCE, encode(OID, _AES + b"\5"))
    info = encode(SEQUENCE, wrap, encode(0xA2, encode(OCTETS, b"\0\0\0\x80")))
    by = X963KDF(hashes.SHA256(), 16, info).derive(own.exchange(ec.ECDH(), public))
    form = serialization.PublicFormat.UncompressedPoint
    point = own.public_key().public_bytes(serialization.Encoding.X962, form)
    originator = encode(0xA1, encode(SEQUENCE, encode(OID, _EC_KEY)), encode(BIT_STRING, b"\0", point))
    algorithm = encode(SEQUENCE, encode(OID, _AGREEMENT), wrap)
    entry = encode(SEQUENCE, encode(0xA0, encode(OCTETS, called[2:])), encode(OCTETS, keywrap.aes_key_wrap(by, key)))
    return encode(0xA1, encode(INTEGER, b"\3"), encode(0xA0, originator), algorithm, encode(SEQUENCE, entry))
