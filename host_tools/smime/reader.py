"""Decrypting S/MIME (RFC 8591), and what is to be said of its signatures.

The arithmetic is that of the package cryptography; what it is applied to comes from agent.cms.smime.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509 import verification

from sipmote.agent.cms import enveloped as cms_enveloped
from sipmote.agent.cms import smime
from sipmote.agent.cms.signed import Signature
from sipmote.agent.cpim.identity import CPIM
from sipmote.agent.errors import ParseError
from sipmote.agent.headers.values import media_type
from sipmote.errors import ToolError
from sipmote.people import person
from sipmote.smime.keys import (
    Identity,
    allows_mail,
    has_unknown,
    identifiers,
    is_rsa,
    load_certificate,
    may_sign,
    names,
    read_certificates,
    read_identity,
)
from sipmote.smime.store import KeyStore

GOOD = "good"  # states of a signature: it is the author's, vouched for, and of this content and its date
SHARED = "shared"  # there is none, but a key has encrypted it that nobody has but its author and we
UNDATED = "undated"  # good, but nothing says when: anybody may send it again, for ever
MISMATCH = "mismatch"  # its certificate names somebody else than the message
UNTRUSTED = "untrusted"  # nobody we trust vouches for its certificate; whether that has made it isn't looked at
UNKNOWN = "unknown"  # there is no certificate to check it with, or no algorithm
BAD = "bad"  # it is not of this content, or not by this certificate
_STATES = (GOOD, SHARED, UNDATED, MISMATCH, UNTRUSTED, UNKNOWN, BAD)  # best first
_BY_SIGNER = (GOOD, SHARED, UNDATED, MISMATCH)  # those of somebody that we trust
_MAX_BETWEEN = 2  # certificates between a signer's and an authority's
_MAX_KEYS = 16384  # content keys that are remembered; some 4 MB
_MAX_ISSUES = 4096  # signatures on certificates that are remembered as good
_CURVES = ("secp256r1", "secp384r1", "secp521r1")  # of keys that sign
_Shared = Callable[[bytes], tuple[str, bytes] | None]
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a signature, or of a key that is shared.

    signer: the first SIP URI of its certificate, or who shares the key; reason: why it isn't good.
    """

    state: str
    signer: str | None
    reason: str
    signed_at: int | None  # Unix seconds that the signature covers
    digest: str | None  # of signer and what the signature covers: the same again is a replay. None: not its author's

    @property
    def is_good(self) -> bool:
        """Is the message its author's, and of the time it says?"""
        return self.state in (GOOD, SHARED)

    @property
    def is_by_signer(self) -> bool:
        """Has somebody whom we trust signed this content, whoever the message says it is from?"""
        return self.state in _BY_SIGNER

    def line(self) -> dict[str, str]:
        """Return what machines are told."""
        told = {"state": self.state, "signer": self.signer, "reason": self.reason}
        return {key: value for key, value in told.items() if value}


class ContentKeys:
    """Remembers what each content key was used for, so that one which comes again with other content is noticed.

    A sender makes a new key for each message. Without AES-GCM, who gets hold of a message can cut its cipher text into
    others and learn from the answers what is in it, by hundreds of them for an octet: all with its key.
    """

    def __init__(self, most: int = _MAX_KEYS) -> None:
        """most: how many keys are remembered, the newest."""
        self._most = most
        self._contents: dict[bytes, bytes] = {}  # the first content of each key, both as digests

    def is_other(self, key: bytes, *content: bytes) -> bool:
        """Has this key come with another content before?"""
        name = hashlib.blake2b(key, digest_size=16).digest()
        digest = hashlib.blake2b(b"".join(content), digest_size=16).digest()
        first = self._contents.setdefault(name, digest)
        if len(self._contents) > self._most:
            del self._contents[next(iter(self._contents))]
        return first != digest


