"""A text on its way in parts, which are cut anew where requests turn out to have less room than was thought."""

from collections.abc import Sequence

from sipmote.agent.cutting import fit
from sipmote.agent.errors import UsageError
from sipmote.send.content import joins

_NUMBER = 10  # octets of "(100/100) "


class Parts:
    """What a text is sent as. bodies: of all parts. taken: how many of them have been."""

    def __init__(self, text: bytes, bodies: Sequence[bytes], policy: str) -> None:
        """bodies: as UserAgent.fit() makes them of text by this policy."""
        self._text = text
        self._policy = policy
        self.bodies = list(bodies)
        self.taken = 0

    @property
    def left(self) -> list[bytes]:
        """The parts to be sent still."""
        return self.bodies[self.taken :]

    def recut(self, room: int) -> bool:
        """Cut what was not taken yet in parts of at most room octets; False where the policy or the room forbids it.

        Parts that are known to have arrived keep their numbers, the others go on from there.
        """
        if self._policy not in ("split", "truncate"):
            return False
        try:
            if not self.taken:
                self.bodies = fit(self._text, room, self._policy, joins)
                return True
            rest = b"".join(map(_without_number, self.left))
            cut = fit(rest, room - _NUMBER, self._policy, joins)
        except UsageError:
            return False
        texts = cut if len(cut) == 1 else map(_without_number, cut)
        whole = self.taken + len(cut)
        self.bodies[self.taken :] = [b"(%d/%d) %s" % (i, whole, text) for i, text in enumerate(texts, self.taken + 1)]
        return True


def _without_number(body: bytes) -> bytes:
    return body.partition(b") ")[2]


def which_of(numbers: Sequence[int], count: int) -> str:
    """Return for people which of several parts these are, e.g. "parts 1 and 2 of 5"."""
    if not numbers:
        return f"none of {count} parts"
    first, last = numbers[0], numbers[-1]
    if first == last:
        return f"part {first} of {count}"
    if last - first == len(numbers) - 1 > 1:
        return f"parts {first} to {last} of {count}"
    return f"parts {', '.join(map(str, numbers[:-1]))} and {last} of {count}"
