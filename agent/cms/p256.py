"""Multiples of points of the curve P-256 (FIPS 186-5, SP 800-186), in plain integers, for boards.

A table of a point that is known beforehand makes it four times faster: a comb of signed digits, none of which is zero,
so that each k takes the same steps. What a step takes depends a little on the integers in it, which a random z changes
each time, and on where in the table it looks, if the memory has a cache.
"""

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def inverse(a: int, m: int) -> int:
    """Return 1 / a modulo the prime m, for a that m doesn't divide. The time it takes depends on a."""
    u, v, x, y = a % m, m, 1, 0
    while u != 1:
        q = v // u
        u, v, x, y = v - q * u, u, y - q * x, x
    return x % m


def is_point(x: int, y: int) -> bool:
    """Are these a point's own coordinates?"""
    return (y * y - (x * x - 3) * x - _B) % P == 0


def double(x: int, y: int, z: int) -> tuple[int, int, int]:
    """Return twice a point, in Jacobian coordinates: (x / z**2, y / z**3) is meant."""
    p = P
    b = z * z % p
    a = 3 * (x - b) * (x + b) % p
    g = y * y % p
    b = x * g % p
    z = 2 * y * z % p
    x = (a * a - 8 * b) % p
    return x, (a * (4 * b - x) - 8 * g * g) % p, z


def add(x: int, y: int, z: int, u: int, v: int) -> tuple[int, int, int]:
    """Return the sum of a point in Jacobian coordinates and another one, (u, v). z is 0 where it has none."""
    p = P
    b = z * z % p
    h = (u * b - x) % p
    r = (v * (b * z % p) - y) % p
    if not h:
        return (0, 1, 0) if r else double(x, y, z)
    z = z * h % p
    b = h * h % p
    h = h * b % p
    b = x * b % p
    x = (r * r - h - 2 * b) % p
    return x, (r * (b - x) - y * h) % p, z


def affine(x: int, y: int, z: int) -> tuple[int, int]:
    """Return a point's own coordinates. Raises ZeroDivisionError for the point at infinity, which has none."""
    p = P
    z = inverse(z, p)
    b = z * z % p
    return x * b % p, y * (b * z % p) % p


def multiply(z: int, *parts: tuple[int, bytes]) -> tuple[int, int]:
    """Return (x, y) of the sum of k times a point, for each (k, table).

    z: a random number from 1 to P - 1, which hides k. k: from 1 to N - 1. table: of a point, see agent.cms.tables; all
    of the same size, and 64 octets are read at a time. Raises ZeroDivisionError where the sum is the point at infinity,
    or none of the curve: then a table is damaged.
    """
    width = 1
    while 32 << width < len(parts[0][1]):
        width += 1
    rows = -(-256 // width)
    combs = []
    for k, table in parts:
        sign = k & 1 ^ 1  # each odd number is a sum of powers of 2 that are all there, plus or minus
        k = ((k, N - k)[sign] >> 1) + (1 << width * rows - 1)
        combs.append((sign, [k >> rows * j & (1 << rows) - 1 for j in range(width)], table))
    q = None
    top = width - 1
    for i in range(rows - 1, -1, -1):
        if q is not None:
            q = double(*q)
        for sign, digits, table in combs:
            n = 0
            for digit in digits:
                n = n >> 1 | (digit >> i & 1) << top
            sign ^= n >> top
            n = ((n ^ -(n >> top)) & (1 << top) - 1) << 6
            entry = table[n : n + 64]
            x = int.from_bytes(entry[:32], "big")
            y = int.from_bytes(entry[32:], "big")
            y = (P - y, y)[sign]
            q = (x * (z * z % P) % P, y * (z * z * z % P) % P, z) if q is None else add(*q, x, y)
    x, y = affine(*q)  # type: ignore[misc]
    if not is_point(x, y):  # two signatures of the same, one of them wrong, would tell the key
        raise ZeroDivisionError
    return x, y
