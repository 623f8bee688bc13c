"""Room that a request keeps within its budget for what it may still gain. Loaded where there may be something."""

from .compat import const
from .request import Request

_DATE = const(36)  # octets of "Date:Sat, 13 Nov 2010 23:29:00 GMT" and its line end
_CREDENTIALS = const(384)  # octets of credentials with SHA-256, beside user and URI; realm and nonce 160 of them


def to_come(uac: "Uac", request: Request) -> int:  # type: ignore[name-defined]  # noqa: F821
    """Return the octets that a request may still gain: the answer to a challenge, and a Date once it is known."""
    octets = 0
    if request.expires and request.date is None and (uac.clock is None or uac.clock.quality == 0):
        octets = _DATE
    if uac.settings.get("credentials"):
        each = _CREDENTIALS + max([len(one[1]) for one in uac.settings["credentials"]]) + len(request.uri)
        rooms, known = 1, 0
        if uac.recovery is not None:
            rooms, known = uac.recovery.peers.rooms, len(uac.recovery.peers.known(request))
        octets += max(rooms - known, 0) * each
    return octets
