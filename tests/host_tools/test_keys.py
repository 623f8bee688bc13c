"""`sipmote keys`: made, compared, trusted, rotated and shared, by people who each have a data folder of their own."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sipmote.__main__ import main
from sipmote.errors import ToolError
from sipmote.smime.keys import Identity, identifiers, names
from sipmote.smime.reader import Reader
from sipmote.smime.store import KeyStore, fingerprint
from sipmote.smime.writer import Writer

DESK = "sip:desk@example.org"
BOILER = "sip:boiler@example.org"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return KeyStore()


def keys(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run the command; returns its exit code, its events, and what it said on stderr."""
    capsys.readouterr()
    code = main(["keys", *words, "--json"])
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


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
    reader = Reader(again, [made.certificate])
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
        reader = Reader(None, trusted)
        verdict = reader.judge(reader.open(content_type, body), BOILER, 1)
        assert verdict is not None and verdict.is_good
    reader = Reader(None, [store.create(DESK).certificate])
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


@pytest.mark.parametrize("name", ["shared.json", "policy.json"])
@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, '{"a": 1}'])
def test_a_file_that_is_broken_is_named(name: str, text: str, store: KeyStore) -> None:
    store.share(BOILER)
    (store.folder / name).write_text(text)
    with pytest.raises(ToolError, match=f"{name} can't be understood"):
        store.shared(BOILER) if name == "shared.json" else store.policy(BOILER)


@pytest.mark.parametrize("uri", ["sip:example.org", "tel:123", "mailto:a@b", "sip:", "desk"])
def test_keys_are_for_persons(uri: str, store: KeyStore) -> None:
    with pytest.raises(ToolError):
        store.create(uri)


@pytest.mark.parametrize("user", ["..", "a%2fb", "a%00b", "%ff", ".", "%2e%2e%2f%2e%2e"])
def test_no_name_leads_out_of_the_folder(user: str, store: KeyStore) -> None:
    certificate = KeyStore(store.folder.with_name("elsewhere")).create(f"sip:{user}@example.org").certificate
    store.remember(certificate)
    found = [path for path in store.folder.parent.rglob("*.pem") if "elsewhere" not in path.parts]
    assert [path.parent for path in found] == [store.folder / "trusted"]
    assert store.certificate(f"sip:{user}@example.org") == certificate


# The command


def test_two_people_exchange_certificates(
    store: KeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, (made,), _ = keys(capsys, "create", DESK)
    assert code == 0 and made["uri"] == DESK and len(made["fingerprint"].split()) == 8
    file = str(tmp_path / "desk.pem")
    assert keys(capsys, "export", DESK, file)[0] == 0
    assert "PRIVATE" not in Path(file).read_text()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    code, _, said = keys(capsys, "trust", file)
    assert code == 1 and "it is not trusted" in said and KeyStore().certificate(DESK) is None
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    code, (shown, trusted), _ = keys(capsys, "trust", file)
    assert code == 0 and shown["fingerprint"] == made["fingerprint"] and trusted == {"event": "trusted", "uri": DESK}
    assert keys(capsys, "trust", file)[1] == [{"event": "unchanged"}]
    assert [(event["kind"], event["uri"]) for event in keys(capsys)[1]] == [("trusted", DESK)]
    assert os.listdir(tmp_path / "other" / "sipmote" / "keys" / "own") == []


def test_der_is_taken_and_what_takes_anothers_place_is_told(
    store: KeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = KeyStore(tmp_path / "elsewhere")
    first, second = elsewhere.create(DESK).certificate, elsewhere.rotate(DESK).certificate
    for certificate in (first, second):
        (tmp_path / "it.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
        code, events, said = keys(capsys, "trust", str(tmp_path / "it.der"), "--yes")
        assert code == 0 and events[-1]["event"] == "trusted"
    assert fingerprint(first) in "".join(str(event) for event in events) + said
    assert store.certificate(DESK) == second


def test_one_that_ends_soon_is_told_of(store: KeyStore, capsys: pytest.CaptureFixture[str]) -> None:
    code, events, _ = keys(capsys, "create", DESK, "--days", "20")
    assert code == 0 and events[-1] == {
        "event": "warning",
        "text": f"{DESK} expires in 20 days: sipmote keys rotate",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create"], "wants a URI"),
        (["create", "desk"], "a URI such as"),
        (["create", DESK, "--days", "0"], "--days 0"),
        (["export", DESK], "there is no certificate of sip:desk@example.org"),
        (["trust", "/nowhere.pem"], "No such file"),
        (["trust"], "wants the file of a certificate"),
        (["show", DESK, "more"], "only export takes a file"),
        (["show", "--send", "require"], "are for sipmote keys policy"),
    ],
)
def test_slips_are_told_in_one_line(
    words: list[str], said: str, store: KeyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = keys(capsys, *words)
    assert code == 1 and said in told and told.count("\n") == 1


def test_policies_and_shared_keys_are_shown_without_the_keys(
    store: KeyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys(capsys, "policy", "*", "--take", "require")[1] == [
        {"event": "policy", "uri": "*", "send": "prefer", "take": "require"}
    ]
    name = keys(capsys, "share", BOILER)[1][0]["name"]
    shared = store.shared(BOILER)
    assert shared is not None and shared[0].hex() == name
    _, events, said = keys(capsys)
    assert [event["event"] for event in events] == ["shared", "policy"]
    assert shared[1].hex() not in str(events) + said


def test_a_certificate_authority_is_trusted_for_what_it_issues(
    store: KeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = KeyStore(tmp_path / "elsewhere")
    authority = elsewhere.authority().certificate
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    assert keys(capsys, "trust", str(tmp_path / "ca.pem"), "--yes")[0] == 0
    assert [type(one) for one in store.trusted()] == [x509.Certificate] and store.trusted()[0] == authority
