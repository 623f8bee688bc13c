"""AES Key Wrap (RFC 3394, NIST SP 800-38F), out of a cipher for single blocks, for boards."""


def wrap(aes: object, key: bytes) -> bytes:
    """Return key wrapped, 8 octets longer.

    aes: its encrypt() turns a block, as cryptolib.aes(other_key, 1) does. key: 16, 24 or 32 octets.
    """
    front = b"\xa6" * 8
    parts = [key[at : at + 8] for at in range(0, len(key), 8)]
    count = 0
    for _ in range(6):
        for i in range(len(parts)):
            block = aes.encrypt(front + parts[i])  # type: ignore[attr-defined]
            count += 1
            front = block[:7] + bytes((block[7] ^ count,))
            parts[i] = block[8:]
    return front + b"".join(parts)


def unwrap(aes: object, wrapped: bytes) -> bytes | None:
    """Return the key in wrapped, None where it isn't what the key of aes has wrapped.

    aes: its decrypt() turns a block, as cryptolib.aes(other_key, 1) does.
    """
    parts = [wrapped[at : at + 8] for at in range(0, len(wrapped), 8)]
    if not 3 <= len(parts) <= 5 or len(parts[-1]) != 8:
        return None
    front = parts.pop(0)
    for count in range(6 * len(parts), 0, -1):
        i = (count - 1) % len(parts)
        block = aes.decrypt(front[:7] + bytes((front[7] ^ count,)) + parts[i])  # type: ignore[attr-defined]
        front = block[:8]
        parts[i] = block[8:]
    return b"".join(parts) if front == b"\xa6" * 8 else None
