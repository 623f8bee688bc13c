"""One board provisioned: packages where there are none, its configuration and its clock, and a trial of it all.

What is written is there whole or not at all, and the same again changes nothing: run it again after whatever happens.
"""

from datetime import UTC, datetime

from sipmote.board.clock import set_clock
from sipmote.board.compile import compile_packages
from sipmote.board.config import Config
from sipmote.board.files import first_program
from sipmote.board.findings import FAILED, NOT_TRIED, OK, Finding, Tell
from sipmote.board.needed import needed
from sipmote.board.plan import make_plan
from sipmote.board.provision_fields import Given
from sipmote.board.self_test import PATIENCE, recipients_of, try_out
from sipmote.board.stored import read_stored, run_lean, with_bind, write_stored
from sipmote.board.survey import PACKAGE, identify, take_survey, the_answer
from sipmote.board.transfer import Transfer, stopped_board
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.repl import Board, BoardFull

_TEXT = "Test alert: this board was set up just now, by sipmote provision"
_WHAT_IS_THERE = """
def there(*p):
 for q in p:
  try:
   os.stat(q)
   return True
  except OSError:
   pass
 return False
say(there('/lib/mote/%s.mpy','/lib/mote/%s.py'),there('/main.py','/main.mpy'))
"""


class Provisioning:
    """What is done with one board. findings: what has come of it so far. config: what it has been read back to have."""

    def __init__(
        self, device: str, given: Given, output: Output, tell: Tell, tries: bool, new_key: bool = False
    ) -> None:
        """tell: is called with each finding. tries: is it to be tried, too? new_key: of its own, in place of one."""
        self.findings: list[Finding] = []
        self.config: Config | None = None
        self._device = device
        self._given = given
        self._output = output
        self._tell = tell
        self._tries = tries
        self._new_key = new_key

    def run(self) -> None:
        """Do it all; where nothing more can be done that is the last finding."""
        try:
            self._run()
        except ToolError as error:
            self._add(Finding("board", FAILED, str(error)))

    def _run(self) -> None:
        with stopped_board(self._device, self._output.warn) as board:
            identify(board)
            stored = read_stored(board) or {}
            wanted = with_bind(self._given.apply(stored), self._device)
            if wanted.get("protect"):
                self._install(board, wanted)
                self._protect(board, wanted)
            self._configure(board, stored, wanted)
            self._install(board, wanted)
            why = set_clock(board)
            date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._add(Finding("clock", FAILED, why) if why else Finding("clock", OK, f"set to {date}"))
            if self._tries and self.config is not None:
                self._try(board, self.config)
            board.restart()

    def _add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings.append(finding)
            self._tell(finding)

    def _install(self, board: Board, config: Config) -> None:
        """Put mote there, where it isn't whole, and a first program, where there is none."""
        last = "new_key" if config.get("protect") else "__init__"
        has_mote, has_program = the_answer(run_lean(board, _WHAT_IS_THERE % (last, last)), 2)
        if has_mote:
            return
        anything = needed(config, lean=False)
        wanted = {path: data for path, data in compile_packages().items() if path in anything}
        if not has_program:
            wanted["/main.py"] = first_program()
        survey = take_survey(board, wanted)
        if PACKAGE in survey.firmware:
            return
        Transfer(make_plan(wanted, survey), self._output, verbose=False).carry_out(board, survey)
        self._add(Finding("files", OK, "mote was not on the board as it is needed, and is now"))

    def _protect(self, board: Board, wanted: Config) -> None:
        """Give it its keys before its configuration asks for them."""
        from sipmote.board.protecting import Protecting  # who protects nothing loads no ciphers
        from sipmote.smime.store import KeyStore

        text = Protecting(board, KeyStore()).run(wanted, wanted["protect"], self._new_key)
        self._add(Finding("keys", OK, text))

    def _configure(self, board: Board, stored: Config, wanted: Config) -> None:
        """Write what is wanted, and read it back."""
        if wanted != stored:
            write_stored(board, wanted)
        found = read_stored(board)
        if found != wanted:
            raise ToolError("mote.json reads back otherwise than it was written: the board's flash may be broken")
        changed = [key for key in sorted({*stored, *wanted}) if stored.get(key) != wanted.get(key)]
        text = f"written and read back, changed: {', '.join(changed)}" if changed else "the board has all of it already"
        self.config = found
        self._add(Finding("configuration", OK, text))

    def _try(self, board: Board, config: Config) -> None:
        self._output.say(None, (f"{self._device}: {PATIENCE}", "dim"))
        try:
            self._add(*try_out(board, config, _TEXT, recipients_of(config)))
        except BoardFull as error:
            self._add(Finding("trial", NOT_TRIED, f"{error}: too little memory for it, the program alone may fit"))
        except ToolError as error:
            remedy = "put the mote of this sipmote on it: sipmote deploy; then sipmote doctor"
            self._add(Finding("trial", FAILED, str(error), remedy))
