"""Whom a board encrypts to, by its own arithmetic: the Recipient of agent.cms.enveloping."""

from .enveloping import Recipient
from .wrapping import wrap


class Receiver(Recipient):
    """One whose content is encrypted already: a board has memory for one thing at a time."""

    def __init__(self, identifier: bytes, agreed: tuple | None, shared: bytes, done: tuple, aes: object) -> None:
        """agreed: what agent.cms.ephemeral.agree() has returned for the owner of a certificate; None for who shares a
        key of 16 octets, shared. done: content key, nonce, encrypted content, its tag. aes: as cryptolib.aes.
        """
        self.identifier = identifier
        self.kind = "shared" if agreed is None else "ecdh"
        self._shared = shared
        self._aes = aes
        self.agree = lambda: agreed  # type: ignore[method-assign, assignment, return-value]
        self.random = lambda size: done[size < 16]  # type: ignore[method-assign]
        self.encrypt = lambda *_: done[2:]  # type: ignore[method-assign]

    def wrap(self, by: bytes | None, key: bytes) -> bytes:
        return wrap(self._aes(by or self._shared, 1), key)  # type: ignore[operator]