class Issues:
    """Knows which certificate another one's key has signed. Good signatures are remembered, some 1 MB of them.

    A signature on P-521 takes 1.2 ms to check, and a stranger may send one in each message, on certificates that he has
    copied or made up. So none is looked at but by a key that is trusted, or that such a one vouches for.
    """

    def __init__(self, authorities: Iterable[x509.Certificate]) -> None:
        """authorities: that are trusted to issue."""
        self._authorities: dict[x509.Name, list[x509.Certificate]] = {}
        for one in authorities:
            self._authorities.setdefault(one.subject, []).append(one)
        self._good: dict[bytes, None] = {}

    def lead_to(self, certificate: x509.Certificate, between: Mapping[x509.Name, x509.Certificate]) -> bool:
        """Is there a chain from an authority down to a certificate? between: what may be in it, by the subject."""
        chain = [certificate]
        while chain[0].issuer not in self._authorities:
            issuer = between.get(chain[0].issuer)
            if issuer is None or len(chain) > _MAX_BETWEEN:
                return False
            chain.insert(0, issuer)
        issuers = self._authorities[chain[0].issuer]
        for one in chain:  # from above: what comes below a bad one is a stranger's
            if not any(self._has(one, issuer) for issuer in issuers):
                return False
            issuers = [one]
        return True

    def _has(self, issued: x509.Certificate, issuer: x509.Certificate) -> bool:
        name = issuer.fingerprint(hashes.SHA256()) + issued.fingerprint(hashes.SHA256())
        if name not in self._good:
            try:
                issued.verify_directly_issued_by(issuer)
            except (ValueError, TypeError, exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm):
                return False
            self._good[name] = None
            if len(self._good) > _MAX_ISSUES:
                del self._good[next(iter(self._good))]
        return True


class OurKey(cms_enveloped.Key):
    """The arithmetic of decrypting one message with our key, or with one that is shared."""

    def __init__(
        self, identity: Identity | None, called: tuple[bytes, ...], keys: ContentKeys, shared: _Shared
    ) -> None:
        """called: identifiers() of our certificate, none without one. shared: as of a Reader.

        sharer: (URI, key) of who shares the key that has opened the message, None for any other key.
        """
        self.identifiers = called
        self.is_reused = False
        self.sharer: tuple[str, bytes] | None = None
        self._named: tuple[str, bytes] | None = None
        self._key = None if identity is None else identity.key
        self._keys = keys
        self._shared = shared

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def agree(self, point: bytes) -> bytes:
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            raise ValueError
        public = ec.EllipticCurvePublicKey.from_encoded_point(self._key.curve, point)  # ValueError off the curve
        return self._key.exchange(ec.ECDH(), public)

    def shared(self, name: bytes) -> bytes | None:
        self._named = self._shared(name)
        return None if self._named is None else self._named[1]

    def unwrap(self, by: bytes, wrapped: bytes) -> bytes:
        try:
            key = keywrap.aes_key_unwrap(by, wrapped)
        except keywrap.InvalidUnwrap:
            raise ValueError from None
        if self._named is not None and by is self._named[1]:  # anybody can write its name in front of a key of his own
            self.sharer = self._named
        return key

    def transport(self, octets: bytes) -> bytes:
        if not isinstance(self._key, rsa.RSAPrivateKey):
            raise ValueError
        return self._key.decrypt(octets, padding.PKCS1v15())

    def decrypt_gcm(self, key: bytes, nonce: bytes, octets: bytes, tag: bytes, beside: bytes) -> bytes:
        self.is_reused = self._keys.is_other(key, nonce, octets, tag, beside)
        decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, tag, 12)).decryptor()
        decryptor.authenticate_additional_data(beside)
        try:
            return decryptor.update(octets) + decryptor.finalize()
        except exceptions.InvalidTag:
            raise ValueError from None

    def decrypt_cbc(self, key: bytes, start: bytes, octets: bytes) -> bytes:
        self.is_reused = self._keys.is_other(key, start, octets)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
        return decryptor.update(octets) + decryptor.finalize()


