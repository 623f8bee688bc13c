"""Keys and certificates for S/MIME (RFC 8591) out of PEM files, and what they make and say of a message.

The arithmetic is that of the package cryptography; what it is applied to comes from agent.cms.smime.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import verification

from sipmote.agent.cms import enveloped as cms_enveloped
from sipmote.agent.cms import smime
from sipmote.agent.cms.der import encode
from sipmote.agent.cms.signed import Signature, build_signed
from sipmote.agent.errors import ParseError
from sipmote.errors import ToolError
from sipmote.inbox.store import person

GOOD = "good"  # states of a signature: it is the author's, vouched for, and of this content and its date
UNDATED = "undated"  # good, but nothing says when: anybody may send it again, for ever
MISMATCH = "mismatch"  # its certificate names somebody else than the message
UNTRUSTED = "untrusted"  # nobody we trust vouches for its certificate
UNKNOWN = "unknown"  # there is no certificate to check it with, or no algorithm
BAD = "bad"  # it is not of this content, or not by this certificate
_STATES = (GOOD, UNDATED, MISMATCH, UNTRUSTED, UNKNOWN, BAD)  # best first
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_SCHEMES = ("sip:", "sips:", "im:")
_HOW = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext subjectAltName=URI:sip:you@example.org"
_LEAST_RSA = 2048  # bits
_LONGEST = 72  # octets of a signature with P-256


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a signature. signer: the first SIP URI of its certificate; reason: why it isn't good."""

    state: str
    signer: str | None
    reason: str
    signed_at: int | None  # Unix seconds that the signature covers
    digest: str  # of what the signature covers: the same again is a replay

    @property
    def is_good(self) -> bool:
        """Is the message its author's, and of the time it says?"""
        return self.state == GOOD

    def line(self) -> dict[str, str]:
        """Return what machines are told."""
        told = {"state": self.state, "signer": self.signer, "reason": self.reason}
        return {key: value for key, value in told.items() if value}


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
        raise ToolError(f"{option} {path}: the key has a password: take it off with openssl pkey -in {path}") from None
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise ToolError(f"{option} {path}: a private key in PEM was expected (openssl pkey shows one)") from None
    for certificate in _certificates(option, path, data):
        if certificate.public_key() == key.public_key():
            _check_kind(option, path, certificate)
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
        raise ToolError(f"{option} {path}: a certificate in PEM was expected in it, e.g. made by {_HOW}") from None
    if not all(_load(one.public_bytes(serialization.Encoding.DER)) for one in found):
        raise ToolError(f"{option} {path}: it has a certificate with extensions or a key that can't be read")
    return found


def _check_kind(option: str, path: str, certificate: x509.Certificate) -> None:
    """Raise ToolError for a key that we can't use."""
    if _kind(certificate) is None:
        raise ToolError(f"{option} {path}: a key on the curve P-256, or RSA of {_LEAST_RSA} bits or more, was expected")


def _kind(certificate: x509.Certificate) -> str | None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ec"
    return "rsa" if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA else None


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
    by_issuer = smime.issuer_and_serial(certificate.public_bytes(serialization.Encoding.DER))
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return (by_issuer,)
    return (encode(0x80, extension.value.digest), by_issuer)


class Writer:
    """Signs with one key, encrypts to one certificate, or does both."""

    def __init__(self, signer: Identity | None, receiver: x509.Certificate | None, with_certificate: bool) -> None:
        self._signer = signer
        self._receiver = receiver
        self._with_certificate = with_certificate

    def protect(self, content_type: bytes, body: bytes, to_measure: bool = False) -> tuple[bytes, bytes]:
        """Return content type and octets of a body, signed, then encrypted.

        to_measure: make them as long as they may become, with nothing for a signature; those of ECDSA vary.
        """
        if self._signer is not None:
            content_type, body = smime.SIGNED, self._sign(self._signer, smime.entity(content_type, body), to_measure)
        if self._receiver is not None:
            recipient = _Recipient(self._receiver)
            body = cms_enveloped.build_enveloped(smime.entity(content_type, body), recipient)
            content_type = smime.ENCRYPTED
        return content_type, body

    def _sign(self, signer: Identity, content: bytes, to_measure: bool) -> bytes:
        key = signer.key
        carried = signer.certificate.public_bytes(serialization.Encoding.DER) if self._with_certificate else b""

        def sign(octets: bytes) -> bytes:
            if isinstance(key, rsa.RSAPrivateKey):
                return key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
            return bytes(_LONGEST) if to_measure else key.sign(octets, ec.ECDSA(hashes.SHA256()))

        kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa"
        return build_signed(content, identifiers(signer.certificate)[0], kind, sign, carried)


