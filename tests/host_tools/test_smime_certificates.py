"""R0-P12, R8591-7: what a signature is worth under each trick with certificates that we know of."""

from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from sipmote.agent.cms import mime, smime
from sipmote.agent.cms.der import SEQUENCE, encode
from sipmote.agent.cms.signing import build_signed
from sipmote.smime import reader
from sipmote.smime.reader import BAD, GOOD, MISMATCH, UNKNOWN, UNTRUSTED, Issues, Reader
from tests.host_tools.forged import (
    NAME_CONSTRAINTS,
    NOBODY_KNOWS,
    Forged,
    authority,
    forge,
    kind_of,
    purposes,
    raw_extension,
    uris,
    usage,
)

ALICE = "sip:alice@example.org"
HER = uris(ALICE.encode())
RSA = rsa.generate_private_key(65537, 2048)
MAIL, SERVER, CLIENT, CODE, STAMPS, OCSP = "4", "1", "2", "3", "8", "9"
ANY = "2.5.29.37.0"


def state(signer: Forged, trusted: Sequence[Forged] | Reader, beside: Sequence[Forged] = ()) -> str:
    """Return the state of a signature; beside: whose certificates come with the signer's."""
    key = signer.key

    def sign(octets: bytes) -> bytes:
        if kind_of(key) == "rsa":
            return bytes(key.sign(octets, padding.PKCS1v15(), hashes.SHA256()))
        return bytes(key.sign(octets) if kind_of(key) == "ed" else key.sign(octets, ec.ECDSA(hashes.SHA256())))

    kind = "rsa" if kind_of(key) == "rsa" else "ecdsa"
    carried = b"".join([one.der for one in (signer, *beside)])
    body = build_signed(mime.entity(b"text/plain", b"hot"), signer.by_issuer, kind, sign, carried)
    judge = trusted if isinstance(trusted, Reader) else Reader([], [one.certificate for one in trusted])
    verdict = judge.judge(judge.open(mime.SIGNED, body), ALICE, 1)
    assert verdict is not None
    return verdict.state


