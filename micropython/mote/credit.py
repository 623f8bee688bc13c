"""How often a sender may ask a board for something."""

_paid = {}  # sender -> uptime in ms up to which what he asked for takes his time


def has_credit(mote: object, sender: bytes, cost_ms: int, credit_ms: int) -> bool:
    """May a sender ask for this now? It costs him so much time; what came before may take up so much of it."""
    at = mote.uptime_ms()
    paid = max(_paid.get(sender, 0), at)
    if paid - at > credit_ms:
        return False
    _paid[sender] = paid + cost_ms
    return True
