"""`sipmote keys`, and the store of keys behind it."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sipmote.__main__ import main
from sipmote.people import write_name
from sipmote.smime import store as store_module
from sipmote.smime.guard import Guard
from sipmote.smime.keys import Identity, allows_mail, identifiers, may_receive, may_sign, names
from sipmote.smime.store import KeyStore, fingerprint
from tests.host_tools.certificates import issue

DESK = "sip:desk@example.org"
BOILER = "sip:boiler@example.org"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "sipmote" / "keys"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["keys", *words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["keys", *words]) == 1
    return capsys.readouterr().err


def answered(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[str]:
    """Have each question answered; returns the list that they go to."""
    asked: list[str] = []
    monkeypatch.setattr("sipmote.commands.keys.ask_person", lambda question: asked.append(question) or answer)
    return asked


def other(tmp_path: Path, uri: str = BOILER) -> x509.Certificate:
    """Return the certificate of somebody with a store of his own."""
    return KeyStore(tmp_path / os.urandom(4).hex()).create(uri).certificate


def pem_of(path: Path, certificate: x509.Certificate) -> str:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return str(path)


def test_a_key_that_is_made_signs_and_is_encrypted_to_and_has_the_short_identifier(folder: Path) -> None:
    identity = KeyStore().create(DESK)
    certificate = identity.certificate
    assert names(certificate) == [DESK] and allows_mail(certificate)
    assert may_sign(certificate) and may_receive(certificate)
    assert identifiers(certificate)[0][:2] == b"\x80\x08" and len(identifiers(certificate)[0]) == 10
    certificate.verify_directly_issued_by(certificate)
    found = KeyStore().own("sips:desk@EXAMPLE.org;transport=tcp")
    assert found is not None and found.certificate == certificate
    assert KeyStore().own(BOILER) is None and KeyStore().old(DESK) == []


def test_files_of_keys_are_for_their_owner_alone(folder: Path) -> None:
    store = KeyStore()
    store.create(DESK)
    store.rotate(DESK)
    store.authority()
    store.share(DESK)
    paths = [folder.parent, folder, *folder.rglob("*")]
    assert {path.name for path in paths} >= {"desk@example.org.pem", "desk@example.org.pem.old", "authority.pem"}
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_rotation_that_is_cut_leaves_the_key_that_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore()
    before = store.create(DESK).certificate
    whole = store_module.write_whole
    for allowed in (0, 1):
        left = [allowed]

        def cut(path: Path, text: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            whole(path, text)

        monkeypatch.setattr(store_module, "write_whole", cut)
        with pytest.raises(KeyboardInterrupt):
            store.rotate(DESK)
        own = store.own(DESK)
        assert own is not None and own.certificate == before
    monkeypatch.setattr(store_module, "write_whole", whole)
    after = store.rotate(DESK).certificate
    assert after != before and [one.certificate for one in store.old(DESK)] == [before]


def test_the_authority_vouches_for_a_board_which_is_trusted_from_then_on(folder: Path) -> None:
    store, key = KeyStore(), ec.generate_private_key(ec.SECP256R1())
    certificate = store.issue(BOILER, key.public_key())
    authority = store.authority().certificate
    certificate.verify_directly_issued_by(authority)
    assert store.trusted() == [certificate, authority] and store.certificate(BOILER) == certificate


def test_a_certificate_that_is_older_than_the_one_we_have_is_not_remembered(tmp_path: Path) -> None:
    theirs = KeyStore(tmp_path / "theirs")
    old = theirs.create(BOILER).certificate
    store = KeyStore()
    store.remember(old)
    assert store.certificate(BOILER) == old
    authority = theirs.authority()
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(extensions=list(old.extensions)).subject_name(old.subject).serial_number(7)
    builder = builder.issuer_name(old.subject).public_key(key.public_key()).not_valid_after(old.not_valid_after_utc)
    day = store_module.timedelta(days=1)
    newer, older = (
        builder.not_valid_before(old.not_valid_before_utc + step).sign(authority.key, store_module.hashes.SHA256())
        for step in (day, -day)
    )
    store.remember(newer)
    store.remember(older)
    store.remember(old)
    assert store.certificate(BOILER) == newer


def test_create_says_whose_key_it_is_and_refuses_to_make_another(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = said(capsys, "create", DESK, "--days", "90")
    certificate = KeyStore().certificate(DESK)
    assert certificate is not None
    assert line == {
        "event": "created",
        "uri": DESK,
        "kind": "ours",
        "fingerprint": fingerprint(certificate),
        "valid_until": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "warning": None,
    }
    assert [len(group) for group in line["fingerprint"].split()] == [5] * 8
    assert f"sipmote keys rotate {DESK}" in complaint(capsys, "create", DESK)
    assert said(capsys, "rotate", DESK)[0]["fingerprint"] != line["fingerprint"]


def test_names_stand_for_uris_and_what_is_neither_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    KeyStore().create(BOILER)
    write_name("boiler", BOILER)
    assert said(capsys, "show", "boiler")[0]["uri"] == BOILER
    assert "a name that `sipmote names add` has made" in complaint(capsys, "create", "boler")
    assert "a key is for a user" in complaint(capsys, "create", "sip:example.org")
    assert "sipmote keys create URI" in complaint(capsys, "create")


def test_a_uri_longer_than_a_files_name_may_be_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sip:{'a' * 300}@example.org"
    assert "too long for a key" in complaint(capsys, "create", uri)
    assert "there is no key of sip:aaa" in complaint(capsys, "show", uri)


def test_what_ends_within_a_month_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    KeyStore().create(DESK, 20)
    assert said(capsys, "show")[0]["warning"] == f"expires within a month: sipmote keys rotate {DESK}"
    assert said(capsys, "rotate", DESK)[0]["warning"] is None


def test_what_ends_within_a_month_has_its_remedy(tmp_path: Path) -> None:
    """Ours, a board's, and somebody else's, as an inbox says each day"""
    store = KeyStore()
    store.create(DESK, 20)
    store.issue(BOILER, ec.generate_private_key(ec.SECP256R1()).public_key(), 20)
    store.trust(issue(tmp_path, "alice", "sip:alice@example.org", days=(-1, 20)).certificate)
    store.trust(issue(tmp_path, "bob", "sip:bob@example.org", days=(-1, 40)).certificate)
    told = {text.split()[3]: text.rpartition(": ")[2] for text in Guard(store).ending()}
    assert told == {
        DESK: f"sipmote keys rotate {DESK}",
        BOILER: "sipmote provision --protect",
        "sip:alice@example.org": "ask for the new one, and sipmote keys trust FILE",
    }


def test_a_key_that_somebody_has_certified_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And the one before still decrypts"""
    before = KeyStore().create(DESK).certificate
    for kind in ("ec", "rsa"):
        made = issue(tmp_path, "desk", DESK, kind=kind)
        assert said(capsys, "import", made.path)[0]["event"] == "imported"
        assert certificate_of(KeyStore().own(DESK)) == made.certificate
        assert [certificate_of(one) for one in KeyStore().old(DESK)] == [before]
        before = made.certificate
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    for made, words in (
        (issue(tmp_path, "nobody"), "names no SIP URI"),
        (issue(tmp_path, "web", DESK, extensions=[usage]), "is not for mail"),
        (issue(tmp_path, "old", DESK, days=(-9, -1)), "get another"),
    ):
        assert words in complaint(capsys, "import", made.path)
    assert "no certificate in it belongs to its key" in complaint(capsys, "import", mixed(tmp_path))
    assert certificate_of(KeyStore().own(DESK)) == before


