"""R8591-2, R8591-4, R8591-5, R3428-11.5: commands that `openssl cms` and our own tools have made, run by a board."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from sipmote.agent.cms import mime
from sipmote.smime.keys import identifiers
from tests.interop.peers import program
from tests.mote.board_keys import NAME, SHARED
from tests.mote.test_unprotect import CPIM, DESK, PROGRAM, Bench, bench, board_key, desk_key, inside, protect

UNTIRED = "from mote import limits\n" + PROGRAM.replace("runs += 1", "runs += 1; limits._paid.clear()")  # of so many
CBC = mime.PKCS7 + b";smime-type=enveloped-data"
CLEAR = ("-sign", "-outform", "SMIME", "-crlfeol")
WHOLE = ("-sign", "-outform", "DER", "-nodetach", "-nosmimecap")
BARE = (*WHOLE, "-nocerts")  # with certificates most of these take more than the 1500 octets that a board reads
SHARING = ("-secretkey", SHARED.hex(), "-secretkeyid", NAME.hex())
SHA256 = ("-keyopt", "ecdh_kdf_md:sha256")


class OpenSsl:
    """`openssl cms` in a folder that has the certificates and keys of desk and board, and an RSA key of the desk's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        desk_key.save(folder)
        board_key.save(folder)
        made = ("-newkey", "rsa:2048", "-nodes", "-subj", "/CN=desk", "-keyout", "rsa.key", "-out", "rsa.pem")
        self._run("req", "-x509", *made)
        certificate = x509.load_pem_x509_certificate((folder / "rsa.pem").read_bytes())
        public = certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        numbers = public.public_numbers()
        self.peer = {
            "uri": DESK.decode(),
            "ids": [one.hex() for one in identifiers(certificate)],
            "modulus": numbers.n.to_bytes(256, "big").hex(),
            "exponent": numbers.e,
        }

    def _run(self, *arguments: str, content: bytes = b"") -> bytes:
        command = [program("openssl", "openssl"), *arguments]
        done = subprocess.run(command, cwd=self._folder, input=content, capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _cms(self, content: tuple[bytes, bytes], *options: str) -> bytes:
        return self._run("cms", "-binary", *options, content=mime.entity(*content))

    def sign(self, content: tuple[bytes, bytes], *options: str, rsa: bool = False) -> tuple[bytes, bytes]:
        """Return content type and body."""
        signer = ("-signer", "rsa.pem", "-inkey", "rsa.key") if rsa else ("-signer", "desk.pem")
        made = self._cms(content, *(options or WHOLE), *signer)
        if options[: len(CLEAR)] != CLEAR:
            return mime.SIGNED, made
        head, _, body = made.partition(b"\r\n\r\n")
        return head.partition(b"Content-Type: ")[2], body

    def encrypt(self, content: tuple[bytes, bytes], cipher: str, *options: str) -> tuple[bytes, bytes]:
        to = options or ("-recip", "boiler-certificate.pem", *SHA256)
        made = self._cms(content, "-encrypt", "-outform", "DER", f"-aes-128-{cipher}", *to)
        return (mime.ENCRYPTED if cipher == "gcm" else CBC), made


def forms(openssl: OpenSsl, content: Callable[[], tuple[bytes, bytes]]) -> dict[str, tuple[bytes, bytes]]:
    """Return how a command was made -> content type and body. Each one has another content."""
    return {
        "signed": openssl.sign(content()),
        "signed, named by key": openssl.sign(content(), *BARE, "-keyid"),
        "signed in pieces": openssl.sign(content(), *WHOLE, "-stream"),
        "multipart/signed": openssl.sign(content(), *CLEAR, "-nocerts"),
        "signed by RSA": openssl.sign(content(), *BARE, rsa=True),
        "multipart/signed by RSA": openssl.sign(content(), *CLEAR, "-nocerts", "-noattr", rsa=True),
        "signed, in GCM": openssl.encrypt(openssl.sign(content(), *BARE), "gcm"),
        "signed by RSA, in GCM": openssl.encrypt(openssl.sign(content(), *BARE, rsa=True), "gcm"),
        "signed, in CBC": openssl.encrypt(openssl.sign(content(), *BARE), "cbc"),
        "in GCM, by a key that is shared": openssl.encrypt(content(), "gcm", *SHARING),
        "in GCM, the key in SHA-1": openssl.encrypt(openssl.sign(content(), *BARE), "gcm", "boiler-certificate.pem"),
        "ours, signed": protect("sign", content()[1]),
        "ours, signed and encrypted": protect("sign+encrypt", content()[1]),
        "ours, shared": protect("shared", content()[1]),
    }


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    return OpenSsl(tmp_path_factory.mktemp("openssl"))


@pytest.fixture(scope="module")
def board(openssl: OpenSsl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("board")
    with bench(folder, "192k", known=[openssl.peer], program=UNTIRED, protect="sign") as board:
        yield board


def test_each_form_runs_once_and_is_answered(openssl: OpenSsl, board: Bench) -> None:
    """R3428-11.7: and the second time nothing runs, though its 200 says that it was taken"""
    ahead = iter(range(100))
    commands = forms(openssl, lambda: (CPIM, inside(ahead=next(ahead))))
    for number, (how, command) in enumerate(commands.items(), 1):
        assert board.status(*command) == 200, (how, len(command[1]))
        assert b"%d by sip:desk@127.0.0.1" % number in board.desk.answer(200).body, how
        assert board.status(*command) == 200, how


def test_what_anybody_could_have_changed_is_refused(openssl: OpenSsl, board: Bench) -> None:
    """R8591-7, R0-P12: AES-CBC without a signature, also by a shared key; a signature around it says nothing"""
    content = CPIM, inside(ahead=100)
    for command in (
        openssl.encrypt(content, "cbc", *SHARING),
        openssl.sign(openssl.encrypt(content, "cbc"), *BARE),
    ):
        assert board.status(*command) == 493
        board.ignored("others could have changed it")
    assert board.status(*protect("sign", content[1])) == 200
    assert b"by sip:desk@127.0.0.1" in board.desk.answer(200).body
