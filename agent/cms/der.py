"""ASN.1 in DER, as far as CMS needs it: this half writes, agent.cms.der_reader reads.

Tags are single octets: 0x30 for a SEQUENCE, 0xA0 for [0] with contents of its own.
"""

INTEGER = 0x02  # without const(), which would hide them from other modules
BIT_STRING = 0x03
OCTETS = 0x04
OID = 0x06
SEQUENCE = 0x30
SET = 0x31
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18


def encode(tag: int, *parts: bytes) -> bytes:
    """Return an element with this tag octet and the parts, one after the other, as its contents."""
    return b"".join(nest(tag, *parts))


def nest(tag: int, *parts: bytes) -> tuple[bytes, ...]:
    """Return the pieces that encode() joins: so elements in elements are joined once, in one allocation."""
    size = sum([len(part) for part in parts])
    if size < 0x80:
        front = bytes((tag, size))
    elif size < 0x100:
        front = bytes((tag, 0x81, size))
    else:
        front = bytes((tag, 0x82, size >> 8, size & 0xFF))  # ValueError from 64 KiB on, far over any budget
    return (front,) + parts
