"""Commanders show a password, or sign. Loaded where both may be."""

from agent.auth.server import Authenticator
from agent.cms.mime import MULTIPART, PKCS7
from agent.headers.values import media_type
from agent.message import Message


class Signers(Authenticator):
    """Asks for no password where a body is protected: mote.reading looks who has signed it."""

    def check(self, message: Message, now: int, flow: tuple) -> tuple[bytes | None, bytes]:
        """As Authenticator.check(). The user is b"" where he is to be known by what he has signed."""
        content_type = message.get(b"content-type") or b""
        if message.get(b"authorization") is None and media_type(content_type) in (PKCS7, MULTIPART):
            return b"", b""
        return Authenticator.check(self, message, now, flow)  # type: ignore[no-any-return]
