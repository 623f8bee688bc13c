"""The keys and certificates that a person has: files in the folder keys of the data folder, for their owner alone.

own/USER@HOST.pem is a key of ours with its certificate, USER@HOST.pem.old the one before, which still decrypts.
trusted/ has others' certificates, boards' among them. authority.pem issues those of boards. shared.json has keys of AES
that two have, by URI, and policy.json what is to be protected.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sipmote.agent.errors import ParseError
from sipmote.agent.uri import parse_uri
from sipmote.errors import ToolError
from sipmote.files import alone, data_folder, write_whole
from sipmote.people import person
from sipmote.smime.keys import Identity, names, read_certificates, read_identity

POLICIES = ("require", "prefer", "ignore")  # for what goes
TAKEN = ("require", "prefer")  # for what comes
DAYS = 730  # that a certificate is valid
_AUTHORITY_DAYS = 3650
EVERYBODY = "*"
_DEFAULT = ("prefer", "prefer")
SOON = timedelta(days=30)  # before a certificate ends
_SKEW = timedelta(hours=1)  # of the clocks of those who look at a certificate that is new
_MAX_REMEMBERED = 10_000
_MAX_NAME = 200  # octets of a file's name; systems take 255, and write_whole() adds to it
_PEM = serialization.Encoding.PEM


class KeyStore:
    """A folder of keys. All methods raise ToolError for what can't be read or written."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: None for the one in the data folder. It is made when something is put there."""
        self.folder = folder or data_folder() / "keys"

    # Ours

    def own(self, uri: str) -> Identity | None:
        """Return our key for a URI, None without one."""
        return self._read_own(self._find("own", uri))

    def old(self, uri: str) -> list[Identity]:
        """Return the key that we had before for a URI, which still decrypts."""
        found = self._read_own(self._find("own", uri, ".pem.old"))
        return [] if found is None else [found]

    def owned(self) -> list[Identity]:
        """Return all keys of ours, without the old ones."""
        found = [self._read_own(path) for path in sorted(self.folder.glob("own/*.pem"))]
        return [one for one in found if one is not None]

    def create(self, uri: str, days: int = DAYS) -> Identity:
        """Make a key for a URI, with a certificate that it signs itself. Raises ToolError where there is one."""
        path = self._file("own", uri)
        with self._alone():
            if path.exists():
                raise ToolError(f"there is a key for {uri} already: sipmote keys rotate {uri} makes another one")
            return self._make(path, uri, days)

    def rotate(self, uri: str, days: int = DAYS) -> Identity:
        """Make another key for a URI; the one that it had stays to decrypt what is under way."""
        path = self._file("own", uri)
        with self._alone():
            if not path.exists():
                raise ToolError(f"there is no key for {uri}: sipmote keys create {uri} makes one")
            write_whole(self._file("own", uri, ".pem.old"), path.read_text())
            return self._make(path, uri, days)

    def adopt(self, identity: Identity) -> None:
        """Keep a key that somebody else has certified, for the first URI that its certificate names.

        The one that there was before stays to decrypt what is under way, also if the same key comes twice.
        """
        path = self._file("own", names(identity.certificate)[0])
        with self._alone():
            before = self._read_own(path if path.exists() else None)
            if before is not None and before.key.private_numbers() != identity.key.private_numbers():
                write_whole(path.with_suffix(".pem.old"), path.read_text())
            write_whole(path, _pem(identity))

    def _make(self, path: Path, uri: str, days: int) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _name(uri)[:64])])
        identity = Identity(key, _certificate(uri, name, key.public_key(), name, key, days))
        write_whole(path, _pem(identity))
        return identity

    # Boards

    def authority(self) -> Identity:
        """Return what issues certificates for boards, made at the first need."""
        path = self.folder / "authority.pem"
        with self._alone():
            if not path.exists():
                write_whole(path, _pem(_make_authority()))
        return read_identity("keys", str(path))

    def issue(self, uri: str, public: ec.EllipticCurvePublicKey, days: int = DAYS) -> x509.Certificate:
        """Return a certificate of our authority for a board's key, trusted from now on."""
        by = self.authority()
        assert isinstance(by.key, ec.EllipticCurvePrivateKey)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _name(uri)[:64])])
        certificate = _certificate(uri, name, public, by.certificate.subject, by.key, days)
        self.trust(certificate)
        return certificate

    def is_old(self, certificate: x509.Certificate) -> bool:
        """Is it time for another one?"""
        return certificate.not_valid_after_utc - datetime.now(UTC) < SOON

    def ending(self) -> list[tuple[str, x509.Certificate, str]]:
        """Return (URI, certificate, remedy) of each one that ends within a month."""
        found = []
        for one in self.owned():
            found += [(uri, one.certificate, f"sipmote keys rotate {uri}") for uri in names(one.certificate)[:1]]
        authority = self.folder / "authority.pem"
        ours = read_certificates("keys", str(authority))[0].subject if authority.exists() else None
        for other in self.trusted():
            is_boards = other.issuer == ours
            remedy = "sipmote provision --protect" if is_boards else "ask for the new one, and sipmote keys trust FILE"
            found += [(uri, other, remedy) for uri in names(other)[:1]]
        return [one for one in found if self.is_old(one[1])]

    # Others'

    def trusted(self) -> list[x509.Certificate]:
        """Return the certificates of others that we trust, and that of our authority if there is one."""
        paths = [*sorted(self.folder.glob("trusted/*.pem")), *self.folder.glob("authority.pem")]
        return [one for path in paths for one in read_certificates("keys", str(path))]

    def certificate(self, uri: str) -> x509.Certificate | None:
        """Return the certificate to encrypt to somebody with: ours if we are that, None without one."""
        own = self.own(uri)
        if own is not None:
            return own.certificate
        path = self._find("trusted", uri)
        return None if path is None else read_certificates("keys", str(path))[0]

    def trust(self, certificate: x509.Certificate) -> None:
        """Trust a certificate, in place of the one before for the same URI; one of no URI is an authority's."""
        found = names(certificate)
        path = self._file("trusted", found[0]) if found else self._authority_file(certificate)
        with self._alone():
            write_whole(path, certificate.public_bytes(_PEM).decode())

    def remember(self, certificate: x509.Certificate) -> None:
        """Keep the certificate of who has shown it, and whom somebody that we trust vouches for.

        In place of another one only if it is a newer one of the same issuer: what a person has trusted stays, and an
        old message that comes again brings no old key back.
        """
        found = names(certificate)
        if not found:
            return
        before = self.certificate(found[0])
        if before is not None and (
            before.issuer != certificate.issuer or before.not_valid_before_utc >= certificate.not_valid_before_utc
        ):
            return
        if sum(1 for _ in self.folder.glob("trusted/*.pem")) < _MAX_REMEMBERED:
            self.trust(certificate)

    def _authority_file(self, certificate: x509.Certificate) -> Path:
        return self.folder / "trusted" / f"authority-{certificate.fingerprint(hashes.SHA256()).hex()[:16]}.pem"

    # Keys of AES that are shared

    def shared(self, uri: str) -> tuple[bytes, bytes] | None:
        """Return (name, key) of what we share with somebody, None without."""
        return next((pair for other, pair in self._all_shared().items() if person(other) == person(uri)), None)

    def shares(self) -> list[str]:
        """Return the URIs of those with whom we share a key."""
        return sorted(self._all_shared())

    def by_name(self, name: bytes) -> tuple[str, bytes] | None:
        """Return (URI, key) of what is shared under a name, None for a name that we don't know."""
        return next(((uri, key) for uri, (other, key) in self._all_shared().items() if other == name), None)

    def _all_shared(self) -> dict[str, tuple[bytes, bytes]]:
        """Return URI -> (name, key) of all that is shared."""
        entries = self._load("shared.json").values()
        try:
            return {found["uri"]: (bytes.fromhex(found["name"]), bytes.fromhex(found["key"])) for found in entries}
        except (KeyError, TypeError, ValueError):
            raise ToolError(f"{self.folder / 'shared.json'} can't be understood: mend it, or move it away") from None

    def share(self, uri: str) -> tuple[bytes, bytes]:
        """Make a key to share with somebody, in place of the one before; returns (name, key)."""
        name, key = secrets.token_bytes(4), secrets.token_bytes(16)
        with self._alone():
            everything = self._load("shared.json")
            everything[person(uri)] = {"uri": uri, "name": name.hex(), "key": key.hex()}
            self._store("shared.json", everything)
        return name, key

    # Policies

    def policy(self, uri: str) -> tuple[str, str]:
        """Return what is to be done with what goes to somebody, and with what comes: of POLICIES each."""
        everything = self._load("policy.json")
        found = {**everything.get(EVERYBODY, {}), **everything.get(person(uri), {})}
        return found.get("send", _DEFAULT[0]), found.get("take", _DEFAULT[1])

    def policies(self) -> dict[str, dict[str, str]]:
        """Return what has been set: URI or * -> {"send": ..., "take": ...}, either of which may be absent."""
        everything = self._load("policy.json")
        return {entry.get("uri", who): entry for who, entry in everything.items()}

    def set_policy(self, uri: str, send: str | None, take: str | None) -> None:
        """Set a policy for somebody, or, with *, for all who have none of their own; None leaves that as it was."""
        with self._alone():
            everything = self._load("policy.json")
            entry = everything.setdefault(uri if uri == EVERYBODY else person(uri), {"uri": uri})
            entry.update({key: value for key, value in (("send", send), ("take", take)) if value is not None})
            self._store("policy.json", everything)

    # Files

    def changed(self) -> tuple[int, ...]:
        """Return when something was last put into each folder: any other answer than before means that it was.

        Not the latest alone: a clock that was set back would hide what comes next.
        """
        folders = (self.folder, self.folder / "own", self.folder / "trusted")
        return tuple(folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders)

    def _file(self, kind: str, uri: str, end: str = ".pem") -> Path:
        return self.folder / kind / (_name(uri) + end)

    def _find(self, kind: str, uri: str, end: str = ".pem") -> Path | None:
        """Return the file of a URI, None without one, as of a host or a telephone: no key can be for those."""
        try:
            path = self._file(kind, uri, end)
        except ToolError:
            return None
        return path if path.exists() else None

    def _read_own(self, path: Path | None) -> Identity | None:
        return None if path is None else read_identity("keys", str(path))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Make the folders, and keep others out meanwhile."""
        try:
            for folder in (self.folder.parent, self.folder, self.folder / "own", self.folder / "trusted"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"can't write {self.folder}: {error.strerror}") from None
        with alone(self.folder / "own"):
            yield

    def _load(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ToolError(f"can't read {path}: {error.strerror}") from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise ToolError(f"{path} can't be understood: mend it, or move it away")
        return found

    def _store(self, name: str, what: dict[str, Any]) -> None:
        write_whole(self.folder / name, json.dumps(what, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def fingerprint(certificate: x509.Certificate) -> str:
    """Return what two people read to each other: 8 groups of 5 digits, out of SHA-256 of the public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashlib.sha256(certificate.public_key().public_bytes(serialization.Encoding.DER, form)).digest()
    digits = f"{int.from_bytes(digest, 'big') % 10**40:040}"
    return " ".join(digits[at : at + 5] for at in range(0, 40, 5))


