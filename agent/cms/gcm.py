"""AES in Galois/Counter Mode (NIST SP 800-38D), out of a cipher for single blocks, for boards."""

from ..compat import const

_BLOCK = const(16)


def _hash(key: bytes, *parts: bytes) -> int:
    """Return GHASH of these parts, each filled up to whole blocks, and of their lengths.

    A field's element is an integer as GCM writes it: x**0 is the highest bit.
    """
    low = [0] * 16  # multiples of key by half an octet
    for i in range(4):
        low[1 << i] = n = int.from_bytes(key, "big") << i
        for j in range(1, 1 << i):
            low[(1 << i) + j] = n ^ low[j]
    high = [n << 4 for n in low]
    data = b"".join([part + bytes(-len(part) % _BLOCK) for part in parts])
    data += b"".join([(8 * len(part)).to_bytes(8, "big") for part in parts])
    mask = (1 << 127) - 1
    z = 0
    for at in range(0, len(data), _BLOCK):
        z ^= int.from_bytes(data[at : at + _BLOCK], "big")
        y = 0
        for octet in z.to_bytes(_BLOCK, "big"):
            y = y << 8 ^ high[octet >> 4] ^ low[octet & 15]
        n = y & mask  # what lies behind x**127, and x**128 is x**7 + x**2 + x + 1
        i = n & 63  # whose multiples lie behind it again
        i ^= (i & 1) << 5
        z = y >> 127 ^ n << 1 ^ n ^ n >> 1 ^ n >> 6 ^ (i << 7 ^ i << 6 ^ i << 5 ^ i) << 115
    return z


def gcm(aes: object, nonce: bytes, octets: bytes, beside: bytes, is_open: bool) -> tuple[bytes, bytes]:
    """Return octets encrypted, or decrypted if is_open, and the tag of 16 octets that belongs to them.

    aes: its encrypt() turns whole blocks, each by itself, as cryptolib.aes(key, 1) does. nonce: 1 octet at least.
    beside: octets that are authenticated but not encrypted. Who opens compares the tag before he uses what he got.
    """
    encrypt = aes.encrypt  # type: ignore[attr-defined]
    key = encrypt(bytes(_BLOCK))
    size = len(octets)
    if len(nonce) == 12:
        start = nonce + b"\0\0\0\1"
    else:
        start = _hash(key, b"", nonce).to_bytes(_BLOCK, "big")
    first = int.from_bytes(start[12:], "big")
    counters = [start[:12] + (first + i & 0xFFFFFFFF).to_bytes(4, "big") for i in range(1 - (-size // _BLOCK))]
    stream = encrypt(b"".join(counters))
    done = int.from_bytes(octets, "big") ^ int.from_bytes(stream[_BLOCK : _BLOCK + size], "big")
    result = done.to_bytes(size, "big")
    tag = _hash(key, beside, octets if is_open else result) ^ int.from_bytes(stream[:_BLOCK], "big")
    return result, tag.to_bytes(_BLOCK, "big")
