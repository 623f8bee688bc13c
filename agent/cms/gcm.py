"""AES in Galois/Counter Mode (NIST SP 800-38D), out of a cipher for single blocks, for boards."""

from ..compat import const

_BLOCK = const(16)


class _Hash:
    """GHASH of what is added, each time filled up to whole blocks.

    A field's element is an integer as GCM writes it: x**0 is the highest bit.
    """

    def __init__(self, key: bytes) -> None:
        self._z = 0
        self._low = low = [0] * 16  # multiples of key by half an octet
        for i in range(4):
            low[1 << i] = n = int.from_bytes(key, "big") << i
            for j in range(1, 1 << i):
                low[(1 << i) + j] = n ^ low[j]
        self._high = [n << 4 for n in low]

    def add(self, octets: bytes) -> None:
        low, high, z = self._low, self._high, self._z
        mask = (1 << 127) - 1
        for at in range(0, len(octets), _BLOCK):
            block = octets[at : at + _BLOCK]
            z ^= int.from_bytes(block, "big") << 8 * (_BLOCK - len(block))
            y = 0
            for octet in z.to_bytes(_BLOCK, "big"):
                y = y << 8 ^ high[octet >> 4] ^ low[octet & 15]
            n = y & mask  # what lies behind x**127, and x**128 is x**7 + x**2 + x + 1
            i = n & 63  # whose multiples lie behind it again
            i ^= (i & 1) << 5
            z = y >> 127 ^ n << 1 ^ n ^ n >> 1 ^ n >> 6 ^ (i << 7 ^ i << 6 ^ i << 5 ^ i) << 115
        self._z = z

    def end(self, *sizes: int) -> bytes:
        """Add the numbers of octets; returns the hash."""
        self.add(b"".join([(8 * size).to_bytes(8, "big") for size in sizes]))
        return self._z.to_bytes(_BLOCK, "big")


def gcm(aes: object, nonce: bytes, octets: bytes, beside: bytes, is_open: bool) -> tuple[bytes, bytes]:
    """Return octets encrypted, or decrypted if is_open, and the tag of 16 octets that belongs to them.

    aes: its encrypt() turns a block, as cryptolib.aes(key, 1) does. nonce: 1 octet at least. beside: octets that are
    authenticated but not encrypted. Who opens compares the tag before he uses what he got. Beside the result it takes
    memory for a block at a time.
    """
    encrypt = aes.encrypt  # type: ignore[attr-defined]
    key = encrypt(bytes(_BLOCK))
    if len(nonce) == 12:
        start = nonce + b"\0\0\0\1"
    else:
        hash = _Hash(key)
        hash.add(nonce)
        start = hash.end(0, len(nonce))
    hash = _Hash(key)
    hash.add(beside)
    count = int.from_bytes(start[12:], "big")
    result = bytearray(len(octets))
    for at in range(0, len(octets), _BLOCK):
        count = count + 1 & 0xFFFFFFFF
        block = octets[at : at + _BLOCK]
        size = len(block)
        stream = encrypt(start[:12] + count.to_bytes(4, "big"))[:size]
        done = (int.from_bytes(block, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
        result[at : at + size] = done
        hash.add(block if is_open else done)
    tag = int.from_bytes(hash.end(len(beside), len(octets)), "big") ^ int.from_bytes(encrypt(start), "big")
    octets = bytes(result) if is_open else result  # type: ignore[assignment]  # a copy is memory
    return octets, tag.to_bytes(_BLOCK, "big")