PINNED = {
    "nothing special": ([HER], {}, GOOD),
    "of a CA that is a person, as openssl req makes it": ([HER, authority()], {}, GOOD),
    "with RSA": ([HER], {"key": RSA}, GOOD),
    "expired": ([HER], {"days": (-9, -2)}, UNTRUSTED),
    "not yet valid": ([HER], {"days": (2, 9)}, UNTRUSTED),
    "valid the wrong way round": ([HER], {"days": (2, -2)}, UNTRUSTED),
    "valid for a century": ([HER], {"days": (-1, 36500)}, GOOD),
    "for signatures": ([HER, usage("digital_signature")], {}, GOOD),
    "for commitments": ([HER, usage("content_commitment")], {}, GOOD),
    "for agreeing on keys": ([HER, usage("key_agreement")], {}, UNTRUSTED),
    "for encryption": ([HER, usage("key_encipherment", "data_encipherment")], {}, UNTRUSTED),
    "for issuing alone": ([HER, usage("key_cert_sign", "crl_sign")], {}, UNTRUSTED),
    "for mail": ([HER, purposes(MAIL)], {}, GOOD),
    "for mail, critically": ([HER, purposes(MAIL, critical=True)], {}, GOOD),
    "for mail and servers": ([HER, purposes(SERVER, MAIL)], {}, GOOD),
    "for any purpose": ([HER, purposes(ANY)], {}, GOOD),
    "for servers": ([HER, purposes(SERVER)], {}, UNTRUSTED),
    "for servers, critically": ([HER, purposes(SERVER, critical=True)], {}, UNTRUSTED),
    "for clients": ([HER, purposes(CLIENT)], {}, UNTRUSTED),
    "for code": ([HER, purposes(CODE)], {}, UNTRUSTED),
    "for time stamps and OCSP": ([HER, purposes(STAMPS, OCSP)], {}, UNTRUSTED),
    "for mail, but not for signatures": ([HER, purposes(MAIL), usage("key_agreement")], {}, UNTRUSTED),
    "for signatures, but not for mail": ([HER, purposes(SERVER), usage("digital_signature")], {}, UNTRUSTED),
    "for what nobody knows": ([HER, purposes("1.2.3.4")], {}, UNTRUSTED),
    "a critical extension that nobody knows": ([HER, raw_extension(NOBODY_KNOWS, b"\5\0")], {}, UNTRUSTED),
    "another one that nobody knows": ([HER, raw_extension(NOBODY_KNOWS, b"\5\0", False)], {}, GOOD),
    "no name": ([], {}, MISMATCH),
    "her name in the subject": ([], {"name": ALICE}, MISMATCH),
    "her address of mail": ([uris(b"alice@example.org", tag=0x81)], {}, MISMATCH),
    "her URI as one of mail": ([uris(ALICE.encode(), tag=0x81)], {}, MISMATCH),
    "her domain by DNS": ([uris(b"example.org", tag=0x82)], {}, MISMATCH),
    "her URI by DNS": ([uris(ALICE.encode(), tag=0x82)], {}, MISMATCH),
    "her domain": ([uris(b"sip:example.org")], {}, MISMATCH),
    "everybody in her domain": ([uris(b"sip:*@example.org")], {}, MISMATCH),
    "another of her domain": ([uris(b"sip:bob@example.org")], {}, MISMATCH),
    "a domain below": ([uris(b"sip:alice@a.example.org")], {}, MISMATCH),
    "a domain that ends alike": ([uris(b"sip:alice@anexample.org")], {}, MISMATCH),
    "a web page": ([uris(b"https://alice@example.org")], {}, MISMATCH),
    "a NUL behind it": ([uris(b"sip:alice@example.org\0.example.com")], {}, MISMATCH),
    "a NUL in it": ([uris(b"sip:alice\0@example.org")], {}, MISMATCH),
    "a blank behind it": ([uris(b"sip:alice@example.org ")], {}, MISMATCH),
    "a line end behind it": ([uris(b"sip:alice@example.org\r\n")], {}, MISMATCH),
    "another user, then hers as a host": ([uris(b"sip:bob@alice@example.org")], {}, MISMATCH),
    "with a password": ([uris(b"sip:alice:x@example.org")], {}, MISMATCH),
    "her name in capitals": ([uris(b"sip:ALICE@example.org")], {}, MISMATCH),
    "her host in capitals": ([uris(b"SIP:alice@EXAMPLE.org")], {}, GOOD),
    "her name with escapes": ([uris(b"sip:%61lice@example.org")], {}, GOOD),
    "im:": ([uris(b"im:alice@example.org")], {}, GOOD),
    "sips:": ([uris(b"sips:alice@example.org")], {}, GOOD),
    "the second of two": ([uris(b"sip:bob@example.org", ALICE.encode())], {}, GOOD),
    "no octets of a name": ([uris(b"")], {}, MISMATCH),
    "names twice": ([HER, uris(b"sip:bob@example.org")], {}, None),
    "names that are none": ([raw_extension(b"\x55\x1d\x11", b"\4\1x")], {}, None),
    "a key usage that is none": ([HER, raw_extension(b"\x55\x1d\x0f", b"\4\1x")], {}, None),
    "a version that there isn't": ([HER], {"version": 6}, None),
    "RSA of 1024 bits": ([HER], {"key": rsa.generate_private_key(65537, 1024)}, BAD),
    "P-384": ([HER], {"key": ec.generate_private_key(ec.SECP384R1())}, GOOD),
    "P-521": ([HER], {"key": ec.generate_private_key(ec.SECP521R1())}, GOOD),
    "P-192": ([HER], {"key": ec.generate_private_key(ec.SECP192R1())}, BAD),
    "P-224": ([HER], {"key": ec.generate_private_key(ec.SECP224R1())}, BAD),
    "a curve of Bitcoin": ([HER], {"key": ec.generate_private_key(ec.SECP256K1())}, BAD),
    "Ed25519": ([HER], {"key": ed25519.Ed25519PrivateKey.generate()}, BAD),
}


@pytest.mark.parametrize("trick", PINNED)
def test_a_certificate_that_is_trusted_itself(trick: str) -> None:
    extensions, parts, worth = PINNED[trick]
    signer = forge(*extensions, **parts)
    if worth is None:  # it can't be read: no file of trusted ones may have it, and carried along it is nothing
        assert state(signer, []) == UNKNOWN
    else:
        assert state(signer, [signer]) == worth
        assert state(signer, []) in (UNTRUSTED, BAD)


