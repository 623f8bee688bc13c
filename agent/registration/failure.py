"""What a failed REGISTER means: other seconds to ask for, or a pause (RFC 3261 section 10.3, RFC 5626 section 4.5)."""

from ..compat import const
from ..headers.delta import parse_delta, retry_after_s
from ..message import Message

_FIRST_PAUSE_S = const(30)  # doubled with each failure in a row
_LONGEST_PAUSE_S = const(1800)


def least_s(status: int, response: Message | None) -> int:
    """Return the seconds that a registrar wants to be asked for at least, 0 when that isn't what it refused."""
    return 0 if response is None or status != 423 else parse_delta(response.get(b"min-expires")) or 0


def options_left(options: bytes, status: int, response: Message | None) -> bytes:
    """Return which of the option tags in a REGISTER to go on with after a response.

    439 says that the first hop has no outbound (RFC 5626 section 4.2.1); 420 lists what the server does not know. If it
    doesn't, outbound is the likelier.
    """
    refused = b""
    if response is not None and status == 420:
        refused = b",".join(response.all(b"unsupported")).lower()
    if status == 439 or (status == 420 and not refused):
        refused = b"outbound"
    refusals = [tag.strip() for tag in refused.split(b",")]
    return b", ".join([tag for tag in options.split(b", ") if tag not in refusals])


def reason_of(status: int, response: Message | None) -> bytes:
    """Return what a registrar says of a failure: its reason phrase, and the text of its first Warning (RFC 3261 section
    20.43). That of a 2xx is ours: it was no failure to the registrar."""
    if response is None:
        return b""
    reason = b"it grants no time" if status < 300 else response.reason
    warning = (response.get(b"warning") or b"").split(b'"')
    return reason + b": " + warning[1] if len(warning) > 2 else reason


def pause_s(failures: int, octet: int, response: Message | None) -> int:
    """Return the seconds until the next attempt: the more, the more attempts have failed; a Retry-After is obeyed.

    failures: in a row, before this one. octet: random, 0..255, so that not all of a server's clients come at once.
    """
    pause = min(_FIRST_PAUSE_S << min(failures, 6), _LONGEST_PAUSE_S)
    pause -= pause * octet // 512  # 50 to 100 % of it
    return max(pause, 0 if response is None else retry_after_s(response.get(b"retry-after")))
