"""SignedData of CMS (RFC 5652 section 5), read with any number of signers; agent.cms.signing writes.

This file checks that the content is unchanged, and says which octets a signature covers. The shell, which has the
keys, verifies the signature. Digests: SHA-256; when reading also SHA-384 and SHA-512, where hashlib has them. Not read:
CRLs, unsigned attributes.
"""

import hashlib

from ..compat import const
from ..date_reader import day_number
from ..errors import ParseError
from .der import GENERALIZED_TIME, INTEGER, OCTETS, OID, SEQUENCE, SET, UTC_TIME
from .der_reader import Element
from .names import BY_KEY_ID, CONTENT_TYPE, DATA, ECDSA, MESSAGE_DIGEST, PKCS, RSA, SHA256

_SIGNING_TIME = PKCS + b"\x09\x05"
_HASHES = {SHA256: "sha256", SHA256[:-1] + b"\x02": "sha384", SHA256[:-1] + b"\x03": "sha512"}
_SCHEMES = {  # kind of key and hash of a signature algorithm; None: the hash of the digest
    RSA: ("rsa", None),
    PKCS + b"\x01\x0b": ("rsa", "sha256"),
    PKCS + b"\x01\x0c": ("rsa", "sha384"),
    PKCS + b"\x01\x0d": ("rsa", "sha512"),
    ECDSA + b"\x02": ("ecdsa", "sha256"),
    ECDSA + b"\x03": ("ecdsa", "sha384"),
    ECDSA + b"\x04": ("ecdsa", "sha512"),
}
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
    identifier = (signer.maybe(SEQUENCE) or signer.take(BY_KEY_ID)).raw
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
    found = {CONTENT_TYPE: b"", MESSAGE_DIGEST: b""}
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
    right = digest is not None and found[MESSAGE_DIGEST] == digest(content).digest()
    signature.intact = right and found[CONTENT_TYPE] == kind
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