def certificate_of(identity: Identity | None) -> x509.Certificate:
    assert identity is not None
    return identity.certificate


def mixed(folder: Path) -> str:
    """Return a file with a key, and with the certificate of another one."""
    one, other = (issue(folder, name, DESK) for name in ("one", "other"))
    path = folder / "mixed.pem"
    key = Path(one.path).read_text().partition("-----BEGIN CERT")[0]
    path.write_text(key + Path(other.certificate_path).read_text())
    return str(path)


def test_no_secret_is_ever_shown_or_exported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "desk.pem"
    for words in (("create", DESK), ("share", BOILER), ("export", DESK), ("export", DESK, str(file)), ("show",)):
        assert main(["keys", *words]) == 0
    shown = capsys.readouterr()
    shared = KeyStore().shared(BOILER)
    assert shared is not None
    text = shown.out + shown.err + file.read_text()
    assert "PRIVATE" not in text and shared[1].hex() not in text and shared[0].hex() in text
    assert x509.load_pem_x509_certificate(file.read_bytes()) == KeyStore().certificate(DESK)
    assert "is there already" in complaint(capsys, "export", DESK, str(file))
    assert "no certificate of" in complaint(capsys, "export", BOILER)


def test_trust_asks_with_name_and_fingerprint_and_again_before_it_replaces(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = other(tmp_path), other(tmp_path)
    asked = answered(monkeypatch, "")
    assert "nothing was changed" in complaint(capsys, "trust", pem_of(tmp_path / "1.pem", first))
    assert KeyStore().trusted() == [] and BOILER in asked[0] and fingerprint(first) in asked[0]
    asked = answered(monkeypatch, "y")
    assert said(capsys, "trust", str(tmp_path / "1.pem"))[0]["event"] == "trusted"
    assert said(capsys, "trust", str(tmp_path / "1.pem"))[0]["event"] == "unchanged" and len(asked) == 1
    (tmp_path / "2.der").write_bytes(second.public_bytes(Encoding.DER))
    assert said(capsys, "trust", str(tmp_path / "2.der"))[0]["event"] == "replaced"
    assert fingerprint(first) in asked[1] and fingerprint(second) in asked[1]
    assert KeyStore().trusted() == [second]


def test_trust_refuses_what_names_nobody_unless_it_is_an_authoritys(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    certificate = other(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(certificate.issuer, certificate.subject, key.public_key(), 1)
    builder = builder.not_valid_before(certificate.not_valid_before_utc)
    nobody = builder.not_valid_after(certificate.not_valid_after_utc).sign(key, store_module.hashes.SHA256())
    assert "names no SIP URI" in complaint(capsys, "trust", pem_of(tmp_path / "n.pem", nobody), "--yes")
    (tmp_path / "x.pem").write_text("nothing")
    assert "a certificate in PEM was expected" in complaint(capsys, "trust", str(tmp_path / "x.pem"), "--yes")
    assert "No such file" in complaint(capsys, "trust", str(tmp_path / "none.pem"))
    authority = KeyStore(tmp_path / "other").authority().certificate
    assert said(capsys, "trust", pem_of(tmp_path / "a.pem", authority), "--yes")[0]["kind"] == "authority"
    assert KeyStore().trusted() == [authority]


def test_a_key_that_is_shared_is_replaced_only_after_a_question(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = said(capsys, "share", BOILER)[0]["name"]
    found = KeyStore().by_name(bytes.fromhex(name))
    assert found is not None and found[0] == BOILER and len(found[1]) == 16
    answered(monkeypatch, "n")
    assert "nothing was changed" in complaint(capsys, "share", BOILER)
    assert KeyStore().by_name(bytes.fromhex(name)) == found
    assert {"event": "key", "uri": BOILER, "kind": "shared"} in said(capsys, "show")


def test_a_policy_is_for_one_or_for_all_who_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "policy") == [{"event": "policy", "uri": "*", "send": "prefer", "take": "prefer"}]
    said(capsys, "policy", "*", "--take", "require")
    (line,) = said(capsys, "policy", BOILER, "--send", "ignore")
    assert line == {"event": "policy", "uri": BOILER, "send": "ignore", "take": "require"}
    assert KeyStore().policy(DESK) == ("prefer", "require")
    assert "whose policy?" in complaint(capsys, "policy", "--send", "require")
    assert "not for create" in complaint(capsys, "create", DESK, "--send", "require")


def test_a_damaged_file_is_told_and_stays_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "share", BOILER)
    (folder / "shared.json").write_text("{")
    assert "can't be understood" in complaint(capsys, "share", DESK)
    assert (folder / "shared.json").read_text() == "{"
