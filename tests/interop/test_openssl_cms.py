"""R8591-2, R8591-3, R8591-4, R3428-11.5: OpenSSL reads what we protect, and we read what it does."""

import subprocess
from pathlib import Path

import pytest

from sipmote.agent.cms import mime
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import ParseError
from sipmote.smime.keys import read_certificates, read_identity
from sipmote.smime.reader import GOOD, Reader
from sipmote.smime.writer import Writer
from tests.host_tools.test_smime import port_of
from tests.interop.peers import program
from tests.sip_peer import Peer
from tests.tools import Tool

ALICE = "sip:alice@example.org"
TEXT = "Kessel heiß: 81 °C\r\n".encode()
_KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}


class OpenSsl:
    """The program, in a folder with keys that it has made: alice and bob, each in ec and rsa; carol's is from a CA."""

    def __init__(self, folder: Path) -> None:
        self._openssl = program("openssl", "openssl")
        self.folder = folder
        for kind, key in _KEYS.items():
            for name in ("alice", "bob"):
                self._certify(f"{name}-{kind}", "-x509", *key, "-addext", f"subjectAltName=URI:sip:{name}@example.org")
        self._certify("ca", "-x509", *_KEYS["ec"])
        self._certify("carol", *_KEYS["ec"], "-addext", f"subjectAltName=URI:{ALICE}")
        issue = ("x509", "-req", "-in", "carol.crt", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        self.run(*issue, "-copy_extensions", "copy", "-days", "9", "-out", "carol.crt")
        for key_file in folder.glob("*.key"):
            certificate = key_file.with_suffix(".crt").read_bytes()
            key_file.with_suffix(".pem").write_bytes(key_file.read_bytes() + certificate)

    def _certify(self, name: str, *options: str) -> None:
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        self.run("req", "-nodes", "-subj", f"/CN={name}", *files, *options)

    def run(self, *arguments: str, stdin: bytes = b"", fails: bool = False) -> bytes:
        """Run a command in the folder; returns what it prints."""
        done = subprocess.run(
            [self._openssl, *arguments], cwd=self.folder, input=stdin, capture_output=True, timeout=20
        )
        assert (done.returncode != 0) == fails, done.stderr.decode()
        return done.stdout

    def cms(self, *arguments: str, stdin: bytes, fails: bool = False) -> bytes:
        return self.run("cms", "-binary", *arguments, stdin=stdin, fails=fails)

    def sign(self, name: str, *options: str, content: bytes = b"Content-Type: text/plain\r\n\r\n" + TEXT) -> bytes:
        signer = ("-signer", f"{name}.crt", "-inkey", f"{name}.key")
        return self.cms("-sign", "-nodetach", "-outform", "DER", *signer, *options, stdin=content)

    def encrypt(self, *options: str, content: bytes = b"Content-Type: text/plain\r\n\r\n" + TEXT) -> bytes:
        return self.cms("-encrypt", "-outform", "DER", *options, stdin=content)

    def verify(self, body: bytes, name: str, is_known: bool = True, fails: bool = False) -> bytes:
        known = ("-certfile", f"{name}.crt") if is_known else ()
        trust = ("-CAfile", f"{name}.crt", "-purpose", "any")
        return self.cms("-verify", "-inform", "DER", *known, *trust, stdin=body, fails=fails)

    def decrypt(self, body: bytes, name: str, fails: bool = False) -> bytes:
        key = ("-inkey", f"{name}.key", "-recip", f"{name}.crt")
        return self.cms("-decrypt", "-inform", "DER", *key, stdin=body, fails=fails)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def reader(self, name: str, *trusted: str) -> Reader:
        certificates = [one for name in trusted for one in read_certificates("", self.path(f"{name}.crt"))]
        return Reader([read_identity("", self.path(f"{name}.pem"))], certificates)

    def writer(self, signer: str = "", receiver: str = "", with_certificate: bool = False) -> Writer:
        return Writer(
            read_identity("", self.path(f"{signer}.pem")) if signer else None,
            read_certificates("", self.path(f"{receiver}.crt"))[0] if receiver else None,
            with_certificate,
        )


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    return OpenSsl(tmp_path_factory.mktemp("openssl"))


def state(reader: Reader, body: bytes, content_type: bytes = mime.PKCS7) -> str | None:
    """Return the state of a signature of TEXT."""
    opened = reader.open(content_type, body)
    assert mime.canonical(opened.body) == TEXT and opened.content_type.startswith(b"text/plain")
    verdict = reader.judge(opened, ALICE, None)
    return None if verdict is None else verdict.state


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_openssl_verifies_what_we_sign(openssl: OpenSsl, kind: str) -> None:
    """R8591-9: with the certificate, and without it where it is known"""
    for carried in (False, True):
        _, body = openssl.writer(f"alice-{kind}", with_certificate=carried).protect(b"text/plain", TEXT)
        assert openssl.verify(body, f"alice-{kind}") == mime.entity(b"text/plain", TEXT)
        openssl.verify(body, f"alice-{kind}", is_known=False, fails=not carried)
        openssl.verify(body.replace(b"81", b"18"), f"alice-{kind}", fails=True)
        openssl.verify(body, f"bob-{kind}", fails=True)


def test_openssl_follows_the_chain_of_a_certificate_that_we_send_along(openssl: OpenSsl) -> None:
    _, body = openssl.writer("carol", with_certificate=True).protect(b"text/plain", TEXT)
    assert openssl.verify(body, "ca") == mime.entity(b"text/plain", TEXT)
    assert state(openssl.reader("bob-ec", "ca"), openssl.sign("carol")) == GOOD


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_openssl_decrypts_what_we_encrypt(openssl: OpenSsl, kind: str) -> None:
    _, body = openssl.writer(receiver=f"bob-{kind}").protect(b"text/plain", TEXT)
    assert openssl.decrypt(body, f"bob-{kind}") == mime.entity(b"text/plain", TEXT)
    openssl.decrypt(body, f"alice-{kind}", fails=True)
    openssl.decrypt(body[:-1] + bytes([body[-1] ^ 1]), f"bob-{kind}", fails=True)


@pytest.mark.parametrize("receiver", ["ec", "rsa"])
@pytest.mark.parametrize("signer", ["ec", "rsa"])
def test_openssl_opens_what_we_sign_and_encrypt(openssl: OpenSsl, signer: str, receiver: str) -> None:
    """R8591-5"""
    _, body = openssl.writer(f"alice-{signer}", f"bob-{receiver}").protect(b"text/plain", TEXT)
    head, _, inner = openssl.decrypt(body, f"bob-{receiver}").partition(b"\r\n\r\n")
    assert head == b"Content-Type: " + mime.SIGNED
    assert openssl.verify(inner, f"alice-{signer}") == mime.entity(b"text/plain", TEXT)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_we_verify_what_openssl_signs(openssl: OpenSsl, kind: str) -> None:
    """R8551-2: BER, too"""
    reader = openssl.reader("bob-ec", f"alice-{kind}")
    for options in (
        [],
        ["-nocerts", "-nosmimecap", "-keyid"],
        ["-stream"],
        ["-md", "sha384"],
        ["-md", "sha512", "-nocerts"],
    ):
        body = openssl.sign(f"alice-{kind}", *options)
        assert state(reader, body) == GOOD, options
        assert reader.judge(reader.open(mime.PKCS7, body.replace(b"81", b"18")), ALICE, None).state == "bad"  # type: ignore[union-attr]
        assert state(openssl.reader("bob-ec", "bob-ec"), body) in ("untrusted", "unknown")
    assert state(reader, openssl.sign(f"alice-{kind}", "-noattr")) == "undated"
    assert state(reader, openssl.sign(f"alice-{kind}", "-md", "sha1")) == "unknown"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_we_decrypt_what_openssl_encrypts(openssl: OpenSsl, kind: str) -> None:
    """R8551-2, R8591-8: for several receivers and in BER, too"""
    bob, alice = f"bob-{kind}.crt", "alice-ec.crt"
    sha256 = ["-recip", bob] + (["-keyopt", "ecdh_kdf_md:sha256"] if kind == "ec" else [])
    for options in (
        ["-aes-128-cbc", bob],
        ["-aes-128-gcm", bob],
        ["-aes-192-cbc", "-keyid", bob],
        ["-aes-256-gcm", *sha256],
        ["-aes-128-cbc", *sha256, "-aes256-wrap"],
        ["-aes-256-cbc", "-stream", alice, bob],
        ["-aes-128-gcm", "-keyid", alice, bob],
    ):
        body = openssl.encrypt(*options)
        assert state(openssl.reader(f"bob-{kind}"), body) is None, options
        with pytest.raises(ParseError) as refused:
            openssl.reader("carol").open(mime.PKCS7, body)
        assert refused.value.status == 493
    with pytest.raises(ParseError):
        openssl.reader(f"bob-{kind}").open(mime.PKCS7, openssl.encrypt("-des3", bob))


def test_we_read_multipart_signed(openssl: OpenSsl) -> None:
    """R8591-2, R8591-6: its signature in base64"""
    signer = ("-signer", "alice-ec.crt", "-inkey", "alice-ec.key", "-md", "sha256")
    head, _, body = openssl.run("cms", "-sign", "-text", "-crlfeol", *signer, stdin=TEXT).partition(b"\r\n\r\n")
    content_type = head.partition(b"Content-Type: ")[2].partition(b"\r\n")[0]
    assert content_type.startswith(mime.MULTIPART)
    assert state(openssl.reader("bob-ec", "alice-ec"), body, content_type) == GOOD


def test_a_peer_that_openssl_arms_talks_with_the_commands(openssl: OpenSsl) -> None:
    """R3428-11.1, R3428-11.4, R8591-5, R8591-7: signed and encrypted, there and back, over SIP"""
    ours = ["--smime-key", openssl.path("bob-ec.pem"), "--smime-trust", openssl.path("alice-rsa.crt")]
    with (
        Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", *ours) as tool,
        Peer(b"sip:gw@b.example") as peer,
    ):
        cpim = build_cpim(ALICE.encode(), b"sip:bob@example.org", TEXT, b"text/plain;charset=UTF-8")
        signed = openssl.sign("alice-rsa", "-nosmimecap", content=mime.entity(imdn.CPIM, cpim))
        inner = mime.entity(b"application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", signed)
        hidden = openssl.encrypt("-aes-128-cbc", "bob-ec.crt", content=inner)
        content_type = b"application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"
        assert peer.ask(port_of(tool), content_type, hidden).status == 200
        line = tool.wait_for(event="message", body=TEXT.decode())
        assert (line["encrypted"], line["signature"]) == (True, {"state": "good", "signer": ALICE})
        assert line["cpim"]["from_differs"]  # the gateway's name is in From, hers in what she signed
    options = [
        "--sign",
        openssl.path("alice-ec.pem"),
        "--encrypt-to",
        openssl.path("bob-rsa.crt"),
        "--budget",
        "compact",
    ]
    with Peer() as peer, Tool("send", f"sip:bob@127.0.0.1:{peer.port}", "hot", *options) as sender:
        request = peer.answer(200)
        assert sender.wait() == 0
    signed = openssl.decrypt(request.body, "bob-rsa").partition(b"\r\n\r\n")[2]
    content = openssl.verify(signed, "alice-ec")
    assert parse_cpim(content).body == b"hot"
