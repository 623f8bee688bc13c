"""What somebody wants a board to be told, as fields: from prompts, the environment, a .env file or the rows of a CSV.

A field is a key of mote.json, or one of those with a password: wifi (the network's name) with wifi_password, user with
password, commander with commander_password. An empty one says nothing; an empty wifi_password is an open network.
"""

import csv
import difflib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sipmote.board.arguments import COMMANDER_VARIABLE, WIFI_VARIABLE
from sipmote.board.config import Changes, Config, add_wifi, check_values, set_keys
from sipmote.board.files import read_file
from sipmote.board.schema import KEYS
from sipmote.board.stored import ON_BOARD
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.people import PASSWORD_VARIABLE, ask_password, check_name

Fields = Mapping[str, str]
_PREFIX = "SIPMOTE_"
_PASSWORDS = {"wifi_password": "wifi", "password": "user", "commander_password": "commander"}  # and whose
_VARIABLES = {"wifi": WIFI_VARIABLE, "user": PASSWORD_VARIABLE, "commander": COMMANDER_VARIABLE}
FIELDS = (*(key for key in KEYS if key != "commanders"), "commander", "wifi_password", "commander_password")
WHERE = ("port", "serial")  # columns of a CSV that name the board


@dataclass(frozen=True)
class Given:
    """What one board is to be told. config: a whole configuration in place of what it has, None to change that.

    where: what errors call the origin of all this.
    """

    fields: Fields
    config: Config | None = None
    where: str = "given"

    def apply(self, stored: Config) -> Config:
        """Return the configuration of a board that has this one, {} for none. Raises ToolError unless it is right."""
        base = stored if self.config is None else self.config
        return self._changes().apply(base, ON_BOARD if self.config is None else self.where)

    def check(self) -> None:
        """Raise ToolError for what is wrong by itself: no board has been touched then."""
        fields = self.fields
        for name, whose in _PASSWORDS.items():
            if fields.get(name) and not fields.get(whose):
                raise ToolError(f"{name}: {whose} is missing, which says whose it is")
        for whose in ("wifi", "commander"):
            if fields.get(whose) and f"{whose}_password" not in fields:
                an_open = "; for an open network let it be empty" if whose == "wifi" else ""
                raise ToolError(f"{whose} {fields[whose]}: {whose}_password is missing{an_open}")
        if fields.get("commander"):
            check_name("commander", fields["commander"])
            if not fields["commander_password"]:
                raise ToolError(f"commander {fields['commander']}: an empty password lets everybody in")
        changes = self._changes()
        check_values(set_keys({}, changes.assignments), self.where)
        if changes.wifi:
            check_values(add_wifi({}, *changes.wifi), self.where)
        if changes.user:
            check_values({"user": changes.user[0]}, self.where)
        if self.config is not None or (fields.get("aor") and fields.get("to")):
            self.apply({})

    def _changes(self) -> Changes:
        fields = self.fields
        plain = [name for name in fields if name in KEYS and name not in ("wifi", "password") and fields[name]]
        pairs = {
            whose: (fields[whose], fields.get(name, "")) for name, whose in _PASSWORDS.items() if fields.get(whose)
        }
        if not fields.get("password"):
            pairs.pop("user", None)  # a name alone
        assignments = [f"{name}={fields[name]}" for name in plain]
        return Changes(assignments, pairs.get("wifi"), pairs.get("user"), pairs.get("commander"))


def from_environment(more: Fields) -> dict[str, str]:
    """Return the fields that are in the environment, as SIPMOTE_AOR or SIPMOTE_WIFI_PASSWORD, and these on top.

    A password of nobody, which may be for another command, isn't taken.
    """
    names = {f"{_PREFIX}{name.upper()}": name for name in FIELDS}
    fields = {name: os.environ[variable] for variable, name in names.items() if variable in os.environ} | dict(more)
    return {name: value for name, value in fields.items() if name in more or fields.get(_PASSWORDS.get(name, name))}


