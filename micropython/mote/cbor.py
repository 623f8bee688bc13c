"""CBOR (RFC 8949) for log records. Loaded with the first record that isn't an alert's usual outcome."""

import struct


def cbor(value: object) -> bytes:
    """Encode None, bool, int (64 bits), str, bytes, tuple, list or dict; anything else as its repr."""
    kind = type(value)
    if kind is str or kind is bytes:
        major = 0x40
        if kind is str:
            major = 0x60
            value = value.encode()
        return _head(major, len(value)) + value
    if kind is int:
        return _head(0, value) if value >= 0 else _head(0x20, -1 - value)
    if value is None or kind is bool:
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if kind is dict:
        items = [_head(0xA0, len(value))]
        for key in value:
            items.append(cbor(key))
            items.append(cbor(value[key]))
        return b"".join(items)
    if kind is tuple or kind is list:
        return _head(0x80, len(value)) + b"".join([cbor(item) for item in value])
    return cbor(repr(value))


def _head(major: int, number: int) -> bytes:
    """Return the first octets of an item: its major type and a number of up to 64 bits."""
    if number < 24:
        return bytes((major | number,))
    if number < 256:
        return bytes((major | 24, number))
    if number < 65536:
        return struct.pack(">BH", major | 25, number)
    if number >> 32 == 0:
        return struct.pack(">BI", major | 26, number)
    return struct.pack(">BQ", major | 27, number)
