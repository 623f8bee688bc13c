"""A registration that has no binding: why, and when it tries again (RFC 5626 section 4.5). Loaded at a failure."""

from ..clock import later, parse_delta
from ..compat import const
from ..events import Event
from ..message import Message
from ..registration import Registered, Registration

_FIRST_PAUSE_S = const(30)  # doubled with each failure in a row
_LONGEST_PAUSE_S = const(1800)


class RegistrationLost(Event):
    """There is no binding; the next attempt comes by itself."""

    __slots__ = ("status", "pause_s")
    status: int  # of the final response; 408 and 503 as in Outcome
    pause_s: int


class FlowLost(Event):
    """Pings are no longer answered: the shell is to close the stream of this flow, and opens another on demand."""

    __slots__ = ("flow",)
    flow: tuple


def lost(binding: Registration, status: int, message: Message | None, now: int) -> list[Event]:
    """Ask for more seconds if there were too few, else try again later: the longer, the more attempts have failed.

    status: of the response, message: the response if there is one. Once for each renewal are the seconds raised: a
    registrar may ask for more each time. A Retry-After is obeyed.
    """
    if message is not None and status == 423:
        least = parse_delta(message.get(b"min-expires"))
        if least is not None and least > binding.expires > 0 and not binding.has_raised:
            binding.has_raised = True
            binding.expires = least
            return binding.start(now)
    pause_s = min(_FIRST_PAUSE_S << min(binding.failures, 6), _LONGEST_PAUSE_S)
    pause_s -= pause_s * binding.ua.random_octet() // 512  # 50 to 100 % of it
    retry_after = None if message is None else message.get(b"retry-after")
    if retry_after is not None:
        from ..recovery.failover import retry_after_s

        pause_s = max(pause_s, retry_after_s(retry_after))
    binding.failures += 1
    binding.bound = binding.has_raised = False
    binding.ping_at = binding.pong_at = None
    binding.ponged = False  # who is asked next has to show it first
    if binding.expires == 0:
        binding.ua.route = None
        return [Registered(0)]
    binding.expires = binding.asked
    binding.next_at = later(now, pause_s * 1000)
    return [RegistrationLost(status, pause_s)]