class Reader:
    """Decrypts with our keys, and judges signatures by certificates that are trusted.

    A trusted certificate that names a SIP URI vouches for itself alone; one that names none and is a CA vouches for
    what it has issued.
    """

    def __init__(
        self, identities: Sequence[Identity], trusted: Sequence[x509.Certificate], shared: _Shared | None = None
    ) -> None:
        """shared: returns (URI, key of AES) of what is shared under a name, None for a name that it doesn't know."""
        self._shared = shared
        self._keys = ContentKeys()
        self._know(identities, trusted)

    def _know(self, identities: Sequence[Identity], trusted: Sequence[x509.Certificate]) -> None:
        self._identities = [(one, identifiers(one.certificate)) for one in identities]
        self._trusted = list(trusted)
        self._named: dict[bytes, list[x509.Certificate]] = {}  # once: an inbox may know thousands
        for one in self._trusted:
            for identifier in identifiers(one):
                self._named.setdefault(identifier, []).append(one)
        self._authorities = [one for one in trusted if not names(one) and _is_authority(one)]
        self._issues = Issues(self._authorities)

    def open(self, content_type: bytes, body: bytes) -> smime.Opened:
        """Take S/MIME off a body. Raises ParseError, with 493 for what can't be decrypted."""
        key = None
        if self._identities or self._shared is not None:
            ours: list[tuple[Identity | None, tuple[bytes, ...]]] = [*self._identities] or [(None, ())]
            named = (one for one in ours if any(name[2:] in body for name in one[1]))
            identity, called = next(named, ours[0])
            key = OurKey(identity, called, self._keys, self._shared or _nothing)
        return smime.open_body(content_type, body, key)

    def judge(self, opened: smime.Opened, author: str, unix: int | None) -> Verdict | None:
        """Say what the signatures of a body are worth, the best one's verdict if there are several.

        Without any, what the shared key is worth that has opened it; None without that, too.
        author: the URI that it says it is from. unix: the Unix seconds that it says it is of, None when it doesn't.
        The digest of a verdict depends on the key of the signer and on what is signed, so not on how From is spelled.
        One that isn't its author's has none, so that nobody's copy passes for the message itself.
        """
        if not opened.signatures:
            return _by_shared_key(opened, author, unix)
        carried = [one for one in map(load_certificate, opened.certificates) if one is not None]
        verdicts = []
        for signature in opened.signatures:
            found = self._find(signature.identifier, carried)
            weighed = [(self._weigh(signature, one, carried, author), one) for one in found]
            (state, signer, reason), certificate = min(weighed, key=lambda pair: _STATES.index(pair[0][0]))
            at = signature.signed_at if unix is None else unix
            digest = _digest(certificate, signature.covered) if certificate and state == GOOD else None
            for (its_state, _, _), one in weighed:
                if its_state == GOOD and one is not None and one in carried:
                    self._has_shown(one)
            if state == GOOD and at is None:
                state, reason = UNDATED, "no date is signed"
            verdicts.append(Verdict(state, signer, reason, at, digest))
        return min(verdicts, key=lambda verdict: _STATES.index(verdict.state), default=None)

    def _find(self, identifier: bytes, carried: list[x509.Certificate]) -> list[x509.Certificate | None]:
        """Return certificates of this name, [None] without any. A key keeps its name when one is renewed."""
        shown = [one for one in carried if identifier in identifiers(one)]
        return [*dict.fromkeys([*self._named.get(identifier, ()), *shown])] or [None]

    def _has_shown(self, certificate: x509.Certificate) -> None:
        """Somebody has sent this certificate along, for which one that we trust vouches."""

    def is_unauthenticated(self, opened: smime.Opened, verdict: Verdict | None) -> bool:
        """Was a body encrypted in a way that lets others change it, and signed by nobody whom we trust?

        Raises ParseError(493) for one whose content key has come with another content before: that is somebody who
        changes it, to learn from our answers what is in it.
        """
        if not opened.encrypted or opened.authenticated or (verdict is not None and verdict.is_by_signer):
            return False
        if opened.key.is_reused:  # type: ignore[attr-defined]
            raise ParseError("a content key for one content alone was expected", 493)
        return True

    def _weigh(
        self, signature: Signature, certificate: x509.Certificate | None, carried: list[x509.Certificate], author: str
    ) -> tuple[str, str | None, str]:
        """Return state, signer and reason of a verdict."""
        if not signature.kind:
            return UNKNOWN, None, "an algorithm that we don't have"
        if certificate is None:
            return UNKNOWN, None, "its certificate is neither with it nor among the trusted ones"
        found = names(certificate)
        signer = found[0] if found else certificate.subject.rfc4514_string()
        reason = self._distrust(certificate, carried) if signature.intact else ""
        if reason:
            return UNTRUSTED, signer, reason
        if not signature.intact or not _is_by(certificate, signature):
            return BAD, signer, "the content or the signature was changed"
        if person(author) not in map(person, found):
            return MISMATCH, signer, f"the message says it is from {author}"
        return GOOD, signer, ""

    def _distrust(self, certificate: x509.Certificate, carried: list[x509.Certificate]) -> str:
        """Return why a certificate isn't trusted to sign, "" when it is."""
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            return f"its certificate is valid from {first:%F} to {last:%F}"
        if not may_sign(certificate):
            return "its certificate is not for signatures"
        if not allows_mail(certificate):
            return "its certificate is not for mail (extended key usage)"
        if has_unknown(certificate):
            return "its certificate has a critical extension that we don't know"
        if certificate in self._trusted:
            return ""
        if not self._authorities:
            return "its certificate is not among the trusted ones"
        return self._distrust_issuers(certificate, carried, now)

    def _distrust_issuers(self, certificate: x509.Certificate, carried: list[x509.Certificate], now: datetime) -> str:
        """Return why no authority vouches for a certificate, "" when one does."""
        # One of a name: else those that have issued each other make so many chains that a message takes 15 ms.
        others = [one for one in reversed(carried) if one != certificate and one.subject != one.issuer]
        between = {one.subject: one for one in others if _is_authority(one)}
        if not self._issues.lead_to(certificate, between):
            return "nobody trusted vouches for its certificate (no CA that is trusted, or between, has signed it)"
        any_kind = verification.Criticality.AGNOSTIC
        anything = verification.ExtensionPolicy.permit_all()
        issuing = anything.require_present(x509.BasicConstraints, any_kind, None)
        issuing = issuing.may_be_present(x509.KeyUsage, any_kind, _check_issuing)
        issuing = issuing.may_be_present(x509.ExtendedKeyUsage, any_kind, _check_purpose)
        signing = anything.require_present(x509.SubjectAlternativeName, any_kind, None)
        policy = verification.PolicyBuilder().store(verification.Store(self._authorities)).time(now)
        policy = policy.max_chain_depth(_MAX_BETWEEN)
        verifier = policy.extension_policies(ca_policy=issuing, ee_policy=signing).build_client_verifier()
        try:
            verifier.verify(certificate, list(between.values()))
        except verification.VerificationError as error:
            return f"nobody trusted vouches for its certificate ({str(error).partition(' (enc')[0]})"
        return ""


