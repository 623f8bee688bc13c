"""What has to happen for a board's files to be those we want."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sipmote.board.files import LARGE_PROGRAM, PACKAGES, ROOT_FILES
from sipmote.board.survey import NEW, Survey, mark_of
from sipmote.errors import ToolError

BEGUN = "begun"  # the mark of a board whose first deploy is under way


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
        return any(path.startswith(PACKAGES) for path in (*self.send, *self.remove))

    @property
    def swap(self) -> list[str]:
        """Paths that are sent under another name, and are renamed when all is there."""
        return [path for path in self.send if not (self.first and path.startswith(PACKAGES))]


def make_plan(wanted: dict[str, bytes], survey: Survey) -> Plan:
    """Compare what should be on the board with what is; /main.py and /mote.json stay when nothing else is wanted."""
    send, same = {}, []
    for path, data in sorted(wanted.items()):
        if survey.differs(path, data):
            send[path] = data
        else:
            same.append(path)
    kept = ROOT_FILES if "/main.py" in wanted else (*ROOT_FILES, LARGE_PROGRAM)
    remove = [path for path in survey.files if path not in wanted and path not in kept]
    mark = mark_of(wanted) if any(path.startswith(PACKAGES) for path in wanted) else ""
    plan = Plan(send, same, remove, mark, survey.mark == mark, never_whole(survey))
    return replace(plan, is_marked=plan.is_marked and not plan.changes_packages)


def never_whole(survey: Survey) -> bool:
    """Were the packages never complete in this board's file system?"""
    return survey.mark == BEGUN or not any(path.startswith(PACKAGES) for path in survey.files)


def check_space(plan: Plan, survey: Survey) -> None:
    """Old and new lie side by side until all is there. A file takes whole blocks; its folder may take two more.

    What swaps them takes one, and a copy of a /main.py that stays.
    """
    sizes = [1, *map(len, plan.send.values())]
    if "/main.py" not in plan.send:
        sizes.append(survey.files.get("/main.py", (0, ""))[0])
    blocks = sum(-(-octets // survey.block) for octets in sizes) + 2 * len(folders(plan.send))
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
