"""What a UAC has learned of others: challenges, types that were refused, flows that lead nowhere. All bounded."""

from .clock import later, until
from .compat import const
from .request import Request

_MAX_CHALLENGED = const(16)  # methods and flows
_MAX_REFUSED = const(64)  # content types of peers
_MAX_DEAD = const(16)  # flows
_DEAD_S = const(30)  # how long a flow that led nowhere is put behind others


class Peers:
    """One for each user agent.

    settings: the user agent's, for its credentials. random_bytes: a function of n that returns n octets.
    rooms: for how many credentials a text that is cut keeps room. refused: (URI key, content type) pairs.
    dead: a flow's first three items -> when to think of it again. challenges: (method, flow) -> auth.client.Challenge.
    """

    def __init__(self, settings: dict, random_bytes: object) -> None:
        self.settings = settings
        self.random_bytes = random_bytes
        self.rooms = 1
        self.refused: tuple = ()
        self.dead: dict[tuple, int] = {}
        self.challenges: dict[tuple, list] = {}  # a nonce serves for more than one request

    def challenged(self, request: Request, challenges: list) -> None:
        """Remember the challenges that requests like this are to answer on this flow; none: to begin without again."""
        key = (request.method, request.flows[0][:3])
        if not challenges:
            self.challenges.pop(key, None)
            return
        if len(self.challenges) >= _MAX_CHALLENGED:
            self.challenges.clear()
        self.challenges[key] = challenges
        if len(challenges) > 1:  # a proxy's and the recipient's, say: room for two takes a third of everybody's budget
            self.rooms = 2

    def known(self, request: Request) -> list:
        """Return the challenges that requests like this are to answer on this flow."""
        return self.challenges.get((request.method, request.flows[0][:3]), [])

    def has_asked(self, host: bytes) -> bool:
        """Has a host challenged us, and do we answer?"""
        return host in [flow[1] for _, flow in self.challenges]

    def answer(self, request: Request) -> bytes:
        """Return the header lines with credentials for a request. Nothing is counted yet."""
        route = request.route
        uri = request.uri if route is None else route.request_uri(request.uri)  # type: ignore[attr-defined]
        return b"".join([one.answer(request.method, uri, request.body) for one in self.known(request)])

    def answered(self, request: Request) -> None:
        """Count that a request with these answers has been sent."""
        for challenge in self.known(request):
            challenge.count += 1

    def refuse(self, key: bytes, content_type: bytes) -> None:
        """Remember that a peer has refused a content type."""
        self.refused = self.refused[1 - _MAX_REFUSED :] + ((key, content_type),)

    def bury(self, flow: tuple, seconds: int, now: int) -> None:
        """Remember that a flow leads nowhere, for so many seconds or, given 0, for a time of our own."""
        dead = self.dead
        for known in list(dead):
            if until(dead[known], now) <= 0 or len(dead) >= _MAX_DEAD:
                del dead[known]
        dead[flow[:3]] = later(now, (seconds or _DEAD_S) * 1000)

    def live_first(self, flows: list, now: int) -> list:
        """Return flows with those at the end that led nowhere a while ago: see agent.live_flows.live_first()."""
        from .live_flows import live_first

        return live_first(self.dead, flows, now)
