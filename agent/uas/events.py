"""What a UAS tells of."""

from collections import namedtuple

# A MESSAGE for us has come. Take care of it (store it), then call UserAgent.respond() with this event.
# message: agent.message.Message. sender: URI of its From field. date: Unix seconds of its Date field, None without a
# valid one. expired: has its Expires run out? None: not to be known without a clock. stale: is its Date minutes off our
# clock (RFC 3428 section 11)? None as above. key: the server transaction that waits for the answer. user: who has
# authenticated for it, with an authenticator.
MessageReceived = namedtuple(
    "MessageReceived", ("message", "flow", "sender", "call_id", "date", "expired", "stale", "key", "user")
)
