"""Why a message can't be sent, in sentences. Loaded by the first one: who makes no mistake doesn't pay for them."""

from .errors import UsageError

_REFUSALS = (
    "the request is {} octets over its budget of 1300",
    "too many messages wait for this URI: send more when some have their outcome",
    "this Call-ID is being sent already: take a new one",
)


def refuse(fault: int, octets: int) -> None:
    """Raise UsageError with the sentence above that has this number, from 1. octets: over the budget."""
    raise UsageError(_REFUSALS[fault - 1].format(octets))
