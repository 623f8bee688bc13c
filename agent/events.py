"""What the core hands back: what has happened, and what the shell has to do, in the order to do it.

Each event is a tuple with a class of its own and named fields: dispatch with `type(event) is Transmit`. Here are those
that each message brings. notices.py, uas/ and registration/ have the others, so that they cost
nothing before they are needed.

A flow is where bytes come from and go to: a tuple (transport, host, port, ...) such as (b"UDP", b"192.0.2.7", 5060).
The host is an address without brackets. What a shell appends (the local socket, say) comes back to it with every
answer. A stream's flow names the connection.
"""

from collections import namedtuple

# Send data (octets) on flow; a stream's flow that isn't open is to be opened.
Transmit = namedtuple("Transmit", ("data", "flow"))

# The one result of a MESSAGE that was sent; nothing more will be said about this Call-ID.
# name: "delivered" (2xx), "accepted" (202), "failed" (3xx to 5xx), "refused" (6xx), "timeout" (Timer F).
# status: of the final response, 408 for Timer F, 503 for a flow that failed. reason: its phrase.
# retry_after: the value of its Retry-After, None without one.
Outcome = namedtuple("Outcome", ("call_id", "name", "status", "reason", "retry_after"))
