"""Which of several flows to try first. Loaded when a name was looked up, or the shell asks."""

from .clock import until


def live_first(dead: dict, flows: list, now: int) -> list:
    """Return flows with those at the end that are dead (see agent.peers); of these the first to revive comes first."""
    waits = [(until(dead.get(flow[:3], now), now), flow) for flow in flows]
    late = sorted([pair for pair in waits if pair[0] > 0], key=lambda pair: pair[0])
    return [flow for ms, flow in waits if ms <= 0] + [flow for _, flow in late]
