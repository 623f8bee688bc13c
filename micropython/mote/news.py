"""Events of the core that are no outcome, and what a task did not expect: loaded by the first of them."""

from agent.notices import Dropped, Provisional
from mote.log import DEBUG, ERROR, INFO, WARNING


def take(mote: object, event: object) -> None:
    """Log an event, act upon it, or hand it on."""
    kind = type(event)
    if kind is Dropped:
        mote.log(DEBUG, "dropped", reason=event.reason)
    elif kind is Provisional:
        pass  # somebody works on it
    elif isinstance(event, Exception):
        from mote.failure import told

        mote.log(ERROR, "task_failed", **told(event))
    elif hasattr(event, "message"):
        from mote.commands import take_message

        take_message(mote, event)
    else:
        _take_registration(mote, event)


def _take_registration(mote: object, event: object) -> None:
    from agent.registration import FlowLost, Registered

    kind = type(event)
    if kind is FlowLost:
        mote.shell.others().streams().hang_up(event.flow)
    elif kind is Registered:
        mote.log(INFO, "registered", expires=event.expires)
    else:
        mote.log(WARNING, "not_registered", status=event.status, retry_s=event.pause_s, reason=event.reason)
