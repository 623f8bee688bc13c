"""What CPython pays to protect a message and to open it, beside `openssl cms` and the S/MIME of cryptography."""

import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from sipmote.agent.cms.mime import entity
from sipmote.agent.cpim.imdn import CPIM, identify
from sipmote.agent.cpim.writer import build_cpim
from sipmote.smime.keys import Identity
from sipmote.smime.reader import Reader
from sipmote.smime.writer import Writer
from tests.mote.board_keys import NAME, SHARED, person

_MESSAGES = 100  # a round
_PROCESSES = 4  # a round; each is one message
_ROUNDS = 12
_FROM, _TO = "sip:boiler@example.org", "sip:desk@example.org"
_BODY = build_cpim(_FROM.encode(), _TO.encode(), b"x" * 100, unix=1, extra=identify(b"0" * 20))
_OPENSSL = "openssl cms, a process each"
_Job = tuple[str, str, str, Callable[[], object]]  # protect, "protect" or "open", whose, what does it once


def costs() -> Iterator[tuple[str, str, str, float]]:
    """Yield (protect, "protect" or "open", whose, microseconds of CPU time a message), ours first.

    They take turns, and the quickest round of each counts.
    """
    with tempfile.TemporaryDirectory() as folder:
        jobs = [*_ours(), *_cryptographys(), *_openssls(Path(folder))]
        quickest: dict[int, float] = {}
        for _ in range(_ROUNDS):
            for number, (_, _, whose, job) in enumerate(jobs):
                count = _PROCESSES if whose == _OPENSSL else _MESSAGES
                began = _cpu_s()
                for _ in range(count):
                    job()
                took = (_cpu_s() - began) / count
                quickest[number] = min(took, quickest.get(number, took))
    for number, (protect, what, whose, _) in enumerate(jobs):
        yield protect, what, whose, quickest[number] * 1e6


def _cpu_s() -> float:
    """Return what this process and those that it has waited for have used so far, user and system."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _ours() -> Iterator[_Job]:
    board, desk = person(_FROM), person(_TO)
    signer = Identity(board.key, board.certificate)
    identity = Identity(desk.key, desk.certificate)
    for protect, by, to in (
        ("sign", signer, None),
        ("encrypt", None, desk.certificate),
        ("sign+encrypt", signer, desk.certificate),
        ("shared", None, (NAME, SHARED)),
    ):
        writer = Writer(by, to, with_certificate=False)
        reader = Reader([identity], [board.certificate], lambda name: (_FROM, SHARED) if name == NAME else None)
        content_type, octets = writer.protect(CPIM, _BODY)

        def read(reader: Reader = reader, content_type: bytes = content_type, octets: bytes = octets) -> None:
            opened = reader.open(content_type, octets)
            verdict = reader.judge(opened, _FROM, 1)
            assert opened.body == _BODY and (verdict is None or verdict.is_good)

        yield protect, "protect", "ours", lambda writer=writer: writer.protect(CPIM, _BODY)  # type: ignore[misc]
        yield protect, "open", "ours", read


def _cryptographys() -> Iterator[_Job]:
    """Those that it has: it neither checks signatures nor encrypts to a key on a curve."""
    board = person(_FROM)
    content = entity(CPIM, _BODY)
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCerts]

    def sign() -> bytes:
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(board.certificate, board.key, hashes.SHA256())
        return builder.sign(serialization.Encoding.DER, options)

    yield "sign", "protect", "cryptography's pkcs7", sign


def _openssls(folder: Path) -> Iterator[_Job]:
    board, desk = person(_FROM), person(_TO)
    (own, trusted), (ours, receiver) = board.save(folder), desk.save(folder)
    known = ("-certfile", str(trusted), "-CAfile", str(trusted), "-purpose", "any")
    shared = ("-secretkey", SHARED.hex(), "-secretkeyid", NAME.hex())
    signing = ("-sign", "-signer", str(own), "-inkey", str(own), "-nocerts", "-keyid", "-nodetach")
    cipher = ("-encrypt", "-aes-128-gcm")
    encrypting = (*cipher, "-recip", str(receiver), "-keyid", "-keyopt", "ecdh_kdf_md:sha256")

    def cms(octets: bytes, *arguments: str) -> bytes:
        """Run it once; reading, the form of what comes in is DER, writing, that of what comes out."""
        form = "-outform" if {"-sign", "-encrypt"} & set(arguments) else "-inform"
        command = ["openssl", "cms", *arguments, "-binary", form, "DER"]
        return subprocess.run(command, input=octets, capture_output=True, check=True).stdout

    for protect, write, read in (
        ("sign", signing, ("-verify", *known)),
        ("encrypt", encrypting, ("-decrypt", "-inkey", str(ours), "-recip", str(ours))),
        ("shared", (*cipher, *shared), ("-decrypt", *shared)),
    ):
        octets = cms(entity(CPIM, _BODY), *write)
        yield protect, "protect", _OPENSSL, lambda write=write: cms(entity(CPIM, _BODY), *write)  # type: ignore[misc]
        yield protect, "open", _OPENSSL, lambda octets=octets, read=read: cms(octets, *read)  # type: ignore[misc]

    def protect_both() -> bytes:
        return cms(entity(b"application/pkcs7-mime", cms(entity(CPIM, _BODY), *signing)), *encrypting)

    octets = protect_both()

    def open_both() -> bytes:
        inner = cms(octets, "-decrypt", "-inkey", str(ours), "-recip", str(ours))
        return cms(inner.partition(b"\r\n\r\n")[2], "-verify", *known)

    yield "sign+encrypt", "protect", _OPENSSL, protect_both
    yield "sign+encrypt", "open", _OPENSSL, open_both
