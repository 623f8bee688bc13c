"""Events that an alert usually does without."""

from collections import namedtuple

# Look up where a request for uri goes (RFC 3263) and tell it by UserAgent.resolved(). uri: without a user part.
Resolve = namedtuple("Resolve", ("uri",))

# A peer works on a request of ours (1xx).
Provisional = namedtuple("Provisional", ("call_id", "status", "reason"))

# Bytes that came and led to nothing. reason: text.
Dropped = namedtuple("Dropped", ("reason", "flow"))
