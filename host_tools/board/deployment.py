"""What one `sipmote deploy` wants on a board, made ready before any is touched, and how it gets onto each."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sipmote.board.clock import set_clock
from sipmote.board.config import Changes, Config, encode_config, parse_config
from sipmote.board.files import PACKAGES, boot_file, first_program
from sipmote.board.hiding import hidden
from sipmote.board.needed import needed
from sipmote.board.plan import make_plan, never_whole
from sipmote.board.program import Program
from sipmote.board.romfs import Rom, without_packages
from sipmote.board.survey import PACKAGE, Survey, identify, read_config, take_survey
from sipmote.board.transfer import Transfer, stopped_board
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.port import is_virtual
from sipmote.link.repl import Board, BoardLost
from sipmote.link.starting import reason_of_end

_TRIES = 3
_LISTEN_S = 4  # after the start, unless the program says sooner that it runs
_ON_BOARD = "mote.json on the board"
_FORGERY = (
    "who may command (allow, or else to) is told by From alone, which anybody can forge, also to send the board to "
    "sleep; "
)
_PASSWORD = "--commander NAME asks for a password"
_BRIDGES_PASSWORD = "sipmote bridge --users FILE asks for passwords, and lets nobody write in another's name"


@dataclass(frozen=True)
class Deployment:
    """What is wanted on a board.

    packages, certified, libraries: path on the board -> octets. config: None leaves the board its own, with the
    changes. program: None leaves the board its own. boot: ours goes in the place of a boot.py that is there. starts:
    else the board is left at its prompt. lean: modules that the configuration doesn't name stay away, and a
    configuration that is changed otherwise than by a deploy may lack some. romfs: packages go there, whatever it holds,
    or don't; None: they do where it is empty or ours.
    """

    packages: dict[str, bytes]
    certified: dict[str, bytes]
    config: Config | None
    changes: Changes
    program: Program | None
    libraries: Mapping[str, bytes] = field(default_factory=dict)
    boot: bool = False
    clock: bool = True
    starts: bool = True
    lean: bool = False
    romfs: bool | None = None
    dry_run: bool = False
    verbose: bool = False

    def onto(self, device: str, output: Output) -> int:
        """Compare what is wanted with what the board has, and send the difference; 1 when the program ends at once.

        A board that starts anew meanwhile, as a watchdog makes it do that we couldn't find, is tried again: a first
        deploy goes on where it was. Raises ToolError.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._onto(device, output)
            except BoardLost as error:
                output.warn(f"{error}; going on")
        return self._onto(device, output)

    def _onto(self, device: str, output: Output) -> int:
        began = time.monotonic()
        with stopped_board(device, output.warn) as board:
            identify(board)
            config = self._config(board, device, output)
            wanted = self._wanted(config)
            rom = Rom(board, wanted, self.romfs)
            survey = take_survey(board, wanted, self.program.asked if self.program else (), rom.of_firmware)
            in_rom = PACKAGE not in survey.firmware and rom.takes_packages(output)
            wanted = self._for_board(wanted, survey)
            self._remark(output, wanted, survey, config)
            rom_first = in_rom and (rom.is_right or (never_whole(survey) and not rom.is_ours))
            plan = make_plan(without_packages(wanted) if rom_first else wanted, survey)
            transfer = Transfer(plan, output, self.verbose or self.dry_run, "" if rom_first else rom.invalidation)
            if self.dry_run:
                transfer.show()
                if in_rom:
                    rom.show(output)
            else:
                if rom_first:
                    rom.write(output)
                transfer.carry_out(board, survey)
                if in_rom and not rom_first:  # a program was using older packages, here or there
                    rom.write(output)
                    self._clear(board, wanted, output)
                why = set_clock(board) if self.clock else None
                if why:
                    output.warn(f"the board's clock was not set: {why}")
            transfer.end("planned" if self.dry_run else "deployed", time.monotonic() - began)
            if board.boot_is_slow:
                output.warn(
                    "boot.py had to be interrupted; the program waits until it ends (--boot puts ours in its place)"
                )
            if not self.starts:
                board.leave()
                return 0
            board.restart()
            return 0 if self.dry_run else self._listen(board, output)

    def _config(self, board: Board, device: str, output: Output) -> Config | None:
        """Return what is to be mote.json; None where the board has none and gets none."""
        text = read_config(board)
        if self.config is not None:
            config = dict(self.config)
            gone = sorted((_read(text) or {}).keys() - config.keys() - {"bind"})
            if gone:
                output.warn(
                    f"--config replaces all of mote.json: {', '.join(gone)} are gone; --set changes single keys"
                )
        elif self.changes:
            config = {} if text is None else parse_config(text, f"{_ON_BOARD} (send a right one with --config)")
            config = self.changes.apply(config, _ON_BOARD)
        else:
            return _read(text)
        if is_virtual(device):  # it shares our ports, and an inbox may have 5060
            config.setdefault("bind", "0.0.0.0:0")
        return config

    def _wanted(self, config: Config | None) -> dict[str, bytes]:
        """Return path -> octets of all that the board may get."""
        modules = needed(config, self.program.ours if self.program else (), self.lean)
        packages = {path: data for path, data in self.packages.items() if path in modules}
        wanted = {**packages, **self.libraries, **self.certified, "/boot.py": boot_file()}
        if self.config is not None or self.changes:
            wanted["/mote.json"] = encode_config(config or {})
        return {**wanted, **(self.program.files if self.program else {})}

    def _for_board(self, wanted: dict[str, bytes], survey: Survey) -> dict[str, bytes]:
        """Return of it what this board lacks, and what is its own only when that is replaced."""
        wanted = dict(wanted)
        if self.program:
            for path in self.program.files.keys() - self.program.wanted(survey).keys():
                del wanted[path]
        elif "/main.py" not in survey.files:
            wanted["/main.py"] = first_program()
        if PACKAGE in survey.firmware:
            wanted = {path: data for path, data in wanted.items() if not path.startswith(PACKAGES)}
        if "/boot.py" in survey.files and not self.boot and survey.differs("/boot.py", wanted["/boot.py"]):
            del wanted["/boot.py"]
        return wanted

    def _remark(self, output: Output, wanted: dict[str, bytes], survey: Survey, config: Config | None) -> None:
        """Tell what a person has to know of it. Raises ToolError for a configuration that the board can't have."""
        if "/mote.json" in wanted and config:
            _check_keys(config, survey)
        remarks = [*hidden(survey, wanted)]
        if self.program:
            remarks += self.program.remarks(survey, self.libraries)
        is_motes = self.program.uses_mote if self.program else "/main.py" in wanted
        if is_motes and config and not config.get("commanders") and config.get("require") in (None, "encrypted"):
            is_serial = config.get("transport") == "serial"  # a relay can't answer the board's own challenge
            remarks.append(_FORGERY + (_BRIDGES_PASSWORD if is_serial else _PASSWORD))
        if "/mote.json" not in survey.files and "/mote.json" not in wanted:
            remarks.append("the board has no mote.json yet: deploy again with --config or --set")
        for remark in remarks:
            output.warn(remark)

    def _clear(self, board: Board, wanted: dict[str, bytes], output: Output) -> None:
        """Take the packages out of the file system: those in ROMFS are found first."""
        survey = take_survey(board, wanted)
        Transfer(make_plan(without_packages(wanted), survey), output, self.verbose).carry_out(board, survey)

    def _listen(self, board: Board, output: Output) -> int:
        reason = reason_of_end(board.port, _LISTEN_S)
        if reason is None:
            return 0
        output.warn(f"the program has ended: {reason}", {"event": "ended", "error": reason})
        return 1


def _check_keys(config: Config, survey: Survey) -> None:
    """Raise ToolError for a configuration that needs keys where the board has none."""
    asking = [name for name in ("protect", "require") if config.get(name)]
    if asking and "/smime" not in survey.at_root:
        mode = config.get("protect") or "sign+encrypt"
        raise ToolError(f"{asking[0]} needs keys, and the board has none: sipmote provision --protect {mode} first")


def _read(text: bytes | None) -> Config | None:
    """Return a board's own configuration; the board itself will say when it is none."""
    try:
        config: Any = json.loads(text or b"null")
    except ValueError:
        return None
    return config if isinstance(config, dict) else None
