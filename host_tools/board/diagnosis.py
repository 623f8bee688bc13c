"""What is wrong with a board, from its port to the alert that it sends. Nothing on it is changed.

Each step says what it has found; what depends on a step that failed is not tried.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sipmote.board.compile import compile_packages
from sipmote.board.config import Changes, Config
from sipmote.board.findings import FAILED, NOT_TRIED, OK, Finding, Tell
from sipmote.board.hiding import hidden
from sipmote.board.needed import needed
from sipmote.board.overview import Heard
from sipmote.board.plan import make_plan
from sipmote.board.self_test import PATIENCE, recipients_of, try_out
from sipmote.board.stored import ON_BOARD, read_stored, run_lean
from sipmote.board.survey import PACKAGE, Survey, identify, take_survey, the_answer
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.port import open_port
from sipmote.link.repl import Board, BoardFull

STEPS = ("board", "firmware", "files", "configuration", "clock", "network")
BOTH_ENDS = ("name", "server", "registration", "message")  # what comes then is seen from the board, from here, or both
_LISTEN_S = 2.0
_START_S = 4.0  # in which a program that can't start says so
_STARTS = re.compile(r"MPY: soft reboot|rst:0x|ets J\w\w +\d", re.MULTILINE)
_SLOW_S = 60  # that a clock may be off
_TEXT = "Test alert: sipmote doctor asks whether messages of this board arrive"
_MODULES = ("asyncio", "binascii", "hashlib", "json", "machine", "os", "select", "socket", "struct", "time")
_FACTS = """
import time
missing=[]
for m in %r:
 try:
  __import__(m)
 except ImportError:
  missing.append(m)
say(missing,time.time(),time.gmtime(0)[0])
"""


class Examination:
    """Of one board. config: what it has, once that is known to be right. late: findings about BOTH_ENDS, untold yet."""

    def __init__(self, device: str, output: Output, tell: Tell, sends: bool) -> None:
        """tell: is called with each finding. sends: may test alerts go out?"""
        self.config: Config | None = None
        self.late: list[Finding] = []
        self._output = output
        self._device = device
        self._tell = tell
        self._sends = sends
        self._states: dict[str, str] = {}
        self._has_mote = False

    def run(self) -> None:
        """Look at all of it, and start the program again as it was. Raises ToolError for a port that can't be opened.

        What isn't reached, as the board stops answering, is told as not tried.
        """
        board = Board(open_port(self._device))
        self._say(Finding("port", OK, f"{self._device} opens"))
        try:
            with _left_running(board):
                self._look_at(board)
        except ToolError as error:
            self._say(Finding("board", FAILED, str(error)))
            self._skip("the board first")
        finally:
            board.close()

    def _say(self, *findings: Finding) -> None:
        for finding in findings:
            self._states[finding.about] = finding.state
            if finding.about in BOTH_ENDS:
                self.late.append(replace(finding, side="board"))
            else:
                self._tell(finding)

    def _skip(self, why: str) -> None:
        """Say of each step that wasn't reached that it wasn't tried."""
        steps = (*STEPS, "name", "registration", "message")
        self._say(*(Finding(about, NOT_TRIED, why) for about in steps if about not in self._states))

    def _look_at(self, board: Board) -> None:
        self._say(_life(board, self._output.warn))
        config = self._read_config(board)
        self._settings = config if isinstance(config, dict) else None
        missing, seconds, epoch = _facts(board, config)
        clock = _clock(seconds, epoch, config)
        self._firmware(board, missing)
        self._configuration(config)
        self._keys(board)
        self._say(clock)
        self._trial(board)

    def _read_config(self, board: Board) -> Config | ToolError | None:
        try:
            return read_stored(board)
        except ToolError as error:
            return error

    def _firmware(self, board: Board, missing: list[str]) -> None:
        every = compile_packages()
        anything = needed(self._settings, lean=False)
        wanted = {path: data for path, data in every.items() if path in anything}
        try:
            identify(board)
            survey = take_survey(board, wanted)
        except ToolError as error:
            what, _, remedy = str(error).rpartition(": ")
            self._say(Finding("firmware", FAILED, what, remedy))
            return
        release = f"MicroPython {survey.release}"
        if missing:
            remedy = "flash a firmware that has them, or take out of mote.json what needs them"
            self._say(Finding("firmware", FAILED, f"{release} lacks {', '.join(missing)}", remedy))
        else:
            self._say(Finding("firmware", OK, release))
        self._say(self._files(wanted, every, survey))

    def _files(self, wanted: dict[str, bytes], every: Iterable[str], survey: Survey) -> Finding:
        """Compare what is on the board with what this sipmote would put there, if only for this configuration.

        every: paths of all modules that there are: one that no board loads does no harm.
        """
        plan = make_plan(wanted, survey)
        is_frozen = PACKAGE in survey.firmware
        hiding = [remark for remark in hidden(survey, wanted) if not (is_frozen and "built in" in remark)]
        self._has_mote = not hiding and (is_frozen or any(path.startswith("/lib/mote/") for path in survey.files))
        asked_for = needed(self._settings)
        wrong = [
            *({*plan.remove} - {*every}),
            *(path for path in plan.send if path in survey.files or path in asked_for),
        ]
        if hiding:
            what, _, remedy = hiding[0].partition(": ")
            return Finding("files", FAILED, what, remedy)
        if is_frozen:
            return Finding("files", OK, "mote is built into the firmware")
        if not self._has_mote:
            return Finding("files", FAILED, "mote isn't on the board", "sipmote deploy")
        if wrong:
            text = f"{len(wrong)} files are not those of this sipmote ({wrong[0]}): another version, or a cut deploy"
            return Finding("files", FAILED, text, "sipmote deploy")
        return Finding("files", OK, f"all {len(plan.same)} are those of this sipmote")

    def _configuration(self, found: Config | ToolError | None) -> None:
        if found is None:
            self._say(Finding("configuration", FAILED, "the board has no mote.json", "sipmote provision"))
            return
        try:
            if isinstance(found, ToolError):
                raise found
            self.config = Changes([]).apply(found, ON_BOARD)
            self._say(Finding("configuration", OK, f"{len(found)} keys, all right: {found['aor']}"))
        except ToolError as error:
            remedy = "sipmote config set KEY=VALUE or unset KEY; sipmote config keys explains them"
            self._say(Finding("configuration", FAILED, str(error), remedy))

    def _keys(self, board: Board) -> None:
        """Look at the keys of a board that protects what it sends or takes."""
        config = self.config
        if config is None or not (config.get("protect") or config.get("require")) or not self._has_mote:
            return
        from sipmote.board.protecting import Protecting  # who protects nothing loads no ciphers
        from sipmote.smime.store import KeyStore

        try:
            self._say(Finding("keys", OK, Protecting(board, KeyStore()).check(config)))
        except ToolError as error:
            what, _, remedy = str(error).rpartition(": ")
            self._say(Finding("keys", FAILED, what, remedy))

    def _trial(self, board: Board) -> None:
        """Have mote itself try it, where it could."""
        if self.config is None or not self._has_mote or self._states["firmware"] == FAILED:
            failed = [about for about in ("firmware", "files", "configuration") if self._states[about] == FAILED]
            self._skip(f"{' and '.join(failed)} first")
            return
        self._output.say(None, (PATIENCE, "dim"))
        recipients = recipients_of(self.config) if self._sends else []
        try:
            found = try_out(board, self.config, _TEXT, recipients)
        except BoardFull as error:
            found = [Finding("network", NOT_TRIED, f"{error}: too little memory for a trial, the program may fit")]
        self._say(*(replace(one, about="message") if one.about == "alert" else one for one in found))
        if not self._sends:
            self._say(Finding("message", NOT_TRIED, "no alert was to be sent (--no-send)"))


@contextlib.contextmanager
def _left_running(board: Board) -> Iterator[None]:
    """Start the board's program again in the end, however that comes."""
    try:
        yield
        board.restart()
    except BaseException:
        board.abandon()
        raise


