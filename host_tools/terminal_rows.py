"""Cuts lines into the rows of a terminal, so that each row that a line goes on in begins with a mark.

Whoever fills a line with blanks, or with whatever else takes room, could else begin a row that looks like a line of its
own.
"""

import unicodedata
from collections.abc import Iterable

Styled = tuple[str, str]  # text and its style
_TAB = 8
_EMOJI_STYLE = "\ufe0f"  # makes the character before it wider
_LEAST = 8  # columns for text beside the mark


def in_rows(parts: Iterable[Styled], mark: str, columns: int | None) -> list[Styled]:
    """Return the parts of a line with the mark behind each line end in them and wherever a row is full.

    columns: of the terminal; None where there is none, and a row ends with its line alone.
    """
    most = columns - 1 if columns is not None and columns > len(mark) + _LEAST else None
    rows: list[Styled] = []
    column = 0
    for text, style in parts:
        begin = 0
        for at, character in enumerate(text):
            cells = _cells(character, column)
            is_end = character == "\n"
            if is_end or (most is not None and column + cells > most):
                rows += [(text[begin:at], style), ("\n" + mark, "dim")]
                begin = at + is_end
                column = len(mark)
            if not is_end:
                column += cells
        rows.append((text[begin:], style))
    return [row for row in rows if row[0]]


def _cells(character: str, column: int) -> int:
    """Return the columns that a character takes, rather one too many than one too few."""
    if character == "\t":
        return _TAB - column % _TAB
    if character == _EMOJI_STYLE:
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
