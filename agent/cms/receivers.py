"""Whom a board encrypts to, by its own arithmetic: the Recipients of agent.cms.enveloping."""

from .enveloping import Recipient
from .gcm import gcm
from .wrapping import wrap


class Sharer(Recipient):
    """One with whom a key of AES is shared."""

    kind = "shared"

    def __init__(self, identifier: bytes, key: bytes, aes: object, random: object) -> None:
        """identifier, key: of what is shared; 16 octets the key. aes: as cryptolib.aes. random: as os.urandom."""
        self.identifier = identifier
        self._key = key
        self._aes = aes
        self.random = random  # type: ignore[assignment, method-assign]

    def wrap(self, by: bytes | None, key: bytes) -> bytes:
        return wrap(self._aes(by or self._key, 1), key)  # type: ignore[operator]

    def encrypt(self, key: bytes, nonce: bytes, content: bytes) -> tuple[bytes, bytes]:
        return gcm(self._aes(key, 1), nonce, content, b"", False)  # type: ignore[operator]


class Holder(Sharer):
    """One who holds the private key of a point on P-256."""

    kind = "ecdh"

    def __init__(self, identifier: bytes, generator: object, public: object, aes: object, random: object) -> None:
        """identifier: of the certificate. generator, public: functions that return the tables of the curve's generator
        and of the public key (agent.cms.tables): one is needed at a time.
        """
        super().__init__(identifier, b"", aes, random)
        self._tables = (generator, public)

    def agree(self) -> tuple[bytes, bytes]:
        from .p256 import N, multiply

        k, z = [int.from_bytes(self.random(40), "big") % (N - 1) + 1 for _ in range(2)]
        (x, y), (secret, _) = [multiply(z, (k, table())) for table in self._tables]  # type: ignore[operator]
        return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big"), secret.to_bytes(32, "big")
