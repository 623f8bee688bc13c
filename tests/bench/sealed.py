"""What stands around a text that is signed or encrypted, beside what OpenSSL puts there for the same options."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sipmote.agent.cms.mime import entity
from sipmote.agent.cpim.imdn import CPIM, identify
from sipmote.agent.cpim.writer import build_cpim
from sipmote.smime.keys import Identity
from sipmote.smime.writer import Writer
from tests.mote.board_keys import person

_TEXT = b"x" * 100
_CPIM = build_cpim(b"sip:boiler@example.org", b"sip:desk@example.org", _TEXT, unix=0, extra=identify(b"0" * 20))


def command(call_id: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Return content type and body of a command that a desk signs and encrypts to a board."""
    board, desk = person("sip:boiler@127.0.0.1"), person("sip:desk@127.0.0.1")
    content = build_cpim(desk.uri.encode(), board.uri.encode(), text, unix=int(time.time()), extra=identify(call_id))
    return Writer(Identity(desk.key, desk.certificate), board.certificate, False).protect(CPIM, content)


def around() -> Iterator[tuple[str, int, int]]:
    """Yield (protect, octets around 100 of text by us, by OpenSSL), both around the same message/cpim.

    Ours come by the host's writer, whose octets are those of a board: agent.cms writes both.
    """
    board, desk = person("sip:boiler@example.org"), person("sip:desk@example.org")
    signer = Identity(board.key, board.certificate)
    with tempfile.TemporaryDirectory() as folder:
        key, _ = board.save(Path(folder))
        _, certificate = desk.save(Path(folder))
        signed = ("-sign", "-signer", str(key), "-inkey", str(key), "-nocerts", "-keyid", "-nodetach")
        encrypted = ("-encrypt", "-aes-128-gcm", "-recip", str(certificate), "-keyid", "-keyopt", "ecdh_kdf_md:sha256")
        inner = _openssl(folder, *signed, content=entity(CPIM, _CPIM))
        both = entity(b"application/pkcs7-mime; smime-type=signed-data", inner)
        for how, by, to, theirs in (
            ("sign", signer, None, inner),
            ("encrypt", None, desk.certificate, _openssl(folder, *encrypted, content=entity(CPIM, _CPIM))),
            ("sign+encrypt", signer, desk.certificate, _openssl(folder, *encrypted, content=both)),
        ):
            ours = Writer(by, to, with_certificate=False).protect(CPIM, _CPIM)[1]
            yield how, len(ours) - len(_TEXT), len(theirs) - len(_TEXT)


def _openssl(folder: str, *arguments: str, content: bytes) -> bytes:
    (Path(folder) / "content").write_bytes(content)
    command = ["openssl", "cms", *arguments, "-binary", "-outform", "DER", "-in", os.path.join(folder, "content")]
    return subprocess.run(command, capture_output=True, check=True).stdout
