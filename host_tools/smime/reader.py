"""Decrypting S/MIME (RFC 8591), and what is to be said of its signatures.

The arithmetic is that of the package cryptography; what it is applied to comes from agent.cms.smime.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509 import verification

from sipmote.agent.cms import enveloped as cms_enveloped
from sipmote.agent.cms import smime
from sipmote.agent.cms.signed import Signature
from sipmote.people import person
from sipmote.smime.keys import (
    LEAST_RSA,
    Identity,
    identifiers,
    load_certificate,
    names,
    read_certificates,
    read_identity,
)

GOOD = "good"  # states of a signature: it is the author's, vouched for, and of this content and its date
UNDATED = "undated"  # good, but nothing says when: anybody may send it again, for ever
MISMATCH = "mismatch"  # its certificate names somebody else than the message
UNTRUSTED = "untrusted"  # nobody we trust vouches for its certificate
UNKNOWN = "unknown"  # there is no certificate to check it with, or no algorithm
BAD = "bad"  # it is not of this content, or not by this certificate
_STATES = (GOOD, UNDATED, MISMATCH, UNTRUSTED, UNKNOWN, BAD)  # best first
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


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
        carried = [one for one in map(load_certificate, opened.certificates) if one is not None]
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


def make_reader(key: str | None, trust: Iterable[str]) -> Reader:
    """Return the Reader for the options of `inbox`; raises ToolError."""
    identity = read_identity("--smime-key", key) if key else None
    return Reader(identity, [one for path in trust for one in read_certificates("--smime-trust", path)])


def _find(identifier: bytes, certificates: list[x509.Certificate]) -> x509.Certificate | None:
    return next((one for one in certificates if identifier in identifiers(one)), None)


def _is_by(certificate: x509.Certificate, signature: Signature) -> bool:
    """Was it made by the key of this certificate?"""
    key = certificate.public_key()
    hash = _HASHES[signature.hash]
    try:
        if isinstance(key, rsa.RSAPublicKey) and signature.kind == "rsa" and key.key_size >= LEAST_RSA:
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