def from_env_file(path: Path) -> dict[str, str]:
    """Return the fields of a file of NAME=VALUE lines: names as in the environment, or without SIPMOTE_."""
    fields = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = line.strip().removeprefix("export ")
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ToolError(f"{path} line {number}: NAME=VALUE was expected")
            value = value.strip()
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            name = name.strip().lower().removeprefix(_PREFIX.lower())
            _check_names([name], f"{path} line {number}", FIELDS)
            fields[name] = value[1:-1] if is_quoted else value
    return fields


def from_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the fields of each row, port and serial among them; the first row has their names."""
    reader = _csv_reader(path)
    names = reader.fieldnames or ()
    seen: dict[str, int] = {}
    try:
        for row in reader:
            where = f"{path} line {reader.line_num}"
            if None in row or None in row.values():
                raise ToolError(f"{where}: {len(names)} values were expected; one with a separator in it needs quotes")
            fields = {name: value if "password" in name else value.strip() for name, value in row.items()}
            if not any(fields.values()):
                continue
            board = fields.get("serial") or fields.get("port") or ""
            if not board or board in seen:
                raise ToolError(f"{where}: " + (f"{board} is in line {seen[board]}, too" if board else "which board?"))
            seen[board] = reader.line_num
            yield {name: value for name, value in fields.items() if value or name == "wifi_password"}
    except csv.Error as error:
        raise ToolError(f"{path} line {reader.line_num}: {error}") from None


def _csv_reader(path: Path) -> "csv.DictReader[str]":
    """Return what reads a CSV with commas, or with semicolons as some spreadsheets write it."""
    text = _text(path)
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    _check_names(names, f"{path} line 1", (*FIELDS, *WHERE))
    if not set(WHERE) & set(names):
        raise ToolError(f"{path}: a column port or serial was expected, which says which board a row is for")
    reader.fieldnames = names
    return reader


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8: save it as that") from None


def _check_names(names: list[str], where: str, known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise ToolError(f"{where}: unknown name {name!r}" + (f"; is {close[0]} meant?" if close else ""))
        if names.count(name) > 1:
            raise ToolError(f"{where}: {name} is there twice")


class Prompts:
    """Asks a person for what is missing, again where an answer won't do."""

    def __init__(self, output: Output, fields: Fields) -> None:
        """fields: what is known already, and not asked for."""
        self._output = output
        self._fields = dict(fields)

    def ask(self) -> dict[str, str]:
        """Return all fields; nothing typed leaves what the board has. Raises ToolError when the answers end."""
        self._ask("aor", "who is this board, e.g. sip:boiler@example.org?")
        self._ask("to", "who gets its alerts, e.g. sip:desk@example.org? (commas between several)")
        self._ask("wifi", "which Wi-Fi network?")
        self._ask("register", "for how many seconds does it register at a server? (600 is usual, 0: not at all)")
        self._ask("user", "by what name does it log in at a server?")
        if self._fields.get("transport") != "serial":  # there the bridge asks for passwords
            self._ask("commander", "who may command it with a password?")
        return self._fields

    def _ask(self, name: str, question: str) -> None:
        while name not in self._fields:
            sys.stderr.write(f"{question} (Enter: as it is) ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise ToolError("the answers ended: nothing was changed")
            if not line.strip():
                return
            try:
                answer = self._with_password(name, line.strip())
                Given(answer, where="the answer").check()
                self._fields |= answer
            except ToolError as error:
                self._output.warn(str(error))

    def _with_password(self, name: str, answer: str) -> dict[str, str]:
        field = next((field for field, whose in _PASSWORDS.items() if whose == name), None)
        if field is None:
            return {name: answer}
        whose = f"{answer} (nothing for an open network)" if name == "wifi" else answer
        return {name: answer, field: ask_password(whose, variable=_VARIABLES[name], twice=name == "commander")}
