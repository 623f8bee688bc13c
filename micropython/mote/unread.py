"""Alerts that were refused because they are protected. Loaded by the first of them."""

from agent.compat import const
from mote.log import ERROR
from mote.protect import refusing

_MOST = const(16)  # recipients that are remembered


def refused(mote: object, alert: object, outcome: object) -> None:
    """End an alert that its recipient can't read, or send it in clear, where the setting clear allows that."""
    if not hasattr(alert, "text"):
        to = alert.target.decode()
        reason = "%d %s: has %s the keys that the board knows (sipmote provision --protect %s)? Or set clear=true"
        reason %= (outcome.status, outcome.reason.decode(), to, mote.settings["protect"])
        mote.log(ERROR, "not_protected", to=to, reason=reason)
        mote.ended(outcome.call_id, "refused")
        return
    if alert.target not in refusing:
        refusing.append(alert.target)
        if len(refusing) > _MOST:
            refusing.pop(0)
    alert.body, alert.options = alert.text
    mote.submit(alert, outcome.call_id)