class StoreReader(Reader):
    """A Reader with all that is in a store of keys, also what is put there meanwhile."""

    def __init__(self, store: KeyStore) -> None:
        super().__init__((), (), store.by_name)
        self._store = store
        self._seen: tuple[int, ...] | None = None

    def open(self, content_type: bytes, body: bytes) -> smime.Opened:
        """As Reader.open(). Raises ToolError for keys that can't be read, too."""
        changed = self._store.changed()
        if changed != self._seen:
            owned = self._store.owned()
            old = [one for ours in owned for uri in names(ours.certificate) for one in self._store.old(uri)]
            self._know([*owned, *old], [*self._store.trusted(), *(one.certificate for one in owned)])
            self._seen = changed
        return super().open(content_type, body)

    def _has_shown(self, certificate: x509.Certificate) -> None:
        """Keep it: later messages may leave it out."""
        with contextlib.suppress(ToolError):  # it may come again
            self._store.remember(certificate)


def make_reader(key: str | None, trust: Iterable[str]) -> Reader:
    """Return the Reader for the options of `inbox`; raises ToolError."""
    identity = read_identity("--smime-key", key) if key else None
    trusted = [one for path in trust for one in read_certificates("--smime-trust", path)]
    return Reader([] if identity is None else [identity], trusted)


def _nothing(_: bytes) -> None:
    return None


def _by_shared_key(opened: smime.Opened, author: str, unix: int | None) -> Verdict | None:
    """Return what is to be said of what a shared key has opened; None where that says nothing of who has written it.

    We have that key, too: what isn't in message/cpim could be a message of our own to him that somebody sends back.
    """
    sharer = opened.key.sharer if isinstance(opened.key, OurKey) else None
    if sharer is None or not opened.authenticated or media_type(opened.content_type) != CPIM:
        return None
    uri, key = sharer
    if person(author) != person(uri):
        return Verdict(MISMATCH, uri, f"the message says it is from {author}, by a key that {uri} shares", unix, None)
    digest = hashlib.sha256(hashlib.sha256(key).digest() + opened.body).hexdigest()
    if unix is None:
        return Verdict(UNDATED, uri, "no date is protected", None, digest)
    return Verdict(SHARED, uri, "", unix, digest)


def _is_by(certificate: x509.Certificate, signature: Signature) -> bool:
    """Was it made by the key of this certificate?"""
    key = certificate.public_key()
    hash = _HASHES[signature.hash]
    try:
        if is_rsa(key) and signature.kind == "rsa":
            key.verify(signature.value, signature.covered, padding.PKCS1v15(), hash)
        elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES and signature.kind == "ecdsa":
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


def _check_purpose(_: verification.Policy, certificate: x509.Certificate, __: x509.ExtendedKeyUsage | None) -> None:
    if not allows_mail(certificate):
        raise ValueError("not for mail")


def _digest(certificate: x509.Certificate, covered: bytes) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key = certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    return hashlib.sha256(hashlib.sha256(key).digest() + covered).hexdigest()
