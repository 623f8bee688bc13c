"""Certificates as nobody should issue them: written octet by octet, so that each part can be wrong."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from sipmote.agent.cms.der import BIT_STRING, GENERALIZED_TIME, INTEGER, OCTETS, OID, SEQUENCE, SET, encode

SAN = b"\x55\x1d\x11"
NAME_CONSTRAINTS = b"\x55\x1d\x1e"
NOBODY_KNOWS = b"\x2a\x03\x04"
_ALGORITHMS = {
    ("ec", "sha256"): bytes.fromhex("2a8648ce3d040302"),
    ("ec", "sha1"): bytes.fromhex("2a8648ce3d0401"),
    ("rsa", "sha256"): bytes.fromhex("2a864886f70d01010b"),
    ("rsa", "sha1"): bytes.fromhex("2a864886f70d010105"),
    ("rsa", "md5"): bytes.fromhex("2a864886f70d010104"),
    ("ed", "sha256"): bytes.fromhex("2b6570"),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha1": hashes.SHA1(), "md5": hashes.MD5()}


@dataclass(frozen=True)
class Forged:
    """A key, a name, and a certificate of both."""

    key: Any
    name: bytes  # DER of its subject
    der: bytes
    by_issuer: bytes  # what CMS calls it

    @property
    def certificate(self) -> x509.Certificate:
        """As a reader trusts it."""
        return x509.load_der_x509_certificate(self.der)


def extension(value: x509.ExtensionType, critical: bool = True) -> bytes:
    """Return an extension in DER."""
    return raw_extension(bytes.fromhex(_oid(value.oid)), value.public_bytes(), critical)


def raw_extension(oid: bytes, value: bytes, critical: bool = True) -> bytes:
    """Return an extension in DER, of a value in DER."""
    return encode(SEQUENCE, encode(OID, oid), b"\x01\x01\xff" if critical else b"", encode(OCTETS, value))


def uris(*names: bytes, tag: int = 0x86) -> bytes:
    """Return a subjectAltName with these URIs; with another tag, what that is of."""
    return raw_extension(SAN, encode(SEQUENCE, *[encode(tag, name) for name in names]), False)


def usage(*bits: str) -> bytes:
    """Return a key usage with these bits."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return extension(x509.KeyUsage(**{name: name in bits for name in names}))


def purposes(*oids: str, critical: bool = False) -> bytes:
    """Return an extended key usage, by the last numbers behind 1.3.6.1.5.5.7.3, or by whole identifiers."""
    full = [x509.ObjectIdentifier(oid if "." in oid else f"1.3.6.1.5.5.7.3.{oid}") for oid in oids]
    return extension(x509.ExtendedKeyUsage(full), critical)


def authority(ca: bool = True, length: int | None = None) -> bytes:
    """Return basic constraints."""
    return extension(x509.BasicConstraints(ca, length))


def forge(
    *extensions: bytes,
    by: Forged | None = None,
    key: Any = None,
    name: str = "somebody",
    issuer: str | None = None,
    days: tuple[int, int] = (-1, 30),
    hash: str = "sha256",
    inner_hash: str | None = None,
    version: int | None = 2,
    serial: bytes | None = None,
    signed_by: Any = None,
) -> Forged:
    """Return a certificate; by: its issuer, itself if None. issuer, signed_by, inner_hash: what it only pretends."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    its_issuer = _name(issuer) if issuer else subject if by is None else by.name
    number = encode(INTEGER, b"\x01" + os.urandom(15) if serial is None else serial)
    signing = signed_by or (key if by is None else by.key)
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    tbs = encode(
        SEQUENCE,
        b"" if version is None else encode(0xA0, encode(INTEGER, bytes((version,)))),
        number,
        _algorithm(signing, inner_hash or hash),
        its_issuer,
        encode(SEQUENCE, _time(days[0]), _time(days[1])),
        subject,
        spki,
        encode(0xA3, encode(SEQUENCE, *extensions)) if extensions else b"",
    )
    der = encode(SEQUENCE, tbs, _algorithm(signing, hash), encode(BIT_STRING, b"\0", _sign(signing, tbs, hash)))
    return Forged(key, subject, der, encode(SEQUENCE, its_issuer, number))


def _name(text: str) -> bytes:
    attribute = encode(SEQUENCE, encode(OID, b"\x55\x04\x03"), encode(0x0C, text.encode()))
    return encode(SEQUENCE, encode(SET, attribute))


def _time(days: int) -> bytes:
    moment = datetime.now(UTC) + timedelta(days=days)
    if moment.year < 2050:
        return encode(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return encode(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def kind_of(key: Any) -> str:
    """Return "rsa", "ec" or "ed"."""
    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ed" if isinstance(key, ed25519.Ed25519PrivateKey) else "ec"


def _algorithm(key: Any, hash: str) -> bytes:
    return encode(SEQUENCE, encode(OID, _ALGORITHMS[kind_of(key), hash]), b"\x05\0" if kind_of(key) == "rsa" else b"")


def _sign(key: Any, octets: bytes, hash: str) -> bytes:
    if kind_of(key) == "rsa":
        return bytes(key.sign(octets, padding.PKCS1v15(), _HASHES[hash]))
    return bytes(key.sign(octets) if kind_of(key) == "ed" else key.sign(octets, ec.ECDSA(_HASHES[hash])))


def _oid(oid: x509.ObjectIdentifier) -> str:
    numbers = [int(number) for number in oid.dotted_string.split(".")]
    assert all(number < 128 for number in numbers)
    return bytes([numbers[0] * 40 + numbers[1], *numbers[2:]]).hex()


def chain(*certificates: Forged) -> Sequence[bytes]:
    """Return certificates as they are sent along."""
    return [one.der for one in certificates]
