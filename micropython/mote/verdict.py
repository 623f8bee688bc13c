"""Is a signature good, by a key in /smime? Loaded for a message, and freed."""

from binascii import unhexlify

from agent.cms.verifying import is_ecdsa, is_rsa
from agent.errors import ParseError, UsageError
from mote.combs import table


def check(kind: str, hash: str, covered: bytes, value: bytes, peer: dict, status: int) -> None:
    """Raise agent.errors.ParseError, with this status, unless a signature is one by the key of this peer.

    The others: as in agent.cms.signed.Signature.
    """
    if kind == "rsa":
        is_good = is_rsa(covered, hash, value, unhexlify(peer["modulus"]), peer["exponent"])
    else:
        is_good = _is_ecdsa(covered, hash, value, peer["table"], status)
    if not is_good:
        raise ParseError("it is not signed by the key that we have of %s" % peer["uri"], status)


def _is_ecdsa(covered: bytes, hash: str, value: bytes, name: str, status: int) -> bool:
    try:
        return is_ecdsa(covered, hash, value, table("g")(), table(name)())  # type: ignore[no-any-return,operator]
    except UsageError as error:
        raise ParseError(str(error), status)
