"""Why a message can't be sent, in sentences. Loaded by the first one: who makes no mistake doesn't pay for them."""

from .errors import UsageError

_REFUSALS = {
    "in use": "this Call-ID is being sent already: take a new one",
    "full": "too many messages wait for this URI: send more when some have their outcome",
    "budget": "the request is {} octets over its budget of 1300",
}


def refuse(what: str, octets: int) -> None:
    """Raise UsageError with one of the sentences above. octets: over the budget."""
    raise UsageError(_REFUSALS[what].format(octets))
