"""The ID of a message in message/cpim (RFC 5438): all of agent.cpim.imdn that a board needs which asks for nothing."""

NAMESPACE = b"urn:ietf:params:imdn"
CPIM = b"message/cpim"


def identify(message_id: bytes) -> bytes:
    """Return the message headers with a message's own ID, which stays the same when its Call-ID changes on the way."""
    return b"NS: imdn <%s>\r\nimdn.Message-ID: %s\r\n" % (NAMESPACE, message_id)
