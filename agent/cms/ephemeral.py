"""ECDH on P-256 (SP 800-56A) with a key of a moment and a point that has a table, for boards that encrypt."""

from .p256 import N, multiply


def agree(generator: object, public: object, random: object) -> tuple[bytes, bytes]:
    """Return a fresh public point, uncompressed, and the secret of 32 octets that it shares with a public key.

    generator, public: the tables of the curve's generator and of the public key (agent.cms.tables). random: as
    os.urandom.
    """
    k, z = [int.from_bytes(random(40), "big") % (N - 1) + 1 for _ in range(2)]  # type: ignore[operator]
    x, y = multiply(z, (k, generator))  # type: ignore[arg-type]
    secret = multiply(z, (k, public))[0]  # type: ignore[arg-type]
    return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big"), secret.to_bytes(32, "big")
