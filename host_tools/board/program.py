"""A person's program: MAIN.py, checked before a board is touched, and the modules beside it that it imports."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sipmote.board.compile import CompileError, compile_text
from sipmote.board.files import FOLDERS, LARGE_PROGRAM, ROOT_FILES, read_file
from sipmote.board.survey import Survey
from sipmote.errors import ToolError

_LARGE = 8192  # octets of source, from which on a board would need more heap to compile a module than to run it
_OURS = frozenset(folder.rpartition("/")[2] for folder in FOLDERS)
_ARCHITECTURES = ("x64", "armv7m", "xtensawin", "rv32imc")  # whose machine code between them a program can ask for


@dataclass(frozen=True)
class Program:
    """What goes onto a board for a program.

    main: path on the board -> octets, of the program itself and of what --with names. beside: name of a module that
    lies beside it and is imported -> the same of its files. asked: names that are imported, needed: those among them
    that no `try` stands around. ours: modules of our packages that it imports, by full names; rather one too many.
    sources: the files that all of this is from.
    """

    main: dict[str, bytes]
    beside: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    sources: tuple[Path, ...] = ()

    @property
    def uses_mote(self) -> bool:
        """Does it import what we put on the board?"""
        return bool(self.ours)

    @property
    def files(self) -> dict[str, bytes]:
        """All that may go onto the board."""
        return {path: data for files in (*self.beside.values(), self.main) for path, data in files.items()}

    def wanted(self, survey: Survey) -> dict[str, bytes]:
        """Return path -> octets for this board: not what its firmware has, such as a machine.py for tests on a PC."""
        beside = (files for name, files in self.beside.items() if name not in survey.firmware)
        return {path: data for files in (*beside, self.main) for path, data in files.items()}

    def remarks(self, survey: Survey, libraries: Iterable[str] = ()) -> Iterator[str]:
        """Yield what a person should know before the program starts on this board. libraries: paths that go to /lib."""
        for name in sorted(self.beside.keys() & survey.firmware):
            if not self.beside[name].keys() & self.main.keys():
                yield f"{name} beside the program stays here, as the firmware has one of its own (--with copies it)"
        there = {_module_of(path) for path in (*survey.at_root, *self.files) if path.count("/") == 1}
        there |= {_module_of("/".join(path.split("/")[:3])) for path in (*survey.in_lib, *libraries)}
        for name in sorted(self.needed - there - survey.firmware - self.beside.keys() - _OURS):
            yield (
                f"the program imports {name}, which is neither beside it nor on the board: copy it with --with FILE, "
                f"or from micropython-lib with --mip {name}"
            )


def load_program(path: Path, more: Iterable[Path] = ()) -> Program:
    """Read a program and what goes with it, and compile all of it for a try. Raises ToolError with file and line.

    more: files and folders that go along whatever is imported.
    """
    text = _text(path)
    main = {file: data for each in more for file, data in _tree(each).items()}
    asked, needed = _imports(text)
    ours = set(_ours(text))
    files = [file for each in more for file in _files(each)]
    beside: dict[str, dict[str, bytes]] = {}
    queue = sorted(asked - _OURS)
    while queue:
        name = queue.pop()
        sources = _module(path.parent, name)
        if name in beside or not sources:
            continue
        beside[name] = {}
        files += sources
        for source in sources:
            beside[name] |= {_place(source, path.parent): _octets(source)}
            more_asked, more_needed = _imports(_text(source))
            asked, needed = asked | more_asked, needed | more_needed
            ours.update(_ours(_text(source)))
            queue += sorted(more_asked - _OURS)
        beside[name] = dict(_as_bytecode(file, data) for file, data in beside[name].items())
    return Program({**_main(path, text), **main}, beside, asked - _OURS, needed, frozenset(ours), (path, *files))


def _main(path: Path, text: str) -> dict[str, bytes]:
    """Return /main.py; for a large program it is a line that imports it, and that changes whenever the program does."""
    _check(text, str(path), path.name)
    if len(text.encode()) <= _LARGE:
        return {"/main.py": text.encode()}
    first, _, rest = text.partition("\n")
    named = '__name__ = "__main__"'
    if not first.strip():
        whole = f"{named}\n{rest}"
    elif first.startswith(("#", "import ", "from ", '"""')):  # lines keep their numbers
        whole = f"{named}; {text}"
    else:
        whole = f"{named}\n{text}"
    try:
        code = compile_text(whole, str(path), "-s", path.name)
    except CompileError:  # it has machine code in it, which the board compiles
        return {"/main.py": text.encode()}
    line = f"import main_program  # {path.name}, {sha256(code).hexdigest()[:16]}\n"
    return {"/main.py": line.encode("ascii", "backslashreplace"), LARGE_PROGRAM: code}