def _life(board: Board, tell: Callable[[str], None]) -> Finding:
    """Listen, see whether a program runs, stop it; where none runs, start it to see why."""
    heard = Heard()
    heard.listen(board.port, _LISTEN_S)
    starts = max(heard.starts, len(_STARTS.findall(heard.text)))
    with contextlib.suppress(OSError):  # a board that hangs is told by stop()
        board.port.write(b"\r")
    answer = Heard()
    answer.listen(board.port, 0.5, to_prompt=True)
    board.stop(tell)
    if starts > 1:
        text = f"it started {starts} times in {_LISTEN_S:g} s{_last_words(heard.text)}"
        return Finding("board", FAILED, text, "look at its console: sipmote monitor; power it well; deploy again")
    if not answer.is_at_prompt:
        return Finding("board", OK, "answers; its program was running" + (", and logs" if heard.record else ""))
    board.restart()
    start = Heard()
    start.listen(board.port, _START_S, to_prompt=True)
    board.stop(tell)
    ended = _last_words(start.text)
    if ended:
        return Finding("board", FAILED, f"its program ends as it starts{ended}", "mend that line and deploy it again")
    if start.is_at_prompt:
        remedy = "sipmote deploy MAIN.py; the last line of a program is mote.run()"
        return Finding("board", FAILED, "answers, but no program runs: there is none, or it ends by itself", remedy)
    return Finding("board", OK, "answers; it was at its prompt, and its program starts")


def _last_words(text: str) -> str:
    """Return what a traceback in a board's console comes to: ": main.py line 12: NameError: ...", or ""."""
    found = re.findall(r"Traceback.*?\r?\n((?: .*\r?\n)*)(\S[^\r\n]*)", text)
    if not found:
        return ""
    places = re.findall(r'File "([^"]+)", line (\d+)', found[-1][0])
    where = f"{places[-1][0]} line {places[-1][1]}: " if places else ""
    return f": {where}{found[-1][1]}"


def _facts(board: Board, config: Config | ToolError | None) -> Any:
    """Return (modules that are missing, its clock, the year from which that counts)."""
    settings = config if isinstance(config, dict) else {}
    modules = [*_MODULES]
    if settings.get("transport") == "tls":
        modules.append("ssl")
    if settings.get("wifi") or settings.get("lan") is not None:
        modules.append("network")
    board.reset()
    return the_answer(run_lean(board, _FACTS % (modules,)), 3)


def _clock(seconds: int, epoch: int, config: Config | ToolError | None) -> Finding:
    """Compare a board's clock with ours. seconds: since its epoch, a year."""
    board = seconds + datetime(epoch, 1, 1, tzinfo=UTC).timestamp()
    asks = isinstance(config, dict) and config.get("ntp")
    date = datetime.fromtimestamp(board, UTC)
    off_s = round(board - time.time())
    if abs(off_s) <= _SLOW_S:
        return Finding("clock", OK, f"right to {abs(off_s)} s")
    if asks:
        return Finding("clock", OK, f"says {date:%Y-%m-%d}; {asks} tells it the time when there is a network")
    text = "it was never set" if date.year < 2024 else f"it is {off_s} s off"
    return Finding("clock", FAILED, text, "sipmote provision sets it; sipmote config set ntp=SERVER keeps it right")
