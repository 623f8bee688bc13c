"""Messages as a table for spreadsheets (RFC 4180): its columns, and what no cell may begin with."""

from collections.abc import Mapping
from typing import Any

from sipmote.console import harmless

COLUMNS = (
    *("id", "received", "from", "to", "subject", "content_type", "body", "call_id", "user", "transport", "source"),
    *("display_name", "encoding_error"),
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet computes


def cells(line: Mapping[str, Any]) -> list[str]:
    """Return the row of a message, whose line for machines this is; ' stands before what would be a formula."""
    found = [harmless(str("" if line.get(name) is None else line[name]), lines=True) for name in COLUMNS]
    return [f"'{cell}" if cell.startswith(_FORMULAS) else cell for cell in found]
