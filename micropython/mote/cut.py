"""Log records that are longer than a frame. Loaded by the first one."""

from agent.compat import const
from mote.cbor import cbor, head, text_of

_LEAST = const(64)  # octets that each value may have
_MARK = b"\xe2\x80\xa6"  # an ellipsis


def cut(event: str, fields: dict, most: int) -> bytes:
    """Return a record's event and its fields in at most so many octets: what is long ends in an ellipsis.

    Fields for which there is still no room are left out; the field left_out counts them.
    """
    begin = cbor(_short(event, _LEAST))
    room = most - len(begin) - 16  # for left_out
    share = max(room // (len(fields) or 1) - 2 * _LEAST, _LEAST)
    items = []
    left_out = 0
    for name in fields:
        item = cbor(_short(name, _LEAST)) + cbor(_short(fields[name], share))
        room -= len(item)
        if room < 0:
            left_out += 1
        else:
            items.append(item)
    if left_out:
        items.append(cbor("left_out") + cbor(left_out))
    return begin + head(0xA0, len(items)) + b"".join(items)


def _short(value: object, most: int) -> object:
    """Return a value that takes at most so many octets and a few: itself, or the beginning of its text and a mark."""
    if type(value) is str or type(value) is bytes:
        octets = value if type(value) is bytes else value.encode()
    elif len(cbor(value)) <= most:
        return value
    else:
        octets = text_of(value).encode()
    if len(octets) <= most:
        return value
    if type(value) is bytes:
        return octets[:most] + _MARK
    while octets[most] & 0xC0 == 0x80:  # between characters
        most -= 1
    return (octets[:most] + _MARK).decode()
