"""The store of keys: what is ours, what is trusted, what is shared, and files that are broken."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sipmote.agent.errors import UsageError
from sipmote.errors import ToolError
from sipmote.smime import store as store_module
from sipmote.smime.guard import Guard
from sipmote.smime.keys import Identity, identifiers, names
from sipmote.smime.reader import Reader, StoreReader
from sipmote.smime.store import KeyStore
from sipmote.smime.writer import Writer

DESK = "sip:desk@example.org"
BOILER = "sip:boiler@example.org"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return KeyStore()


def test_a_key_of_ours_is_for_its_owner_alone_and_signs_and_decrypts(store: KeyStore) -> None:
    """R0-P17, R8591-7: the certificate names its owner"""
    made = store.create("sip:Desk@Example.ORG;transport=tcp")
    assert names(made.certificate) == ["sip:Desk@Example.ORG;transport=tcp"]
    path = store.folder / "own" / "Desk@example.org.pem"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert len(identifiers(made.certificate)[0]) == 10  # a short one: each octet travels in every message
    again = store.own("im:Desk@example.org")
    assert again is not None and again.certificate == made.certificate
    assert store.own(DESK) is None  # a user's name has its case
    body = Writer(made, made.certificate, False).protect(b"text/plain", b"hot")
    reader = Reader([again], [made.certificate])
    opened = reader.open(*body)
    verdict = reader.judge(opened, "sip:Desk@example.org", 1)
    assert opened.body == b"hot" and opened.authenticated and verdict is not None and verdict.is_good


def test_a_key_is_made_once_and_rotated_with_the_old_one_left_to_decrypt(store: KeyStore) -> None:
    first = store.create(DESK)
    with pytest.raises(ToolError, match=r"there is a key for .* already: sipmote keys rotate"):
        store.create(DESK)
    second = store.rotate(DESK)
    found = store.own(DESK)
    assert found is not None and found.certificate == second.certificate != first.certificate
    assert [one.certificate for one in store.old(DESK)] == [first.certificate]
    assert [one.certificate for one in store.owned()] == [second.certificate]
    with pytest.raises(ToolError, match="there is no key for sip:nobody@x: sipmote keys create"):
        store.rotate("sip:nobody@x")


def test_a_board_is_trusted_by_its_own_certificate_and_by_who_has_issued_it(store: KeyStore) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = store.issue(BOILER, key.public_key())
    assert store.certificate(BOILER) == certificate
    content_type, body = Writer(Identity(key, certificate), None, True).protect(b"text/plain", b"hot")
    authority = store.authority().certificate
    assert store.authority().certificate == authority  # one for all boards
    for trusted in ([certificate], [authority], store.trusted()):
        reader = Reader([], trusted)
        verdict = reader.judge(reader.open(content_type, body), BOILER, 1)
        assert verdict is not None and verdict.is_good
    reader = Reader([], [store.create(DESK).certificate])
    verdict = reader.judge(reader.open(content_type, body), BOILER, 1)
    assert verdict is not None and verdict.state == "untrusted"


def test_what_is_shared_is_found_by_person_and_by_name(store: KeyStore) -> None:
    name, key = store.share("sip:boiler@example.org;transport=tcp")
    assert store.shared(BOILER) == (name, key) and len(key) == 16
    assert store.by_name(name) == ("sip:boiler@example.org;transport=tcp", key)
    assert store.by_name(b"other") is None and store.shared(DESK) is None
    assert (store.folder / "shared.json").stat().st_mode & 0o777 == 0o600
    store.share(BOILER)
    assert store.by_name(name) is None


def test_a_policy_of_ones_own_goes_before_that_of_all(store: KeyStore) -> None:
    assert store.policy(BOILER) == ("prefer", "prefer")
    store.set_policy("*", "require", None)
    store.set_policy("sip:boiler@example.org:5062", None, "require")
    assert store.policy(BOILER) == ("require", "require")
    assert store.policy(DESK) == ("require", "prefer")


def test_a_shown_certificate_is_remembered(store: KeyStore) -> None:
    shown = KeyStore(store.folder.with_name("elsewhere")).create(BOILER).certificate
    store.remember(shown)
    assert store.certificate(BOILER) == shown in store.trusted()


@pytest.mark.parametrize("days", [5, -5])
def test_a_certificate_that_was_renewed_for_the_same_key_is_learned_when_it_is_shown(
    days: int, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R8591-9: also when the one before has ended meanwhile; both have the name of their key"""
    theirs = KeyStore(store.folder.with_name("theirs"))
    key = ec.generate_private_key(ec.SECP256R1())
    with monkeypatch.context() as then:
        then.setattr(store_module, "_SKEW", timedelta(days=10))
        before = theirs.issue(BOILER, key.public_key(), days)
    renewed = theirs.issue(BOILER, key.public_key())
    for one in (theirs.authority().certificate, before):
        store.trust(one)
    reader = StoreReader(store)
    opened = reader.open(*Writer(Identity(key, renewed), None, True).protect(b"text/plain", b"hot"))
    verdict = reader.judge(opened, BOILER, 1)
    assert verdict is not None and verdict.is_good
    assert store.certificate(BOILER) == renewed