def _check(text: str, where: str, name: str) -> None:
    """Raise CompileError unless MicroPython takes this text."""
    try:
        compile_text(text, where, "-s", name)
    except CompileError as error:
        if "invalid arch" not in str(error):
            raise
        for architecture in _ARCHITECTURES:
            try:
                compile_text(text, where, "-s", name, f"-march={architecture}")
                return
            except CompileError as other:
                error = other
        if "invalid arch" not in str(error):
            raise error from None


def _text(path: Path) -> str:
    """Return the text of a source, without a byte order mark, which MicroPython takes for a syntax error."""
    try:
        return read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not UTF-8 (octet {error.start}): save it as UTF-8") from None


def _octets(path: Path) -> bytes:
    """Return what is copied of a file: of a source its text, once MicroPython takes it."""
    if path.suffix != ".py":
        return read_file(path)
    text = _text(path)
    _check(text, str(path), path.name)
    return text.encode()


def _as_bytecode(path: str, data: bytes) -> tuple[str, bytes]:
    """Return path and octets of a module, compiled when it is large."""
    if not path.endswith(".py") or len(data) <= _LARGE:
        return path, data
    try:
        return path.removesuffix(".py") + ".mpy", compile_text(data.decode(), path, "-s", path[1:])
    except CompileError:
        return path, data


def _imports(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the modules that a source imports, and those of them that it can't do without."""
    try:
        tree = ast.parse(text)
    except SyntaxError:  # it isn't CPython's; MicroPython has taken it
        return frozenset(), frozenset()
    tries = (node for node in ast.walk(tree) if isinstance(node, ast.Try))
    optional = {name for node in tries for child in node.body for name in _imported(child)}
    names = set(_imported(tree))
    return frozenset(names), frozenset(names - optional)


def _ours(text: str) -> Iterator[str]:
    """Yield the names of modules of ours, and of what is in them, that stand in a source."""
    for line in re.findall(r"^\s*(?:from|import)\s+((?:mote|agent)\b.*)", text, re.MULTILINE):
        module, _, names = line.partition(" import ")
        yield module.strip()
        yield from (f"{module.strip()}.{name}" for name in re.findall(r"\w+", names))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _module(folder: Path, name: str) -> list[Path]:
    """Return the files of a module in a folder: one, or all the sources of a package; none where it isn't there."""
    for file in (folder / f"{name}.py", folder / f"{name}.mpy"):
        if file.is_file():
            return [file] if file.suffix == ".py" else []
    return sorted((folder / name).rglob("*.py")) if (folder / name).is_dir() else []


def _tree(path: Path) -> dict[str, bytes]:
    """Return path on the board -> octets of a file, or of all that is in a folder, at the root of the board."""
    path = path.resolve()
    found = {_place(file, path.parent): file for file in _files(path)}
    for place in found:
        if place in ROOT_FILES or place.startswith(tuple(folder + "/" for folder in FOLDERS)):
            raise ToolError(f"--with {found[place]} would be {place}, which deploy makes itself: see its other options")
    return {place: _octets(file) for place, file in found.items()}


def _files(path: Path) -> list[Path]:
    """Return the files in a folder, whatever depth they lie at; a file alone for itself."""
    if not path.is_dir():
        if path.exists() and not path.is_file():  # a pipe may never end
            raise ToolError(f"--with {path} is no file and no folder")
        return [path]
    return [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]


def _place(file: Path, folder: Path) -> str:
    return "/" + file.relative_to(folder).as_posix()


def _module_of(path: str) -> str:
    """Return the name by which a file or folder is imported."""
    return path.rpartition("/")[2].removesuffix(".py").removesuffix(".mpy")