ROOT = forge(authority(), name="root")
BETWEEN = forge(authority(), by=ROOT, name="between")
CONSTRAINT = raw_extension(
    NAME_CONSTRAINTS, encode(SEQUENCE, encode(0xA0, encode(SEQUENCE, encode(0x86, b"b.example"))))
)
EXCLUSION = raw_extension(
    NAME_CONSTRAINTS, encode(SEQUENCE, encode(0xA1, encode(SEQUENCE, encode(0x86, b"example.org"))))
)


def below(*extensions: bytes, **parts: object) -> tuple[Forged, list[Forged], list[Forged]]:
    """Return alice's certificate, issued by a trusted authority of this kind."""
    top = forge(*extensions, name="top", **parts)  # type: ignore[arg-type]
    return forge(HER, by=top), [top], []


def by_way_of(*extensions: bytes, **parts: object) -> tuple[Forged, list[Forged], list[Forged]]:
    """Return alice's certificate, issued by one of this kind that ROOT has issued."""
    parts.setdefault("by", ROOT)
    between = forge(*extensions, name="between", **parts)  # type: ignore[arg-type]
    return forge(HER, by=between), [ROOT], [between]


def by_root(*extensions: bytes, **parts: object) -> tuple[Forged, list[Forged], list[Forged]]:
    parts.setdefault("by", ROOT)
    return forge(*extensions, **parts), [ROOT], []  # type: ignore[arg-type]


def deep(levels: int) -> tuple[Forged, list[Forged], list[Forged]]:
    """Return alice's certificate with so many between ROOT and it."""
    between = [ROOT]
    for level in range(levels):
        between.append(forge(authority(), by=between[-1], name=f"level {level}"))
    return forge(HER, by=between[-1]), [ROOT], between[1:]


def loop() -> tuple[Forged, list[Forged], list[Forged]]:
    """Return alice's certificate by one of two that have issued each other."""
    one = forge(authority(), name="one")
    two = forge(authority(), name="two", by=one)
    one = forge(authority(), name="one", by=two, key=one.key)
    return forge(HER, by=one), [ROOT], [one, two]


def length(pathlen: int) -> tuple[Forged, list[Forged], list[Forged]]:
    top = forge(authority(length=pathlen), name="top")
    between = forge(authority(), by=top, name="between")
    return forge(HER, by=between), [top], [between]


def by_a_person() -> tuple[Forged, list[Forged], list[Forged]]:
    bob = forge(uris(b"sip:bob@example.org"), authority(), name="bob")
    return forge(HER, by=bob), [bob], []


def by_an_issued_person() -> tuple[Forged, list[Forged], list[Forged]]:
    bob = forge(uris(b"sip:bob@example.org"), by=ROOT, name="bob")
    return forge(HER, by=bob), [ROOT], [bob]


