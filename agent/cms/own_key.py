"""What a board decrypts with, by its own arithmetic: the Key of agent.cms.enveloped."""

from .enveloped import Key
from .gcm import gcm
from .wrapping import unwrap


class OwnKey(Key):
    """A private key on P-256, keys of AES that are shared, or both."""

    def __init__(self, identifiers: tuple, secret: bytes, shared: dict, aes: object, random: object) -> None:
        """identifiers: of our certificate. secret: the private key, 32 octets. shared: name -> key of 16 octets.

        aes: as cryptolib.aes. random: as os.urandom.
        """
        self.identifiers = identifiers
        self.shared = shared.get  # type: ignore[method-assign, assignment]
        self._secret = secret
        self._aes = aes
        self.random = random  # type: ignore[assignment, method-assign]

    def agree(self, point: bytes) -> bytes:
        from .agreement import agree
        from .p256 import P

        return agree(self._secret, point, int.from_bytes(self.random(40), "big") % (P - 1) + 1)

    def unwrap(self, by: bytes, wrapped: bytes) -> bytes:
        key = unwrap(self._aes(by, 1), wrapped)  # type: ignore[operator]
        if key is None:
            raise ValueError
        return key

    def transport(self, octets: bytes) -> bytes:
        raise ValueError

    def decrypt_gcm(self, key: bytes, nonce: bytes, octets: bytes, tag: bytes, beside: bytes) -> bytes:
        plain, right = gcm(self._aes(key, 1), nonce, octets, beside, True)  # type: ignore[operator]
        if int.from_bytes(tag, "big") ^ int.from_bytes(right[: len(tag)], "big"):  # without an end at the first octet
            raise ValueError
        return plain

    def decrypt_cbc(self, key: bytes, start: bytes, octets: bytes) -> bytes:
        plain: bytes = self._aes(key, 2, start).decrypt(octets)  # type: ignore[operator]
        return plain
