"""AuthEnvelopedData of CMS (RFC 5083), written for one recipient: AES-128-GCM (RFC 5084).

The shell brings the ciphers, as a Recipient. The content's key is wrapped by one that ECDH agrees on (RFC 5753) or by
one that both have shared before, or it is sent with RSA PKCS #1 v1.5. agent.cms.enveloped reads.
"""

from .der import BIT_STRING, INTEGER, OCTETS, OID, SEQUENCE, SET, encode, nest
from .derivation import derive
from .names import AES, AGREEMENT, AUTH_ENVELOPED_DATA, BY_KEY_ID, DATA, RSA

_EC_KEY = b"\x2a\x86\x48\xce\x3d\x02\x01"  # 1.2.840.10045.2.1


class Recipient:
    """What build_enveloped() needs of a receiver; a shell derives from it.

    kind: of its key, "ecdh", "rsa", or "shared" for one of AES that both have. identifier: of its certificate, in DER
    as in build_signed(); of a shared key the name.
    """

    identifier: bytes
    kind: str

    def random(self, size: int) -> bytes:
        """Return random octets."""
        raise NotImplementedError

    def agree(self) -> tuple[bytes, bytes]:
        """Return a fresh public point (uncompressed) and the secret that it shares with the receiver's key."""
        raise NotImplementedError

    def wrap(self, by: bytes | None, key: bytes) -> bytes:
        """Return key wrapped by another one (RFC 3394), None for the one of 16 octets that was shared before."""
        raise NotImplementedError

    def transport(self, key: bytes) -> bytes:
        """Return key encrypted to the receiver's RSA key, PKCS #1 v1.5."""
        raise NotImplementedError

    def encrypt(self, key: bytes, nonce: bytes, content: bytes) -> tuple[bytes, bytes]:
        """Return content encrypted with AES-GCM, and its tag of 16 octets."""
        raise NotImplementedError


def build_enveloped(content: bytes, recipient: Recipient) -> bytes:
    """Return a ContentInfo with AuthEnvelopedData around content: AES-128-GCM, for one recipient."""
    return b"".join(enveloped_pieces(content, recipient))


def enveloped_pieces(content: bytes, recipient: Recipient) -> tuple[bytes, ...]:
    """Return the pieces of what build_enveloped() returns, for who has to find memory for the whole first."""
    key = recipient.random(16)
    nonce = recipient.random(12)
    build = {"ecdh": _build_agreement, "rsa": _build_transport, "shared": _build_shared}[recipient.kind]
    envelope = build(key, recipient)
    octets, tag = recipient.encrypt(key, nonce, content)
    params = encode(SEQUENCE, encode(OCTETS, nonce), encode(INTEGER, b"\x10"))
    cipher = encode(SEQUENCE, encode(OID, AES + b"\x06"), params)
    encrypted = nest(SEQUENCE, encode(OID, DATA), cipher, *nest(0x80, octets))
    inside = nest(SEQUENCE, encode(INTEGER, b"\x00"), encode(SET, envelope), *encrypted, encode(OCTETS, tag))
    return nest(SEQUENCE, encode(OID, AUTH_ENVELOPED_DATA), *nest(0xA0, *inside))


def _build_transport(key: bytes, recipient: Recipient) -> bytes:
    version = b"\x02" if recipient.identifier[0] == BY_KEY_ID else b"\x00"
    algorithm = encode(SEQUENCE, encode(OID, RSA), b"\x05\x00")
    octets = encode(OCTETS, recipient.transport(key))
    return encode(SEQUENCE, encode(INTEGER, version), recipient.identifier, algorithm, octets)


def _build_agreement(key: bytes, recipient: Recipient) -> bytes:
    point, secret = recipient.agree()
    wrap = encode(SEQUENCE, encode(OID, AES + b"\x05"))
    octets = encode(OCTETS, recipient.wrap(derive(secret, "sha256", wrap, 16, None), key))
    originator = encode(0xA1, encode(SEQUENCE, encode(OID, _EC_KEY)), encode(BIT_STRING, b"\x00", point))
    algorithm = encode(SEQUENCE, encode(OID, AGREEMENT), wrap)
    identifier = recipient.identifier
    if identifier[0] == BY_KEY_ID:
        identifier = encode(0xA0, encode(OCTETS, identifier[2:]))
    keys = encode(SEQUENCE, encode(SEQUENCE, identifier, octets))
    return encode(0xA1, encode(INTEGER, b"\x03"), encode(0xA0, originator), algorithm, keys)


def _build_shared(key: bytes, recipient: Recipient) -> bytes:
    name = encode(SEQUENCE, encode(OCTETS, recipient.identifier))
    wrap = encode(SEQUENCE, encode(OID, AES + b"\x05"))
    return encode(0xA2, encode(INTEGER, b"\x04"), name, wrap, encode(OCTETS, recipient.wrap(None, key)))
