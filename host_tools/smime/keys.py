"""Keys and certificates for S/MIME (RFC 8591), out of PEM files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from sipmote.agent.cms.certificate import issuer_and_serial
from sipmote.agent.cms.der import encode
from sipmote.agent.errors import ParseError
from sipmote.errors import ToolError

HOW = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext subjectAltName=URI:sip:you@example.org"
_HOW_BARE = "openssl pkcs12 -nodes, or openssl pkey and then the certificate behind it, makes one without"
_LEAST_RSA = 2048  # bits
_MOST_RSA = 8192  # what is longer costs a receiver more than a message may
_FOR_MAIL = (ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
_SCHEMES = ("sip:", "sips:", "im:")


@dataclass(frozen=True)
class Identity:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: x509.Certificate


def read_identity(option: str, path: str) -> Identity:
    """Return key and certificate out of one PEM file; raises ToolError that names option and file."""
    data = _read(option, path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise ToolError(f"{option} {path}: the key has a password: {_HOW_BARE}") from None
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise ToolError(f"{option} {path}: a private key in PEM was expected; of a .p12 file {_HOW_BARE}") from None
    for certificate in _certificates(option, path, data):
        if certificate.public_key() == key.public_key():
            check_kind(option, path, certificate)
            assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
            return Identity(key, certificate)
    raise ToolError(f"{option} {path}: no certificate in it belongs to its key")


def read_certificates(option: str, path: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, one at least; raises ToolError."""
    return _certificates(option, path, _read(option, path))


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ToolError(f"{option} {path}: {error.strerror}") from None


def _certificates(option: str, path: str, data: bytes) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ToolError(f"{option} {path}: a certificate in PEM was expected in it, e.g. made by {HOW}") from None
    if not all(load_certificate(one.public_bytes(serialization.Encoding.DER)) for one in found):
        raise ToolError(f"{option} {path}: it has a certificate with extensions or a key that can't be read")
    return found


def check_kind(option: str, path: str, certificate: x509.Certificate) -> None:
    """Raise ToolError for a key that we can't use."""
    if kind_of(certificate) is None:
        sizes = f"{_LEAST_RSA} to {_MOST_RSA} bits"
        raise ToolError(f"{option} {path}: a key on the curve P-256, or RSA of {sizes}, was expected")


def kind_of(certificate: x509.Certificate) -> str | None:
    """Return "ec" or "rsa", None for a key that we can't use."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ec"
    return "rsa" if is_rsa(key) else None


def is_rsa(key: object) -> TypeGuard[rsa.RSAPublicKey]:
    """Is this an RSA key of a size that we take?"""
    return isinstance(key, rsa.RSAPublicKey) and _LEAST_RSA <= key.key_size <= _MOST_RSA


def may_sign(certificate: x509.Certificate) -> bool:
    """May its key sign messages, by its key usage (RFC 8550 section 4.4.2)?"""
    usage = _key_usage(certificate)
    return usage is None or usage.digital_signature or usage.content_commitment


def may_receive(certificate: x509.Certificate) -> bool:
    """May messages be encrypted to it, by its key usage: to agree on a key with, or to send one to?"""
    usage = _key_usage(certificate)
    return usage is None or (usage.key_agreement if kind_of(certificate) == "ec" else usage.key_encipherment)


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def allows_mail(certificate: x509.Certificate) -> bool:
    """May it be used for S/MIME, by its extended key usage (RFC 8550 section 4.4.4)?"""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(purpose in _FOR_MAIL for purpose in usage)


def has_unknown(certificate: x509.Certificate) -> bool:
    """Has it a critical extension that nobody here knows, so that it may not be used (RFC 5280 section 4.2)?"""
    return any(one.critical and isinstance(one.value, x509.UnrecognizedExtension) for one in certificate.extensions)


def names(certificate: x509.Certificate) -> list[str]:
    """Return the SIP and IM URIs that a certificate is for (RFC 8591 section 7)."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    return [uri for uri in uris if uri.lower().startswith(_SCHEMES)]


def identifiers(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """Return what CMS calls a certificate by, the shortest first."""
    by_issuer = issuer_and_serial(certificate.public_bytes(serialization.Encoding.DER))
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return (by_issuer,)
    return (encode(0x80, extension.value.digest), by_issuer)


def load_certificate(octets: bytes) -> x509.Certificate | None:
    """Return a stranger's certificate (DER), None for one that can't be read to the end: it vouches for nothing."""
    try:
        certificate = x509.load_der_x509_certificate(octets)
        certificate.public_key()
        return certificate if identifiers(certificate) and certificate.extensions is not None else None
    except (ParseError, ValueError, exceptions.UnsupportedAlgorithm, x509.DuplicateExtension):
        return None
    except (x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return None