ISSUED = {
    "nothing special": (lambda: by_root(HER), GOOD),
    "RSA by P-256": (lambda: by_root(HER, key=RSA), GOOD),
    "P-256 by RSA": (lambda: below(authority(), key=RSA), GOOD),
    "by P-384": (lambda: below(authority(), key=ec.generate_private_key(ec.SECP384R1())), GOOD),
    "by RSA of 1024 bits": (lambda: below(authority(), key=rsa.generate_private_key(65537, 1024)), UNTRUSTED),
    "by P-192": (lambda: below(authority(), key=ec.generate_private_key(ec.SECP192R1())), UNTRUSTED),
    "expired": (lambda: by_root(HER, days=(-9, -2)), UNTRUSTED),
    "not yet valid": (lambda: by_root(HER, days=(2, 9)), UNTRUSTED),
    "for servers": (lambda: by_root(HER, purposes(SERVER)), UNTRUSTED),
    "for clients": (lambda: by_root(HER, purposes(CLIENT)), UNTRUSTED),
    "for mail": (lambda: by_root(HER, purposes(MAIL)), GOOD),
    "not for signatures": (lambda: by_root(HER, usage("key_agreement")), UNTRUSTED),
    "another's name": (lambda: by_root(uris(b"sip:bob@example.org")), MISMATCH),
    "names that count": (
        lambda: by_root(raw_extension(b"\x55\x1d\x11", encode(SEQUENCE, encode(0x86, ALICE.encode())))),
        GOOD,
    ),
    "no name": (lambda: by_root(authority(False)), UNTRUSTED),
    "a critical extension that nobody knows": (lambda: by_root(HER, raw_extension(NOBODY_KNOWS, b"\5\0")), UNTRUSTED),
    "another that nobody knows": (lambda: by_root(HER, raw_extension(NOBODY_KNOWS, b"\5\0", False)), GOOD),
    "signed with SHA-1": (lambda: by_root(HER, hash="sha1"), UNTRUSTED),
    "signed with RSA and SHA-1": (
        lambda: by_root(HER, by=forge(authority(), key=RSA, name="root"), hash="sha1"),
        UNTRUSTED,
    ),
    "two algorithms": (lambda: by_root(HER, inner_hash="sha1"), UNTRUSTED),
    "by the root's name, with another key": (lambda: by_root(HER, signed_by=RSA), UNTRUSTED),
    "by the root's name, with her own key": (lambda: by_root(HER, by=None, issuer="root"), UNTRUSTED),
    "by the root's key, under another name": (lambda: by_root(HER, issuer="roof"), UNTRUSTED),
    "a root of the same name": (lambda: by_root(HER, by=forge(authority(), name="root")), UNTRUSTED),
    "a root of the same name, sent along": (
        lambda: (lambda other: (forge(HER, by=other), [ROOT], [other]))(forge(authority(), name="root")),
        UNTRUSTED,
    ),
    "version 1": (lambda: by_root(version=None), UNTRUSTED),
    "an authority of version 1": (lambda: below(version=None), UNTRUSTED),
    "an authority without constraints": (lambda: below(), UNTRUSTED),
    "an authority that is none": (lambda: below(authority(False)), UNTRUSTED),
    "an authority with a key usage": (lambda: below(authority(), usage("key_cert_sign")), GOOD),
    "an authority that may not issue": (lambda: below(authority(), usage("digital_signature")), UNTRUSTED),
    "an authority for mail": (lambda: below(authority(), purposes(MAIL)), GOOD),
    "an authority for servers": (lambda: below(authority(), purposes(SERVER)), UNTRUSTED),
    "an expired authority": (lambda: below(authority(), days=(-9, -2)), UNTRUSTED),
    "an authority of tomorrow": (lambda: below(authority(), days=(2, 9)), UNTRUSTED),
    "an authority with a strange critical extension": (
        lambda: below(authority(), raw_extension(NOBODY_KNOWS, b"\5\0")),
        UNTRUSTED,
    ),
    "an authority for other names": (lambda: below(authority(), CONSTRAINT), UNTRUSTED),
    "an authority for all but hers": (lambda: below(authority(), EXCLUSION), UNTRUSTED),
    "between": (lambda: by_way_of(authority()), GOOD),
    "between that is none": (lambda: by_way_of(authority(False)), UNTRUSTED),
    "between without constraints": (lambda: by_way_of(uris(b"sip:b@example.org")), UNTRUSTED),
    "between for mail": (lambda: by_way_of(authority(), purposes(MAIL)), GOOD),
    "between for servers": (lambda: by_way_of(authority(), purposes(SERVER)), UNTRUSTED),
    "between that may issue": (lambda: by_way_of(authority(), usage("key_cert_sign")), GOOD),
    "between that may not": (lambda: by_way_of(authority(), usage("digital_signature")), UNTRUSTED),
    "an expired between": (lambda: by_way_of(authority(), days=(-9, -2)), UNTRUSTED),
    "a between of tomorrow": (lambda: by_way_of(authority(), days=(2, 9)), UNTRUSTED),
    "between with SHA-1": (lambda: by_way_of(authority(), hash="sha1"), UNTRUSTED),
    "a forged between": (lambda: by_way_of(authority(), signed_by=RSA), UNTRUSTED),
    "between for other names": (lambda: by_way_of(authority(), CONSTRAINT), UNTRUSTED),
    "between for all but hers": (lambda: by_way_of(authority(), EXCLUSION), UNTRUSTED),
    "between with a strange critical extension": (
        lambda: by_way_of(authority(), raw_extension(NOBODY_KNOWS, b"\5\0")),
        UNTRUSTED,
    ),
    "between that isn't sent": (lambda: (forge(HER, by=BETWEEN), [ROOT], []), UNTRUSTED),
    "two between": (lambda: deep(2), GOOD),
    "three between": (lambda: deep(3), UNTRUSTED),
    "a loop of issuers": (loop, UNTRUSTED),
    "a path of 0 with one between": (lambda: length(0), UNTRUSTED),
    "a path of 1 with one between": (lambda: length(1), GOOD),
    "by a person whom we trust": (by_a_person, UNTRUSTED),
    "by a person whom the root has issued": (by_an_issued_person, UNTRUSTED),
    "by herself, beside the root": (lambda: (forge(HER, authority()), [ROOT], [ROOT]), UNTRUSTED),
}


