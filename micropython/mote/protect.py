"""Alerts leave protected end to end, as the setting protect says (RFC 8591). Loaded where it is set.

An alert is protected when it is first sent, by mote.sealing, and stays as it is then. After a restart it is made anew
of the same text, Call-ID and time: what is signed has the same octets.
"""

from agent.compat import const
from agent.errors import UsageError
from mote.log import ERROR, WARNING
from mote.net.sockets import now

_UNIX_AT = const(14)  # where a record of the outbox has the Unix time when it was raised, see mote.outbox
_PKCS7 = b"application/pkcs7-mime"
refusing = []  # URIs of who takes nothing protected
show = None  # mote.showing.show(), where our certificate may go along


def guarded(mote: object) -> object:
    """Return what takes the place of mote.Mote.submit()."""
    return lambda alert, call_id=None: _submit(mote, alert, call_id)


def _submit(mote: object, alert: object, call_id: bytes | None) -> None:
    """Hand an alert to the core as mote.Mote.submit() does. One that can't be protected is refused at once."""
    call_id = call_id or mote.agent.new_call_id()
    if not alert.options.get("content_type", b"").startswith(_PKCS7):
        try:
            protected = _protected(mote, alert, call_id)
        except UsageError as error:
            mote.log(ERROR, "not_protected", to=alert.target.decode(), reason=str(error))
            alert.end("refused")
            return
        if protected is not None:
            if mote.settings.get("clear"):
                alert.text = alert.body, alert.options
            alert.body, alert.options = protected
    while True:
        try:
            type(mote).submit(mote, alert, call_id)
            return
        except UsageError as error:
            if "compact" in alert.options or mote.settings.get("budget") == "refuse":
                from mote.beside import advice

                raise UsageError(str(error) + advice(mote.settings["protect"]))
        alert.options = dict(alert.options, compact=True)


def _protected(mote: object, alert: object, call_id: bytes) -> tuple | None:
    """Return body and options of an alert, None if it is to leave in clear. Raises agent.errors.UsageError."""
    unix = _raised(mote, alert)
    options = alert.options
    sealed = None
    if alert.target not in refusing or not mote.settings.get("clear"):
        certificate = b"" if show is None else show(mote, alert)
        from mote.sealing import seal

        sealed = seal(mote, alert.target, call_id, options.get("content_type"), alert.body, unix, certificate)
    if sealed is None:
        mote.log(WARNING, "sent_in_clear", to=alert.target.decode())
        return None
    more = {"content_type": sealed[0]}
    if unix:
        more["date"] = unix
    for name in ("compact", "date", "expires"):
        if name in options:
            more[name] = options[name]
    return sealed[1], more


def _raised(mote: object, alert: object) -> int:
    """Return the Unix time when an alert was raised, 0 if nobody knows: the same after a restart."""
    unix = getattr(alert, "unix", None)  # of an alert of an earlier start
    if unix is None and alert.outbox is not None:
        try:
            with open(alert.outbox.journal.path, "rb") as file:
                file.seek(alert.at + _UNIX_AT)
                unix = int.from_bytes(file.read(4), "big")
        except OSError:
            pass
    if not unix:
        clock = mote.agent.uac.clock
        today = None if clock is None else clock.unix(now())
        at = mote.uptime()
        unix = today - at + getattr(alert, "born_s", at) if today else 0
    return unix  # type: ignore[no-any-return]
