"""When the boards of a fleet raise alerts, send heartbeats, and are out of reach: all in seconds since its begin."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

PROFILES = ("steady", "storm", "blackout")
_JITTER = 0.2  # of a period, either way


@dataclass(frozen=True)
class Profile:
    """What a fleet does, and when.

    name: of PROFILES. boards: how many. rate: alerts a second, all boards together. duration_s: in which alerts are
    raised. heartbeat_s: the period of a board's heartbeats, None for none. seed: the same makes the same moments.

    steady: each board raises an alert every boards/rate seconds, more or less. storm: all boards do so at once.
    blackout: as steady, and no board reaches anybody in the middle third; then all do at once.
    """

    name: str
    boards: int
    rate: float
    duration_s: float
    heartbeat_s: float | None = None
    seed: str = ""

    @property
    def alerts_most(self) -> int:
        """How many alerts there are at most, all boards together."""
        return self.boards * (int(self.duration_s / self._period_s / (1 - _JITTER)) + 1)

    @property
    def dark_s(self) -> tuple[float, float] | None:
        """From when to when nobody is reached, None for never."""
        return (self.duration_s / 3, self.duration_s * 2 / 3) if self.name == "blackout" else None

    @property
    def _period_s(self) -> float:
        return self.boards / self.rate

    def is_dark(self, at_s: float) -> bool:
        """Is nobody reached at that moment?"""
        return self.dark_s is not None and self.dark_s[0] <= at_s < self.dark_s[1]

    def alerts(self, board: int) -> Iterator[float]:
        """Yield when a board raises its alerts."""
        if self.name == "storm":
            yield from self._moments(0.0, self._period_s, None, self.duration_s)
        else:
            chance = random.Random(f"{self.seed} {board}")
            yield from self._moments(chance.uniform(0, self._period_s), self._period_s, chance, self.duration_s)

    def heartbeats(self, board: int) -> Iterator[float]:
        """Yield when a board sends heartbeats, for as long as somebody asks."""
        if self.heartbeat_s is not None:
            chance = random.Random(f"{self.seed} heartbeat {board}")
            yield from self._moments(chance.uniform(0, self.heartbeat_s), self.heartbeat_s, chance, None)

    @staticmethod
    def _moments(at_s: float, period_s: float, chance: random.Random | None, until_s: float | None) -> Iterator[float]:
        while until_s is None or at_s < until_s:
            yield at_s
            at_s += period_s * (1.0 if chance is None else chance.uniform(1 - _JITTER, 1 + _JITTER))
