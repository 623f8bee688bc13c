"""What a board prints, cut into lines, and into pieces of a line that doesn't end. No clock."""

_PIECE_S = 1.0  # a line that has not ended after so long is shown in pieces
_PIECE = 4096  # characters, or when it is so long


class ConsoleLines:
    """Text in, split anywhere; (text, does its line go on?) out."""

    def __init__(self) -> None:
        self._text = ""
        self._begun_at = 0.0

    def feed(self, text: str, now: float) -> list[tuple[str, bool]]:
        """Return what text completes. now: seconds of a clock that never steps."""
        *lines, rest = (self._text + text).split("\n")
        if lines or not self._text:
            self._begun_at = now
        self._text = rest
        found = [(line.rstrip("\r"), False) for line in lines]
        if len(rest) >= _PIECE or now - self._begun_at >= _PIECE_S:
            found += self.release()
        return found

    def release(self) -> list[tuple[str, bool]]:
        """Return the piece that is held back, without a CR that may belong to the line's end."""
        piece = self._text.rstrip("\r")
        self._text = self._text[len(piece) :][-1:]
        return [(piece, True)] if piece else []

    @property
    def holds(self) -> bool:
        """Is a piece held back?"""
        return self._text not in ("", "\r")
