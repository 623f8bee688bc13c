"""What a user agent is made of, checked. A board frees this module once its user agent is made."""

from .request import read_target

_SETTINGS = " proxy transport accept users hosts keep clock credentials authenticator reader resolve_im "
_ANYWHERE = (b"TLS",)  # a flow for what is read and not sent to


def check(aor: bytes, sent_by: bytes, settings: dict) -> None:
    """Raise UsageError that names what is wrong with what agent.user_agent.UserAgent is given.

    first_hop, (flow, place) as agent.target.read_hop() gives it, is added to settings with a proxy.
    """
    for name in settings:
        if _SETTINGS.find(" %s " % name) < 0:
            _refuse("a user agent has no setting %s" % name)
    try:
        read_target(aor, b"", _ANYWHERE)
        read_target(b"sip:x@" + sent_by, b"", _ANYWHERE)
        if settings.get("proxy") is not None:
            from .target import read_hop

            settings["first_hop"] = read_hop(settings["proxy"], settings.get("transport", b"UDP"))
    except Exception as error:  # ParseError and UsageError alike
        _refuse("address-of-record, sent-by or proxy: %s" % error)


def _refuse(text: str) -> None:
    from .errors import UsageError

    raise UsageError(text)
