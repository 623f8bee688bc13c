"""Who has our certificate: the first signed message that somebody takes carries it, if it fits.

/smime/shown has a line for each who has taken one: the certificate's identifier and his URI.
"""

from gc import mem_free

from agent.compat import const
from agent.errors import UsageError

_CERTIFICATE = "/smime/certificate"
_SHOWN = "/smime/shown"
_AROUND = const(8)  # octets around a certificate
_AMPLE = const(65536)  # octets of memory: with less no certificate goes along
_MOST = const(8)
_known = []  # URIs of who has it


def show(mote: object, alert: object) -> bytes:
    """Return our certificate, in DER, if it is to go with an alert; b"" if not."""
    if alert.target in _known or mem_free() < _AMPLE:
        return b""
    certificate = _certificate_for(mote, alert)
    if certificate:
        alert.end = _remembering(alert)
    if certificate is None:
        _known.append(alert.target)
        if len(_known) > _MOST:
            _known.pop(0)
    return certificate or b""


def _certificate_for(mote: object, alert: object) -> bytes | None:
    """Return our certificate, None if the recipient of an alert has it, b"" if it doesn't fit."""
    try:
        with open(_SHOWN, "rb") as file:
            if _line(alert.target) in file.read().split(b"\n"):
                return None
    except OSError:  # nobody has it yet
        pass
    from mote.beside import beside

    given = {} if alert.expires is None else {"expires": alert.expires}
    policy = "refuse" if mote.settings.get("budget") == "refuse" else "compact"
    try:
        with open(_CERTIFICATE, "rb") as file:
            certificate = file.read()
        more = beside(mote, alert.target, given)
        more["reserve"] += len(certificate) + _AROUND
        mote.agent.fit(alert.target, alert.body, policy, **more)
    except (OSError, UsageError):
        return b""
    return certificate


def _remembering(alert: object) -> object:
    """Return what takes the place of Alert.end() of one that carries our certificate: who takes it has it."""
    end = alert.end

    def ended(outcome: str) -> None:
        end(outcome)
        if outcome == "delivered":
            try:
                with open(_SHOWN, "ab") as file:
                    file.write(_line(alert.target) + b"\n")
            except OSError:  # the next one carries it again
                pass

    return ended


def _line(uri: bytes) -> bytes:
    from mote.keys import own

    return b"%s %s" % (own().get("id", "").encode(), uri)
