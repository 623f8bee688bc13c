"""Keys of a board for S/MIME, as a host writes them into its folder /smime, and those of whom it writes to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sipmote.agent.cms.der import INTEGER, OCTETS, OID, SEQUENCE, SET, encode
from sipmote.agent.cms.der_reader import decode
from sipmote.agent.cms.names import AES, AUTH_ENVELOPED_DATA
from sipmote.agent.cms.tables import GENERATOR, make_table
from sipmote.smime.keys import identifiers

NAME = b"together"
SHARED = bytes(range(16))


@dataclass(frozen=True)
class Person:
    """Somebody with a key on P-256 and a certificate."""

    uri: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def ids(self) -> list[str]:
        """What CMS calls the certificate by, the shortest first, in hexadecimal."""
        return [one.hex() for one in identifiers(self.certificate)]

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write PEM files; returns that with key and certificate, and that with the certificate alone."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        form = serialization.PrivateFormat.PKCS8
        private = self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        name = self.uri.partition(":")[2].partition("@")[0]
        both, public = folder / f"{name}.pem", folder / f"{name}-certificate.pem"
        both.write_bytes(private + pem)
        public.write_bytes(pem)
        return both, public


@cache
def person(uri: str) -> Person:
    """Return the one of a URI, the same each time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uri)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    named = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    short = x509.SubjectKeyIdentifier(x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest[:8])
    builder = builder.add_extension(named, False).add_extension(short, False)
    return Person(uri, key, builder.sign(key, hashes.SHA256()))


@cache
def generator() -> bytes:
    """Return the table of the curve's generator."""
    return make_table(*GENERATOR)


@cache
def table(whose: Person) -> bytes:
    """Return the table of somebody's public key."""
    numbers = whose.key.public_key().public_numbers()
    return make_table(numbers.x, numbers.y)


def with_a_name_in_front(body: bytes, name: bytes) -> bytes:
    """Return an envelope whose first recipient has the name of a shared key, with a size of AES that no such key has.

    What opens it is the key that was there before.
    """
    envelope = decode(body).parts[1].parts[0]
    wrap = encode(SEQUENCE, encode(OID, AES + b"\x2d"))  # of AES-256
    called = encode(SEQUENCE, encode(OCTETS, name))
    lure = encode(0xA2, encode(INTEGER, b"\4"), called, wrap, encode(OCTETS, bytes(24)))
    recipients = encode(SET, lure, envelope.parts[1].parts[0].raw)
    rest = b"".join([part.raw for part in envelope.parts[2:]])
    inside = encode(SEQUENCE, encode(INTEGER, b"\0"), recipients, rest)
    return encode(SEQUENCE, encode(OID, AUTH_ENVELOPED_DATA), encode(0xA0, inside))


def write_keys(
    flash: Path, board: Person | None, *peers: Person, shared: str | None = None, more: Sequence[dict[str, Any]] = ()
) -> Path:
    """Write /smime of a board: its own key, those of others, one that it shares; returns the folder.

    more: as mote.keys.peers() has them.
    """
    folder = flash / "smime"
    folder.mkdir(parents=True, exist_ok=True)
    known = list(more)
    (folder / "g").write_bytes(generator())
    if board is not None:
        secret = board.key.private_numbers().private_value.to_bytes(32, "big").hex()
        (folder / "own").write_text(json.dumps({"secret": secret, "id": board.ids[0], "ids": board.ids}))
        (folder / "certificate").write_bytes(board.der)
    for number, peer in enumerate(peers, 1):
        (folder / str(number)).write_bytes(table(peer))
        known.append({"uri": peer.uri, "id": peer.ids[0], "ids": peer.ids, "table": str(number)})
    if shared is not None:
        known.append({"uri": shared, "name": NAME.hex(), "key": SHARED.hex()})
    (folder / "peers").write_text(json.dumps(known))
    return folder
