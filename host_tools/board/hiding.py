"""Files of a person's that are found in place of ours, or of the firmware's, as MicroPython looks at the root first."""

import re
from collections.abc import Iterable, Iterator

from sipmote.board.files import FOLDERS, packages
from sipmote.board.survey import PACKAGE, Survey

_IMPORT = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)


def hidden(survey: Survey, wanted: Iterable[str]) -> Iterator[str]:
    """Yield what is hidden once the wanted files are there, by which file, and what to do."""
    ours = {folder.rpartition("/")[2] for folder in FOLDERS}
    used = {
        name for home in packages().values() for source in home.rglob("*.py") for name in _names(source.read_text())
    }
    for path in sorted({*survey.at_root, *("/" + path.split("/")[1] for path in wanted)}):
        name = path[1:].removesuffix(".py").removesuffix(".mpy")
        if name in ours:
            yield f"{path} on the board hides the package {name} in /lib: mpremote fs rm -r :{path[1:]}"
        elif name in used:
            yield f"{path} on the board hides the firmware's {name}, which mote needs: give it another name"
    if PACKAGE in survey.firmware:
        yield (
            f"the firmware has {' and '.join(sorted(ours))} built in: those are used, and none are copied; for others "
            "build it anew, or its ROMFS, with what --freeze writes"
        )


def _names(text: str) -> set[str]:
    return set(_IMPORT.findall(text))
