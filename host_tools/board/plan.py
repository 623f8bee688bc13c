"""What has to happen for a board's files to be those we want."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sipmote.board.files import FOLDERS, ROOT_FILES
from sipmote.board.survey import NEW, Survey, mark_of
from sipmote.errors import ToolError

BEGUN = "begun"  # the mark of a board whose first deploy is under way
_PACKAGES = tuple(f"{folder}/" for folder in FOLDERS)


@dataclass(frozen=True)
class Plan:
    """What makes a board's files those we want: path -> octets to send, paths that are right, paths to take away.

    mark: what is to stand at MARK in the end. is_marked: it stands there already, and stays. first: no package was ever
    complete on this board, so that a file of theirs needs nothing beside it: no program can be using an older one.
    """

    send: dict[str, bytes]
    same: list[str]
    remove: list[str]
    mark: str = ""
    is_marked: bool = False
    first: bool = False

    @property
    def octets(self) -> int:
        return sum(map(len, self.send.values()))

    @property
    def changes_packages(self) -> bool:
        return any(path.startswith(_PACKAGES) for path in (*self.send, *self.remove))

    @property
    def swap(self) -> list[str]:
        """Paths that are sent under another name, and are renamed when all is there."""
        return [path for path in self.send if not self.first or path in ROOT_FILES]


def make_plan(wanted: dict[str, bytes], survey: Survey) -> Plan:
    """Compare what should be on the board with what is; /main.py and /mote.json stay when nothing else is wanted."""
    send, same = {}, []
    for path, data in sorted(wanted.items()):
        if survey.files.get(path) == (len(data), hashlib.sha256(data).hexdigest()):
            same.append(path)
        else:
            send[path] = data
    remove = [path for path in survey.files if path not in wanted and path not in ROOT_FILES]
    first = survey.mark == BEGUN or not any(path.startswith(_PACKAGES) for path in survey.files)
    mark = mark_of(wanted)
    plan = Plan(send, same, remove, mark, survey.mark == mark, first)
    return replace(plan, is_marked=plan.is_marked and not plan.changes_packages)


def check_space(plan: Plan, survey: Survey) -> None:
    """Old and new lie side by side until all is there. A file takes whole blocks; its folder may take two more."""
    blocks = sum(-(-len(data) // survey.block) for data in plan.send.values()) + 2 * len(folders(plan.send))
    left = sum(octets for path, (octets, _) in survey.files.items() if path.endswith(NEW))
    missing = blocks * survey.block - survey.free - left
    if plan.send and missing > 0:
        raise ToolError(
            f"the board's flash is too full by {missing} octets ({survey.free} free): remove files of yours from it "
            "(mpremote fs rm :FILE)"
        )


def folders(paths: Iterable[str]) -> list[str]:
    """Return the folders that these paths need below the root, each after the one that it lies in."""
    return sorted({str(folder) for path in paths for folder in PurePosixPath(path).parents if str(folder) != "/"})
