"""Header fields that a person adds to a message: `send --header`."""

import os
from collections.abc import Sequence

from sipmote.agent.errors import UsageError
from sipmote.agent.uri import is_token

_OURS = {  # in lower case: what does it here
    **dict.fromkeys(("via", "v", "max-forwards", "to", "t", "call-id", "i", "cseq", "content-length", "l"), ""),
    **dict.fromkeys(("from", "f"), "--from"),
    **dict.fromkeys(("subject", "s"), "--subject"),
    **dict.fromkeys(("content-type", "c"), "--content-type"),
    **dict.fromkeys(("expires", "date"), "--expires"),
    **dict.fromkeys(("authorization", "proxy-authorization"), "--user"),
    **dict.fromkeys(("contact", "m"), ""),  # a MESSAGE has none (RFC 3428 section 9)
}


def further_fields(texts: Sequence[str]) -> bytes:
    """Return "Name: value" texts as header lines; raises UsageError for those that are ours to write, or no field."""
    lines = []
    for text in texts:
        name, colon, value = text.partition(":")
        name = name.strip()
        if not colon or not is_token(os.fsencode(name)) or any(c in text for c in "\r\n\0"):
            raise UsageError(f"--header {text!r}: one line NAME: VALUE was expected, such as 'Priority: urgent'")
        option = _OURS.get(name.lower())
        if option is not None:
            remedy = f"use {option}" if option else "leave it out"
            raise UsageError(f"--header {text!r}: {name} is not for you to write in a MESSAGE, {remedy}")
        lines.append(b"%s: %s\r\n" % (os.fsencode(name), os.fsencode(value.strip())))
    return b"".join(lines)
