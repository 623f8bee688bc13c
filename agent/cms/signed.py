"""SignedData of CMS (RFC 5652 section 5): written with one signer, read with any number.

This file checks that the content is unchanged, and says which octets a signature covers. The shell, which has the
keys, verifies the signature. Digests: SHA-256; when reading also SHA-384 and SHA-512, where hashlib has them. Not read:
CRLs, unsigned attributes.
"""

import hashlib

from ..compat import const
from ..date_reader import day_number
from ..errors import ParseError
from .der import GENERALIZED_TIME, INTEGER, OCTETS, OID, SEQUENCE, SET, UTC_TIME, Element, encode

_PKCS = b"\x2a\x86\x48\x86\xf7\x0d\x01"  # 1.2.840.113549.1
DATA = _PKCS + b"\x07\x01"
SIGNED_DATA = _PKCS + b"\x07\x02"
_CONTENT_TYPE = _PKCS + b"\x09\x03"
_MESSAGE_DIGEST = _PKCS + b"\x09\x04"
_SIGNING_TIME = _PKCS + b"\x09\x05"
_SHA256 = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01"  # 2.16.840.1.101.3.4.2.1, then .2 and .3
_HASHES = {_SHA256: "sha256", _SHA256[:-1] + b"\x02": "sha384", _SHA256[:-1] + b"\x03": "sha512"}
_ECDSA = b"\x2a\x86\x48\xce\x3d\x04\x03"  # 1.2.840.10045.4.3, then .2 for SHA-256
_SCHEMES = {  # kind of key and hash of a signature algorithm; None: the hash of the digest
    _PKCS + b"\x01\x01": ("rsa", None),
    _PKCS + b"\x01\x0b": ("rsa", "sha256"),
    _PKCS + b"\x01\x0c": ("rsa", "sha384"),
    _PKCS + b"\x01\x0d": ("rsa", "sha512"),
    _ECDSA + b"\x02": ("ecdsa", "sha256"),
    _ECDSA + b"\x03": ("ecdsa", "sha384"),
    _ECDSA + b"\x04": ("ecdsa", "sha512"),
}
_ALGORITHMS = {  # what we sign with
    "ecdsa": encode(SEQUENCE, encode(OID, _ECDSA + b"\x02")),
    "rsa": encode(SEQUENCE, encode(OID, _PKCS + b"\x01\x01"), b"\x05\x00"),
}
_BY_KEY_ID = 0x80  # [0] subjectKeyIdentifier
_MAX_SIGNERS = const(2)  # one with two kinds of keys; each is a signature to verify, and a chain
_MAX_CERTIFICATES = const(4)  # the signer's and three above it


class Signature:
    """The signature of one signer.

    identifier: names the certificate, in DER: issuer and serial number (a SEQUENCE), or [0] with the key identifier.
    kind: "ecdsa" or "rsa" (PKCS #1 v1.5), "" for an algorithm we don't know. hash: hashlib's name of the digest.
    covered: the octets that were signed. value: the signature itself. intact: does the content match the signed digest?
    signed_at: the signing time that the signer has stated, in Unix seconds; None without one.
    """

    __slots__ = ("covered", "hash", "identifier", "intact", "kind", "signed_at", "value")

    def __init__(self, identifier: bytes, kind: str, hash: str, covered: bytes, value: bytes) -> None:
        self.identifier = identifier
        self.kind = kind
        self.hash = hash
        self.covered = covered
        self.value = value
        self.intact = True
        self.signed_at: int | None = None


