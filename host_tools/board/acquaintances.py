"""What was found out about boards, kept by USB serial number or port, for when a board is silent."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

_MOST = 1000  # boards; who was heard longest ago goes


class Acquaintances:
    """The file. What can't be read is begun anew, what can't be written is forgotten: nothing depends on it."""

    def __init__(self, path: Path) -> None:
        """path: of the file, made when there is something to keep."""
        self._path = path
        self._boards: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                self._boards = {name: facts for name, facts in found.items() if isinstance(facts, dict)}

    def take(self, board: str | None, facts: dict[str, Any]) -> dict[str, Any]:
        """Add what was found about a board; returns all that is known of it. board: None for one without a name."""
        if board is None:
            return facts
        self._boards[board] = {**self._boards.get(board, {}), **facts}
        return self._boards[board]

    def keep(self) -> None:
        """Write the file, in one go, for its owner alone."""
        newest = sorted(self._boards, key=lambda name: str(self._boards[name].get("heard", "")), reverse=True)
        text = json.dumps({name: self._boards[name] for name in newest[:_MOST]}, indent=1)
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(new, self._path)