def writer(sign: str | None, encrypt_to: str | None, with_certificate: bool) -> Writer:
    """Return the Writer for the options of `send`; raises ToolError."""
    receiver = None
    if encrypt_to:
        receiver = read_certificates("--encrypt-to", encrypt_to)[0]
        _check_kind("--encrypt-to", encrypt_to, receiver)
        if receiver.not_valid_after_utc < datetime.now(UTC):
            raise ToolError(f"--encrypt-to {encrypt_to}: expired at {receiver.not_valid_after_utc:%F}: get a newer one")
    return Writer(read_identity("--sign", sign) if sign else None, receiver, with_certificate)


def signing_name(path: str, sender: str | None) -> str:
    """Return whom messages signed with a file are from: sender, or the first name that the certificate has.

    Raises ToolError when the certificate doesn't say so: receivers would take the signature for somebody else's.
    """
    found = names(read_identity("--sign", path).certificate)
    if not found:
        raise ToolError(f"--sign {path}: its certificate names no SIP URI, e.g. made by {_HOW}")
    if sender is not None and person(sender) not in map(person, found):
        raise ToolError(f"--sign {path} is for {found[0]}: leave --from {sender} out, or take the file of that one")
    return sender or found[0]


class _Recipient(cms_enveloped.Recipient):
    """The arithmetic of encrypting to a certificate."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self.identifier = identifiers(certificate)[0]
        self.kind = "ecdh" if _kind(certificate) == "ec" else "rsa"
        self._key: Any = certificate.public_key()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def agree(self) -> tuple[bytes, bytes]:
        own = ec.generate_private_key(self._key.curve)
        form = serialization.PublicFormat.UncompressedPoint
        return own.public_key().public_bytes(serialization.Encoding.X962, form), own.exchange(ec.ECDH(), self._key)

    def wrap(self, by: bytes, key: bytes) -> bytes:
        return keywrap.aes_key_wrap(by, key)

    def transport(self, key: bytes) -> bytes:
        octets: bytes = self._key.encrypt(key, padding.PKCS1v15())
        return octets

    def encrypt(self, key: bytes, nonce: bytes, content: bytes) -> tuple[bytes, bytes]:
        octets = AESGCM(key).encrypt(nonce, content, None)
        return octets[:-16], octets[-16:]


class OurKey(cms_enveloped.Key):
    """The arithmetic of decrypting with our key."""

    def __init__(self, identity: Identity) -> None:
        self.identifiers = identifiers(identity.certificate)
        self._key = identity.key

    def agree(self, point: bytes) -> bytes:
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            raise ValueError
        public = ec.EllipticCurvePublicKey.from_encoded_point(self._key.curve, point)  # ValueError off the curve
        return self._key.exchange(ec.ECDH(), public)

    def unwrap(self, by: bytes, wrapped: bytes) -> bytes:
        try:
            return keywrap.aes_key_unwrap(by, wrapped)
        except keywrap.InvalidUnwrap:
            raise ValueError from None

    def transport(self, octets: bytes) -> bytes:
        if not isinstance(self._key, rsa.RSAPrivateKey):
            raise ValueError
        return self._key.decrypt(octets, padding.PKCS1v15())

    def decrypt_gcm(self, key: bytes, nonce: bytes, octets: bytes, tag: bytes, beside: bytes) -> bytes:
        decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, tag, 12)).decryptor()
        decryptor.authenticate_additional_data(beside)
        try:
            return decryptor.update(octets) + decryptor.finalize()
        except exceptions.InvalidTag:
            raise ValueError from None

    def decrypt_cbc(self, key: bytes, start: bytes, octets: bytes) -> bytes:
        decryptor = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
        return decryptor.update(octets) + decryptor.finalize()


class Reader:
    """Decrypts with one key, and judges signatures by certificates that are trusted.

    A trusted certificate that names a SIP URI vouches for itself alone; one that names none and is a CA vouches for
    what it has issued.
    """

    def __init__(self, identity: Identity | None, trusted: Sequence[x509.Certificate]) -> None:
        self._key = None if identity is None else OurKey(identity)
        self._trusted = list(trusted)
        self._authorities = [one for one in trusted if not names(one) and _is_authority(one)]

    def open(self, content_type: bytes, body: bytes) -> smime.Opened:
        """Take S/MIME off a body. Raises ParseError, with 493 for what can't be decrypted."""
        return smime.open_body(content_type, body, self._key)

    def judge(self, opened: smime.Opened, author: str, unix: int | None) -> Verdict | None:
        """Say what the signatures of a body are worth, the best one's verdict if there are several; None without any.

        author: the URI that it says it is from. unix: the Unix seconds that it says it is of, None when it doesn't.
        """
        carried = [one for one in map(_load, opened.certificates) if one is not None]
        verdicts = []
        for signature in opened.signatures:
            state, signer, reason = self._weigh(signature, carried, author)
            at = signature.signed_at if unix is None else unix
            if state == GOOD and at is None:
                state, reason = UNDATED, "no date is signed"
            verdicts.append(Verdict(state, signer, reason, at, hashlib.sha256(signature.covered).hexdigest()))
        return min(verdicts, key=lambda verdict: _STATES.index(verdict.state), default=None)

    def _weigh(self, signature: Signature, carried: list[x509.Certificate], author: str) -> tuple[str, str | None, str]:
        """Return state, signer and reason of a verdict."""
        if not signature.kind:
            return UNKNOWN, None, "an algorithm that we don't have"
        certificate = _find(signature.identifier, [*self._trusted, *carried])
        if certificate is None:
            return UNKNOWN, None, "its certificate is neither with it nor among the trusted ones"
        found = names(certificate)
        signer = found[0] if found else certificate.subject.rfc4514_string()
        if not signature.intact or not _is_by(certificate, signature):
            return BAD, signer, "the content or the signature was changed"
        reason = self._distrust(certificate, carried)
        if reason:
            return UNTRUSTED, signer, reason
        if person(author) not in map(person, found):
            return MISMATCH, signer, f"the message says it is from {author}"
        return GOOD, signer, ""

    def _distrust(self, certificate: x509.Certificate, carried: list[x509.Certificate]) -> str:
        """Return why a certificate isn't trusted to sign, "" when it is."""
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            return f"its certificate is valid from {first:%F} to {last:%F}"
        if not _may_sign(certificate):
            return "its certificate is not for signatures"
        if certificate in self._trusted:
            return ""
        if not self._authorities:
            return "its certificate is not among the trusted ones"
        any_kind = verification.Criticality.AGNOSTIC
        anything = verification.ExtensionPolicy.permit_all()
        issuing = anything.require_present(x509.BasicConstraints, any_kind, None)
        issuing = issuing.may_be_present(x509.KeyUsage, any_kind, _check_issuing)
        signing = anything.require_present(x509.SubjectAlternativeName, any_kind, None)
        policy = verification.PolicyBuilder().store(verification.Store(self._authorities)).time(now)
        verifier = policy.extension_policies(ca_policy=issuing, ee_policy=signing).build_client_verifier()
        try:
            verifier.verify(certificate, carried)
        except verification.VerificationError as error:
            return f"nobody trusted vouches for its certificate ({str(error).partition(' (enc')[0]})"
        return ""


