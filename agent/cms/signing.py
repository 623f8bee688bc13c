"""SignedData of CMS (RFC 5652 section 5), written with one signer; agent.cms.signed reads."""

from hashlib import sha256

from .der import INTEGER, OCTETS, OID, SEQUENCE, SET, encode, nest
from .names import BY_KEY_ID, CONTENT_TYPE, DATA, ECDSA, MESSAGE_DIGEST, PKCS, SHA256, SIGNED_DATA

_ALGORITHMS = {  # what we sign with
    "ecdsa": encode(SEQUENCE, encode(OID, ECDSA + b"\x02")),
    "rsa": encode(SEQUENCE, encode(OID, PKCS + b"\x01\x01"), b"\x05\x00"),
}


def build_signed(content: bytes, identifier: bytes, kind: str, sign: object, certificate: bytes = b"") -> bytes:
    """Return a ContentInfo with SignedData around content.

    identifier: the signer's certificate, in DER: issuer and serial number (a SEQUENCE), or [0] with the key identifier.
    kind: "ecdsa" or "rsa". certificate: DER, sent along.
    sign: a function of octets that returns their signature with SHA-256. It gets the signed attributes.
    """
    attributes = signed_attributes(content)
    value: bytes = sign(attributes)  # type: ignore[operator]
    version = encode(INTEGER, b"\x03" if identifier[0] == BY_KEY_ID else b"\x01")
    hash = encode(SEQUENCE, encode(OID, SHA256))
    signer = encode(
        SEQUENCE, version, identifier, hash, b"\xa0" + attributes[1:], _ALGORITHMS[kind], encode(OCTETS, value)
    )
    capsule = nest(SEQUENCE, encode(OID, DATA), *nest(0xA0, *nest(OCTETS, content)))
    certificates = encode(0xA0, certificate) if certificate else b""
    signed = nest(SEQUENCE, version, encode(SET, hash), *capsule, certificates, encode(SET, signer))
    return encode(SEQUENCE, encode(OID, SIGNED_DATA), *nest(0xA0, *signed))


def signed_attributes(content: bytes) -> bytes:
    """Return what a signature of content covers: its type and digest, as a SET.

    They hold no signing time: a message has its Date inside the content (RFC 3428 section 11).
    """
    type = encode(SEQUENCE, encode(OID, CONTENT_TYPE), encode(SET, encode(OID, DATA)))
    digest = encode(SET, encode(OCTETS, sha256(content).digest()))
    return encode(SET, type, encode(SEQUENCE, encode(OID, MESSAGE_DIGEST), digest))
