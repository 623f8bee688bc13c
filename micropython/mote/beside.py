"""How many octets stand beside a text that is protected. Loaded to see whether it fits."""

from agent.cpim.identity import identify
from agent.cpim.writer import build_cpim
from agent.errors import UsageError
from mote import keys

_AROUND = {"sign": 283, "encrypt": 278, "sign+encrypt": 592, "shared": 181}  # a message/cpim, without identifiers
_TYPE = b"application/pkcs7-mime;smime-type=%s"


def fit(mote: object, uri: bytes, body: bytes, more: dict) -> tuple:
    """Return what UserAgent.fit does for a text that leaves protected; more: its further arguments.

    Raises agent.errors.UsageError that names the settings with which it would fit.
    """
    try:
        return mote.agent.fit(uri, body, mote.settings.get("budget", "compact"), **beside(mote, uri, more))
    except UsageError as error:
        raise UsageError(str(error) + advice(mote.settings["protect"]))


def beside(mote: object, uri: bytes, given: dict) -> dict:
    """Return what UserAgent.fit has to know of a text that leaves protected for whom a URI names.

    given: the same of the text as it is, with all that notify puts around it. Raises agent.errors.UsageError.
    """
    how = mote.settings["protect"]
    octets = given.get("reserve")
    if octets is None:
        to = b"sip:" + (keys.person_of(uri) or b"")
        octets = len(build_cpim(mote.agent.aor, to, b"", unix=0, extra=identify(b"0" * 20)))
    octets += _AROUND[how]
    names = [keys.own().get("id", "")] if how.startswith("sign") else []
    if how != "sign":
        field = "key", "name"
        if how != "shared":
            field = "table", "id"
        peer = keys.peer_of(uri, field[0])
        names.append(peer[field[1]] if peer else "")
    octets += sum([len(name) // 2 for name in names])
    kind = b"signed-data" if how == "sign" else b"authEnveloped-data"
    return dict(given, content_type=_TYPE % kind, reserve=octets, date=1)


def advice(how: str) -> str:
    """Return which settings leave room for more than one does."""
    room = [(_AROUND[how] - _AROUND[name], name) for name in _AROUND]
    more = ["%d octets more with %s" % one for one in sorted(room) if one[0] > 50]
    return "; protect=%s takes room, there are %s" % (how, ", ".join(more)) if more else ""