def reader(key: str | None, trust: Iterable[str]) -> Reader:
    """Return the Reader for the options of `inbox`; raises ToolError."""
    identity = read_identity("--smime-key", key) if key else None
    return Reader(identity, [one for path in trust for one in read_certificates("--smime-trust", path)])


def _load(octets: bytes) -> x509.Certificate | None:
    """Return a stranger's certificate (DER), None for one that can't be read to the end: it vouches for nothing."""
    try:
        certificate = x509.load_der_x509_certificate(octets)
        certificate.public_key()
        return certificate if identifiers(certificate) and certificate.extensions is not None else None
    except (ParseError, ValueError, exceptions.UnsupportedAlgorithm, x509.DuplicateExtension):
        return None
    except (x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return None


def _find(identifier: bytes, certificates: list[x509.Certificate]) -> x509.Certificate | None:
    return next((one for one in certificates if identifier in identifiers(one)), None)


def _is_by(certificate: x509.Certificate, signature: Signature) -> bool:
    """Was it made by the key of this certificate?"""
    key = certificate.public_key()
    hash = _HASHES[signature.hash]
    try:
        if isinstance(key, rsa.RSAPublicKey) and signature.kind == "rsa" and key.key_size >= _LEAST_RSA:
            key.verify(signature.value, signature.covered, padding.PKCS1v15(), hash)
        elif isinstance(key, ec.EllipticCurvePublicKey) and signature.kind == "ecdsa":
            key.verify(signature.value, signature.covered, ec.ECDSA(hash))
        else:
            return False
    except exceptions.InvalidSignature:
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _check_issuing(_: verification.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("not for issuing certificates")


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return usage.digital_signature or usage.content_commitment
