"""What a registration tells of."""

from collections import namedtuple

# The registrar has answered 200: we are reachable for so many seconds, 0 after unregistering.
Registered = namedtuple("Registered", ("expires",))

# There is no binding; the next attempt comes by itself, in pause_s seconds. status: of the final response; 408 and 503
# as in Outcome.
RegistrationLost = namedtuple("RegistrationLost", ("status", "pause_s"))

# Pings are no longer answered: the shell is to close the stream of this flow, and opens another on demand.
FlowLost = namedtuple("FlowLost", ("flow",))
