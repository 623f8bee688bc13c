"""What a user agent is made of, checked. A board frees this module once its user agent is made."""

from .target import read_target

_SETTINGS = " proxy transport target accept users hosts keep clock credentials authenticator reader resolve_im "
_ANYWHERE = (b"TLS",)  # a flow for what is read and not sent to


def check(aor: bytes, sent_by: bytes, settings: dict) -> None:
    """Raise UsageError that names what is wrong with what agent.user_agent.UserAgent is given.

    With a proxy, settings get first_hop: its (flow, place). With a target they get known: (target, what was read of it).
    """
    for name in settings:
        if _SETTINGS.find(" %s " % name) < 0:
            _refuse("a user agent has no setting %s" % name)
    given = settings.get
    transport = given("transport", b"UDP")
    try:
        read_target(aor, b"", _ANYWHERE)
        read_target(b"sip:x@" + sent_by, b"", _ANYWHERE)
        if given("proxy") is not None:
            settings["first_hop"] = read_target(given("proxy"), transport, None)[3:]
    except Exception as error:  # ParseError and UsageError alike
        _refuse("address-of-record, sent-by or proxy: %s" % error)
    if given("target") is not None:
        hop = given("first_hop")
        settings["known"] = given("target"), read_target(given("target"), transport, hop and hop[0])


def _refuse(text: str) -> None:
    from .errors import UsageError

    raise UsageError(text)
