"""Room that a request keeps within its budget for what it may still gain. Loaded where there may be something."""

from .compat import const
from .request import Request

_DATE = const(36)  # octets of "Date:Sat, 13 Nov 2010 23:29:00 GMT" and its line end
_CREDENTIALS = const(384)  # octets of credentials with SHA-256, beside user and URI; realm and nonce 160 of them


def to_come(uac: "Uac", request: Request, rooms: int = 1) -> int:  # type: ignore[name-defined]  # noqa: F821
    """Return the octets that a request may still gain: answers to challenges, and a Date once it is known.

    rooms: for how many answers there has to be room, those included that it has already.
    """
    octets = 0
    if request.expires and request.date is None and (uac.clock is None or uac.clock.quality == 0):
        octets = _DATE
    if uac.settings.get("credentials"):
        known = 0 if uac.recovery is None else len(uac.recovery.peers.known(request))
        octets += max(rooms - known, 0) * _usual(uac, request)
    return octets


def _usual(uac: "Uac", request: Request) -> int:  # type: ignore[name-defined]  # noqa: F821
    return _CREDENTIALS + max([len(one[1]) for one in uac.settings["credentials"]]) + len(request.uri)


def forget_oversized(uac: "Uac", request: Request) -> bool:  # type: ignore[name-defined]  # noqa: F821
    """Forget what was asked for on a request's flow if that takes more room than two usual challenges do.

    Else one stranger behind a proxy could take the room of all messages. Returns whether it was so.
    """
    if uac.recovery is None or not uac.recovery.peers.known(request):
        return False
    if len(uac.recovery.peers.answer(request)) <= 2 * _usual(uac, request):
        return False
    uac.recovery.peers.challenged(request, [])
    return True
