"""What a UAC tries before it gives up (RFC 3261 section 8.1.3). Loaded by the first request that fails.

Each module here (and auth/client.py) has one function, amend(request, status, response, peers, now): it returns a changed
copy of a request that is worth another attempt, or None. What it learns of others it tells peers.
"""

from ..message import Message
from ..peers import Peers
from ..request import Request


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Return what to try next after a final response, None when there is nothing.

    status: of the response; 408 for a timeout and 503 for a flow that failed, where response is None.
    """
    if response is None or status == 503:
        from .failover import amend as second_chance
    elif status in (401, 407):
        from ..auth.client import amend as second_chance
    elif status < 400:
        from .redirect import amend as second_chance
    elif status in (415, 416):
        from .fallback import amend as second_chance
    else:
        return None
    return second_chance(request, status, response, peers, now)
