"""ECDH on P-256 with a point that nobody knew before (SP 800-56A), for boards: reading what was encrypted to us."""

from .p256 import N, P, add, affine, double, inverse, is_point


def agree(secret: bytes, point: bytes, z: int) -> bytes:
    """Return the secret that our private key shares with a public point: what agree_in_steps() yields last."""
    shared = b""
    for shared in agree_in_steps(secret, point, z):  # type: ignore[attr-defined]  # noqa: B007
        pass
    return shared


def agree_in_steps(secret: bytes, point: bytes, z: int) -> object:
    """Yield b"" again and again, so that others may do something between, then the shared secret.

    secret: the private key, 32 octets. point: uncompressed, 65 octets. z: a random number from 1 to P - 1, which hides
    the key: so does a multiple of N, so that no two times go the same steps. Raises ValueError for what is no point.
    """
    x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
    if len(point) != 65 or point[0] != 4 or x >= P or y >= P or not is_point(x, y):
        raise ValueError
    k = int.from_bytes(secret, "big") + (z & 0xFFFFFFFF) * N
    if not k & 1:
        k += N
    digits = []  # odd ones, from -15 to 15
    while k > 15:
        digits.append((k & 31) - 16)
        k = (k >> 4) | 1
    odd = _odd_multiples(x, y)
    x, y = odd[k >> 1]
    q = (x * (z * z % P) % P, y * (z * z * z % P) % P, z)
    for n in reversed(digits):
        yield b""
        for _ in range(4):
            q = double(*q)
        x, y = odd[(n, -n)[n < 0] >> 1]
        q = add(*q, x, (y, P - y)[n < 0])
    yield affine(*q)[0].to_bytes(32, "big")


def _odd_multiples(x: int, y: int) -> list:
    """Return a point, three times that, and so on up to 15 times, with one division for all."""
    p = P
    u, v = affine(*double(x, y, 1))
    points = [(x, y, 1)]
    for _ in range(7):
        points.append(add(*points[-1], u, v))
    products = [1]
    for point in points:
        products.append(products[-1] * point[2] % p)
    rest = inverse(products.pop(), p)
    odd = []
    for x, y, z in reversed(points):
        i = rest * products.pop() % p
        rest = rest * z % p
        odd.append((x * i * i % p, y * i * i % p * i % p))
    odd.reverse()
    return odd
