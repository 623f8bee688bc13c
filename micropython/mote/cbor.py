"""CBOR (RFC 8949) for log records. Loaded with the first record that isn't an alert's usual outcome."""

import struct

from agent.compat import const

_LONG = const(300)  # items of a list
_DEEP = const(5)  # fields and four levels of values in them; sipmote.link.frames reads no more


def cbor(value: object, level: int = _DEEP) -> bytes:
    """Encode None, bool, int (64 bits), float, str, bytes, or a tuple, list or dict of them; anything else as its text.

    level: how many levels of containers are encoded as such.
    """
    kind = type(value)
    if kind is str or kind is bytes:
        code = 0x40
        if kind is str:
            code = 0x60
            value = value.encode()
        return head(code, len(value)) + value
    if kind is int and -1 <= value >> 63 <= 0:
        return head(0, value) if value >= 0 else head(0x20, -1 - value)
    if value is None or kind is bool:
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if kind is float:
        return b"\xfb" + struct.pack(">d", value)
    if kind is dict and level and len(value) <= _LONG:
        items = [head(0xA0, len(value))]
        for key in value:
            items.append(cbor(key if type(key) is str else text_of(key)))
            items.append(cbor(value[key], level - 1))
        return b"".join(items)
    if (kind is tuple or kind is list) and level:
        if len(value) > _LONG:
            value = list(value[:_LONG]) + ["\u2026"]
        return head(0x80, len(value)) + b"".join([cbor(item, level - 1) for item in value])
    return cbor(text_of(value))


def text_of(value: object) -> str:
    """Return the repr of a value, or the name of its type where that fails, as with a list that holds itself."""
    try:
        return repr(value)
    except Exception:
        return type(value).__name__


def head(code: int, value: int) -> bytes:
    """Return the first octets of an item: the code of its major type and a value of up to 64 bits."""
    if value < 24:
        return bytes((code | value,))
    if value < 256:
        return bytes((code | 24, value))
    size = 2 if value < 65536 else 4 if value >> 32 == 0 else 8
    return bytes((code | 24 | size // 2 - (size == 8),)) + value.to_bytes(size, "big")
