"""Keys and certificates for the tests of S/MIME, as PEM files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sipmote.smime.keys import Identity


@dataclass(frozen=True)
class Issued(Identity):
    """A key, its certificate, and PEM files: path has both, certificate_path the certificate alone."""

    path: str
    certificate_path: str


def issue(
    folder: Path,
    name: str,
    *uris: str,
    by: Identity | None = None,
    kind: str = "ec",
    days: tuple[int, int] = (-1, 30),
    extensions: Sequence[x509.ExtensionType] = (),
) -> Issued:
    """Return a new key and its certificate, which names uris; by: who signs it, itself if None. days: from now."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if uris:
        alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(alternatives, False)
    for extension in extensions:
        builder = builder.add_extension(extension, True)
    certificate = builder.sign(key if by is None else by.key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    issued = Issued(key, certificate, str(folder / f"{name}.pem"), str(folder / f"{name}.crt"))
    Path(issued.path).write_bytes(secret + pem)
    Path(issued.certificate_path).write_bytes(pem)
    return issued


AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
FOR_AGREEMENT = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
