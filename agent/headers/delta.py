"""Durations as SIP writes them: delta-seconds and Retry-After (RFC 3261 sections 20.19 and 20.33)."""

from ..compat import const

_LONGEST_PAUSE_S = const(3600)


def parse_delta(value: bytes | None) -> int | None:
    """Return delta-seconds 0..2**32-1 (Expires, section 20.19); None for a malformed or larger value."""
    if value is None or not value.isdigit():
        return None
    digits = value.lstrip(b"0") or b"0"  # leading zeros are legal
    return int(digits) if len(digits) <= 10 and int(digits) <= 0xFFFFFFFF else None


def retry_after_s(value: bytes | None) -> int:
    """Return the seconds that a Retry-After value asks us to wait, 3600 at most; 0 when it is missing or malformed."""
    if value is None:
        return 0
    return min(parse_delta(value.split(b";")[0].split(b"(")[0].strip()) or 0, _LONGEST_PAUSE_S)