def build_signed(content: bytes, identifier: bytes, kind: str, sign: object, certificate: bytes = b"") -> bytes:
    """Return a ContentInfo with SignedData around content.

    identifier: the signer's certificate, as in Signature. kind: "ecdsa" or "rsa". certificate: DER, sent along.
    sign: a function of octets that returns their signature with SHA-256. It gets the signed attributes: type and digest
    of the content. They hold no signing time: a message has its Date inside the content (RFC 3428 section 11).
    """
    attributes = encode(SEQUENCE, encode(OID, _CONTENT_TYPE), encode(SET, encode(OID, DATA)))
    digest = encode(SET, encode(OCTETS, hashlib.sha256(content).digest()))
    attributes += encode(SEQUENCE, encode(OID, _MESSAGE_DIGEST), digest)
    value: bytes = sign(encode(SET, attributes))  # type: ignore[operator]
    version = encode(INTEGER, b"\x03" if identifier[0] == _BY_KEY_ID else b"\x01")
    hash = encode(SEQUENCE, encode(OID, _SHA256))
    signer = encode(
        SEQUENCE, version, identifier, hash, encode(0xA0, attributes), _ALGORITHMS[kind], encode(OCTETS, value)
    )
    capsule = encode(SEQUENCE, encode(OID, DATA), encode(0xA0, encode(OCTETS, content)))
    certificates = encode(0xA0, certificate) if certificate else b""
    signed = encode(SEQUENCE, version, encode(SET, hash), capsule, certificates, encode(SET, signer))
    return encode(SEQUENCE, encode(OID, SIGNED_DATA), encode(0xA0, signed))


def read_signed(signed: Element, content: bytes | None = None) -> tuple[bytes, list, list]:
    """Return (content, certificates in DER, a Signature for each signer) of a SignedData element.

    content: the signed octets of a detached signature, which has none inside. Raises ParseError.
    """
    signed.take(INTEGER)
    signed.take(SET)
    capsule = signed.take(SEQUENCE)
    kind = capsule.take(OID).octets
    inside = capsule.maybe(0xA0)
    if inside is not None:
        content = inside.take(OCTETS).octets
    if content is None:
        raise ParseError("signed content was expected")
    carried = signed.maybe(0xA0)
    certificates = [] if carried is None else [part.raw for part in carried.parts if part.tag == SEQUENCE]
    signed.maybe(0xA1)
    signers = signed.take(SET).parts
    if len(signers) > _MAX_SIGNERS or len(certificates) > _MAX_CERTIFICATES:
        raise ParseError("two signers and four certificates at most were expected")
    return content, certificates, [_read_signer(signer, kind, content) for signer in signers]


def _read_signer(signer: Element, kind: bytes, content: bytes) -> Signature:
    signer.take(INTEGER)
    identifier = (signer.maybe(SEQUENCE) or signer.take(_BY_KEY_ID)).raw
    hash = _HASHES.get(signer.take(SEQUENCE, OID).octets, "")
    attributes = signer.maybe(0xA0)
    scheme, its_hash = _SCHEMES.get(signer.take(SEQUENCE, OID).octets, ("", None))
    value = signer.take(OCTETS).octets
    digest = getattr(hashlib, hash, None) if its_hash in (None, hash) else None
    if digest is None:
        scheme = ""
    signature = Signature(identifier, scheme, hash, content, value)
    if attributes is None:
        # RFC 5652 section 5.3: another type needs them. What begins as a SET may be the attributes of somebody's
        # other signature, shown as its content.
        signature.intact = kind == DATA and content[:1] != bytes((SET,))
        return signature
    signature.covered = bytes((SET,)) + attributes.raw[1:]
    found = {_CONTENT_TYPE: b"", _MESSAGE_DIGEST: b""}
    for attribute in attributes.parts:
        name = attribute.take(OID).octets
        values = attribute.take(SET).parts
        if len(values) != 1:
            continue
        if name == _SIGNING_TIME:
            signature.signed_at = _parse_time(values[0])
        elif name in found:
            if found[name]:
                raise ParseError("each signed attribute only once was expected")
            found[name] = values[0].octets
    right = digest is not None and found[_MESSAGE_DIGEST] == digest(content).digest()
    signature.intact = right and found[_CONTENT_TYPE] == kind
    return signature


def _parse_time(element: Element) -> int | None:
    """Return the Unix seconds of a UTCTime or a GeneralizedTime in UTC; None for anything else."""
    text = element.octets
    if element.tag == UTC_TIME:
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    elif element.tag != GENERALIZED_TIME:
        return None
    if len(text) != 15 or not text[:14].isdigit() or text[14:] != b"Z":
        return None
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    hour, minute, second = int(text[8:10]), int(text[10:12]), int(text[12:14])
    if year < 1970 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return None
    days = day_number(year, month, day)
    if day < 1 or days >= day_number(year + month // 12, month % 12 + 1, 1):
        return None
    return (days * 24 + hour) * 3600 + minute * 60 + second