def test_what_is_put_there_is_noticed_after_a_clock_was_set_back(store: KeyStore) -> None:
    store.create(DESK)
    ahead = time.time() + 9000
    os.utime(store.folder / "own", (ahead, ahead))
    before = store.changed()
    store.remember(KeyStore(store.folder.with_name("elsewhere")).create(BOILER).certificate)
    assert store.changed() != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, text) for name in ("shared.json", "policy.json") for text in ("[]", "{", "[" * 100_000, '{"a": 1}')),
        ("shared.json", '{"a": {"uri": "sip:a@b"}}'),
        ("shared.json", '{"a": {"uri": "sip:a@b", "name": "x", "key": 1}}'),
    ],
)
def test_a_file_that_is_broken_is_named(name: str, text: str, store: KeyStore) -> None:
    store.share(BOILER)
    (store.folder / name).write_text(text)
    with pytest.raises(ToolError, match=f"{name} can't be understood"):
        store.shared(BOILER) if name == "shared.json" else store.policy(BOILER)


@pytest.mark.parametrize("uri", ["sip:example.org", "tel:123", "mailto:a@b", "sip:", "desk"])
def test_keys_are_for_persons(uri: str, store: KeyStore) -> None:
    with pytest.raises(ToolError):
        store.create(uri)


@pytest.mark.parametrize("uri", ["sip:example.org", "sip:192.0.2.1:5070", "tel:+4912345", f"sip:{'a' * 300}@x"])
def test_who_can_have_no_key_is_written_to_in_clear_unless_that_is_forbidden(uri: str, store: KeyStore) -> None:
    store.create(DESK)
    guard = Guard(store)
    assert guard.writer(DESK.encode(), uri.encode()) is None and guard.writer(uri.encode(), BOILER.encode()) is None
    store.set_policy("*", "require", None)
    with pytest.raises(UsageError, match="to whom nothing goes in clear"):
        guard.writer(DESK.encode(), uri.encode())
    with pytest.raises(ToolError):
        store.create(uri)


def test_the_same_key_imported_twice_leaves_the_one_before_to_decrypt(store: KeyStore) -> None:
    first = store.create(DESK)
    imported = KeyStore(store.folder.with_name("elsewhere")).create(DESK)
    store.adopt(imported)
    store.adopt(imported)
    assert [one.certificate for one in store.old(DESK)] == [first.certificate]


@pytest.mark.parametrize("user", ["..", "a%2fb", "a%00b", "%ff", ".", "%2e%2e%2f%2e%2e"])
def test_no_name_leads_out_of_the_folder(user: str, store: KeyStore) -> None:
    certificate = KeyStore(store.folder.with_name("elsewhere")).create(f"sip:{user}@example.org").certificate
    store.remember(certificate)
    found = [path for path in store.folder.parent.rglob("*.pem") if "elsewhere" not in path.parts]
    assert [path.parent for path in found] == [store.folder / "trusted"]
    assert store.certificate(f"sip:{user}@example.org") == certificate
