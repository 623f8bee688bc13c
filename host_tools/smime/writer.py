"""Signing and encrypting with S/MIME (RFC 8591).

The arithmetic is that of the package cryptography; what it is applied to comes from agent.cms.smime.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sipmote.agent.cms import enveloping, mime
from sipmote.agent.cms.signing import build_signed
from sipmote.errors import ToolError
from sipmote.people import person
from sipmote.smime.keys import (
    HOW,
    Identity,
    allows_mail,
    check_kind,
    identifiers,
    kind_of,
    may_receive,
    may_sign,
    names,
    read_certificates,
    read_identity,
)

_LONGEST = 72  # octets of a signature with P-256


class Writer:
    """Signs with one key, encrypts to one certificate or with a key that is shared, or does both."""

    def __init__(
        self,
        signer: Identity | None,
        receiver: x509.Certificate | tuple[bytes, bytes] | None,
        with_certificate: bool,
    ) -> None:
        """receiver: its certificate, or name and octets (16) of a key of AES that we share with it."""
        self._signer = signer
        self._receiver = receiver
        self._with_certificate = with_certificate

    @property
    def is_secret(self) -> bool:
        """Is it encrypted, so that nothing of it is to stand outside?"""
        return self._receiver is not None

    @property
    def vouches(self) -> bool:
        """Will a receiver know who has written a body?"""
        return self._signer is not None or isinstance(self._receiver, tuple)

    def lighter(self) -> Iterator[tuple[str, "Writer"]]:
        """Yield what takes less room, each with words for people."""
        receiver = self._receiver
        if self._with_certificate:
            yield "without the certificate", Writer(self._signer, receiver, False)
        if self._signer is not None and receiver is not None:
            yield "signed alone", Writer(self._signer, None, False)
            yield "encrypted alone", Writer(None, receiver, False)
        if isinstance(receiver, x509.Certificate):
            yield "with a key that both share (sipmote keys share)", Writer(None, (bytes(4), bytes(16)), False)

    def protect(self, content_type: bytes, body: bytes, to_measure: bool = False) -> tuple[bytes, bytes]:
        """Return content type and octets of a body, signed, then encrypted.

        to_measure: make them as long as they may become, with nothing for a signature; those of ECDSA vary.
        """
        if self._signer is not None:
            content_type, body = mime.SIGNED, self._sign(self._signer, mime.entity(content_type, body), to_measure)
        if self._receiver is not None:
            receiver = self._receiver
            recipient = _Sharer(*receiver) if isinstance(receiver, tuple) else _Holder(receiver)
            body = enveloping.build_enveloped(mime.entity(content_type, body), recipient)
            content_type = mime.ENCRYPTED
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


def make_writer(sign: str | None, encrypt_to: str | None, with_certificate: bool) -> Writer:
    """Return the Writer for the options of `send`; raises ToolError."""
    receiver = _read_receiver(encrypt_to) if encrypt_to else None
    signer = read_identity("--sign", sign) if sign else None
    if signer is not None and not (may_sign(signer.certificate) and allows_mail(signer.certificate)):
        raise ToolError(f"--sign {sign}: its certificate is not for signing mail, by its (extended) key usage")
    return Writer(signer, receiver, with_certificate)


def _read_receiver(path: str) -> x509.Certificate:
    certificate = read_certificates("--encrypt-to", path)[0]
    check_kind("--encrypt-to", path, certificate)
    if certificate.not_valid_after_utc < datetime.now(UTC):
        raise ToolError(f"--encrypt-to {path}: expired at {certificate.not_valid_after_utc:%F}: get a newer one")
    if not (may_receive(certificate) and allows_mail(certificate)):
        raise ToolError(f"--encrypt-to {path}: it is not for encrypted mail, by its (extended) key usage: get another")
    return certificate


def signing_name(path: str, sender: str | None) -> str:
    """Return whom messages signed with a file are from: sender, or the first name that the certificate has.

    Raises ToolError when the certificate doesn't say so: receivers would take the signature for somebody else's.
    """
    found = names(read_identity("--sign", path).certificate)
    if not found:
        raise ToolError(f"--sign {path}: its certificate names no SIP URI, e.g. made by {HOW}")
    if sender is not None and person(sender) not in map(person, found):
        raise ToolError(f"--sign {path} is for {found[0]}: leave --from {sender} out, or take the file of that one")
    return sender or found[0]


class _Sharer(enveloping.Recipient):
    """The arithmetic of encrypting with a key of AES that is shared."""

    kind = "shared"

    def __init__(self, name: bytes, key: bytes) -> None:
        self.identifier = name
        self._shared = key

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def wrap(self, by: bytes | None, key: bytes) -> bytes:
        return keywrap.aes_key_wrap(by or self._shared, key)

    def encrypt(self, key: bytes, nonce: bytes, content: bytes) -> tuple[bytes, bytes]:
        octets = AESGCM(key).encrypt(nonce, content, None)
        return octets[:-16], octets[-16:]


class _Holder(_Sharer):
    """The arithmetic of encrypting to a certificate."""

    def __init__(self, certificate: x509.Certificate) -> None:
        super().__init__(identifiers(certificate)[0], b"")
        self.kind = "ecdh" if kind_of(certificate) == "ec" else "rsa"
        self._key: Any = certificate.public_key()

    def agree(self) -> tuple[bytes, bytes]:
        own = ec.generate_private_key(self._key.curve)
        form = serialization.PublicFormat.UncompressedPoint
        return own.public_key().public_bytes(serialization.Encoding.X962, form), own.exchange(ec.ECDH(), self._key)

    def transport(self, key: bytes) -> bytes:
        octets: bytes = self._key.encrypt(key, padding.PKCS1v15())
        return octets