def _name(uri: str) -> str:
    """Return the name of the file of a URI: whoever it is written for, one person has one. Raises ToolError."""
    try:
        parsed = parse_uri(os.fsencode(uri))
    except ParseError as error:
        raise ToolError(f"{uri}: {error.detail}, such as sip:desk@example.org") from None
    if parsed.scheme not in (b"sip", b"sips", b"im") or not parsed.user:
        raise ToolError(f"{uri}: a key is for a user, such as sip:desk@example.org")
    user, host = person(uri).rpartition("@")[::2]
    text = f"{user[2:-1]}@{host}"  # person() has a literal of bytes
    name = "".join(c if c.isalnum() or c in "@-_.+" else f"%{ord(c):02x}" for c in text)
    if len(os.fsencode(name)) > _MAX_NAME:
        raise ToolError(f"{uri}: too long for a key: a user and host of {_MAX_NAME} octets at most were expected")
    return name


def _pem(identity: Identity) -> str:
    form = serialization.PrivateFormat.PKCS8
    key = identity.key.private_bytes(_PEM, form, serialization.NoEncryption())
    return (key + identity.certificate.public_bytes(_PEM)).decode()


def _key_id(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return a short identifier of a key, 8 octets (RFC 5280 section 4.2.1.2, method 2)."""
    point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    tail = hashlib.sha1(point, usedforsecurity=False).digest()[-8:]
    return bytes((0x40 | tail[0] & 0x0F,)) + tail[1:]


def _certificate(
    uri: str,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    days: int,
) -> x509.Certificate:
    now = datetime.now(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(True, False, False, False, True, False, False, False, False)
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number() >> 96)
    builder = builder.not_valid_before(now - _SKEW).not_valid_after(now + timedelta(days=days))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
    ).add_extension(x509.SubjectKeyIdentifier(_key_id(public)), critical=False)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _make_authority() -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sipmote {secrets.token_hex(4)}")])
    now = datetime.now(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - _SKEW).not_valid_after(now + timedelta(days=_AUTHORITY_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True).add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier(_key_id(key.public_key())), critical=False)
    return Identity(key, builder.sign(key, hashes.SHA256()))
