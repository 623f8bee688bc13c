"""Tables that make multiples of a point cheap (agent.cms.p256.multiply). A host makes them, once for each point."""

from .p256 import P, add, affine, double

GENERATOR = (  # of P-256
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
WIDTH = 8  # 8 KiB a point, and 32 steps; 7 takes half the room and 37 steps, 6 a quarter of it and 43


def make_table(x: int, y: int, width: int = WIDTH) -> bytes:
    """Return the table of a point on the curve: 2**(width - 1) points, x and y of 32 octets each.

    The comb's teeth are the point times 2**(rows * i) for each i below width. Entry n is the last of them plus or minus
    each of the others: minus where n has its bit.
    """
    teeth = [(x, y)]
    for _ in range(width - 1):
        q = teeth[-1] + (1,)
        for _ in range(-(-256 // width)):
            q = double(*q)
        teeth.append(affine(*q))
    table = b""
    for n in range(1 << width - 1):
        q = teeth[-1] + (1,)
        for i in range(width - 1):
            x, y = teeth[i]
            q = add(*q, x, P - y if n >> i & 1 else y)
        x, y = affine(*q)
        table += x.to_bytes(32, "big") + y.to_bytes(32, "big")
    return table
