"""Who has our certificate: the first signed message to somebody carries it. Loaded where memory isn't short.

/smime/shown has a line for each who has taken a message with it: the certificate's identifier and his URI.
"""

from agent.errors import UsageError
from mote.beside import beside
from mote.keys import own

_CERTIFICATE = "/smime/certificate"
_SHOWN = "/smime/shown"
_AROUND = 8  # octets around a certificate


def certificate_for(mote: object, alert: object) -> bytes | None:
    """Return our certificate, in DER, for the recipient of an alert; None if he has it, b"" if it doesn't fit."""
    try:
        with open(_SHOWN, "rb") as file:
            if _line(alert.target) in file.read().split(b"\n"):
                return None
    except OSError:  # nobody has it yet
        pass
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


def remembering(alert: object) -> object:
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
    return b"%s %s" % (own()["id"].encode(), uri)
