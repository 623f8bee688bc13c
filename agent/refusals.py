"""Why a message can't be sent, in sentences. Loaded by the first one: who makes no mistake doesn't pay for them."""

from .errors import UsageError

_REFUSALS = {
    "call_id": "Call-ID: letters, digits, dots and dashes were expected",
    "in use": "this Call-ID is being sent already: take a new one",
    "full": "too many messages wait for this URI: send more when some have their outcome",
    "budget": "the request is %d octets over its budget of 1300",
}


def refuse(what: str, *numbers: int) -> None:
    """Raise UsageError with one of the sentences above."""
    raise UsageError(_REFUSALS[what] % numbers)