@pytest.mark.parametrize("trick", ISSUED)
def test_a_certificate_that_an_authority_has_issued(trick: str) -> None:
    make, worth = ISSUED[trick]
    assert state(*make()) == worth


@pytest.mark.parametrize("chain", ["made up", "copied", "between", "pinned"])
def test_no_key_of_a_stranger_is_tried(chain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a chain that he makes up one signature is looked at, by a key that is trusted; copied ones once for all"""
    tried: list[tuple[str, bool]] = []
    monkeypatch.setattr(reader, "_is_by", lambda *_: pytest.fail("his signature was looked at"))
    has = Issues._has

    def watch(issues: Issues, issued: x509.Certificate, issuer: x509.Certificate) -> bool:
        is_known = issuer.fingerprint(hashes.SHA256()) + issued.fingerprint(hashes.SHA256()) in issues._good
        found = has(issues, issued, issuer)
        if not is_known:
            tried.append((issued.subject.rfc4514_string(), found))
        return found

    monkeypatch.setattr(Issues, "_has", watch)
    trusted = [ROOT]
    if chain == "made up":
        fake = forge(authority(), name="root")
        one = forge(authority(), by=fake, name="one")
        signer, beside = forge(HER, by=one), [one, fake]
    elif chain == "copied":
        signer, beside = forge(HER, by=BETWEEN, signed_by=RSA), [BETWEEN]
    elif chain == "between":
        signer, beside = forge(HER, by=forge(HER, name="top"), signed_by=RSA), [BETWEEN]
    else:
        signer, beside, trusted = forge(HER), [], [forge(HER)]
    judge = Reader([], [one.certificate for one in trusted])
    assert [state(signer, judge, beside) for _ in range(3)] == [UNTRUSTED] * 3
    failed = {"made up": [("CN=one", False)], "copied": [("CN=somebody", False)]}.get(chain, [])
    first = [("CN=between", True)] if chain == "copied" else []
    assert tried == first + 3 * failed


def test_a_message_is_judged_without_a_look_into_all_that_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else who trusts hundreds of boards pays for each of them with every message, a stranger's too"""
    judge = Reader([], [ROOT.certificate, BETWEEN.certificate])
    named, read = reader.identifiers, []

    def watch(certificate: x509.Certificate) -> tuple[bytes, ...]:
        read.append(certificate.subject.rfc4514_string())
        return named(certificate)

    monkeypatch.setattr(reader, "identifiers", watch)
    assert state(forge(HER), judge) == UNTRUSTED and read == ["CN=somebody"]


def test_what_is_remembered_of_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MAX_ISSUES", 2)
    issues = Issues([ROOT.certificate])
    for _ in range(3):
        assert issues.lead_to(forge(HER, by=ROOT).certificate, {})
        assert not issues.lead_to(forge(HER, by=BETWEEN).certificate, {})
    assert len(issues._good) == 2


def test_the_wrong_certificate_for_a_signature_makes_it_bad() -> None:
    """Somebody else's under her issuer and serial number, one that was cut, one with more behind it"""
    alice = forge(HER, name="alice", serial=b"\x01")
    other = forge(HER, name="alice", serial=b"\x01")
    assert state(Forged(alice.key, alice.name, other.der, alice.by_issuer), [other]) == BAD
    for der in (alice.der[:-1], alice.der + b"\5\0", alice.der[:40] + bytes([alice.der[40] ^ 1]) + alice.der[41:]):
        try:
            assert state(Forged(alice.key, alice.name, der, alice.by_issuer), []) in (UNKNOWN, UNTRUSTED, BAD)
        except smime.ParseError:
            continue
