"""What a user agent is made of, checked. A board frees this module once its user agent is made."""

from .compat import const
from .target import read_target

_SETTINGS = const(
    " proxy transport target accept users hosts keep clock credentials authenticator reader resolve_im strict inflate "
)


def check(aor: bytes, sent_by: bytes, settings: dict) -> None:
    """Raise UsageError that names what is wrong with what agent.user_agent.UserAgent is given.

    A proxy adds first_hop to settings, its (flow, place), and a target adds known: (target, what was read of it).
    """
    for name in settings:
        if _SETTINGS.find(" %s " % name) < 0:
            refuse("a user agent has no setting %s" % name)
    proxy, target, transport = settings.get("proxy"), settings.get("target"), settings.get("transport", b"UDP")
    try:
        read_target(aor, b"", (b"TLS",))  # a flow for what is read and not sent to
        read_target(b"sip:x@" + sent_by, b"", (b"TLS",))
        if proxy is not None:
            settings["first_hop"] = read_target(proxy, transport, None)[3:]
    except Exception as error:  # ParseError and UsageError alike
        refuse("address-of-record, sent-by or proxy: %s" % error)
    if target is not None:
        settings["known"] = target, read_target(target, transport, settings.get("first_hop", (None,))[0])


def refuse(text: str) -> None:
    """Raise UsageError with this text."""
    from .errors import UsageError

    raise UsageError(text)
