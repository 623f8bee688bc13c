"""An inbox that one talks in: the prompt at a terminal, its commands, and who we are."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sipmote.inbox.schema import STEPS
from sipmote.inbox.store import Store
from sipmote.inbox.twins import same_key, twin_key
from sipmote.people import write_name
from tests.host_tools.peers import until
from tests.host_tools.test_store import received
from tests.interop.peers import free_port
from tests.sip_peer import Peer
from tests.terminals import Terminal
from tests.tools import Tool

_PASTED = "\x1b[200~%s\x1b[201~"


class Somebody(Peer):
    """A peer who can be answered where his URI leads."""

    def __init__(self, user: str) -> None:
        super().__init__()
        self.uri = f"sip:{user}@127.0.0.1:{self.port}"
        self._name = self.uri.encode()

    def call_yourself(self, uri: str) -> None:
        self.uri, self._name = uri, uri.encode()

    def write(self, port: int, text: str) -> None:
        assert self.ask(port, b"text/plain", text.encode()).status == 200

    def got(self) -> str:
        """Return the text of the message that comes next, and take it."""
        return self.answer(200).body.decode()


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture
def port() -> int:
    return free_port()


@contextlib.contextmanager
def talking(port: int, folder: Path, options: str = "", term: str = "xterm", to: str = "nobody") -> Iterator[Terminal]:
    """An inbox at a terminal that shows its prompt. to: whom that names first."""
    line = f"exec {sys.executable} -m sipmote inbox --bind udp:127.0.0.1:{port} {options}"
    with Terminal(line, folder, [], TERM=term, PYTHONPATH=os.getcwd()) as person:
        person.wait_for(f"{to}>" if term == "xterm" else "messages are kept")
        yield person


def test_a_line_goes_to_whom_the_prompt_named_when_it_was_begun(port: int, tmp_path: Path) -> None:
    """What is typed stays in the line while messages arrive above it, and so does whom it is for."""
    with talking(port, tmp_path) as person, Somebody("boiler") as boiler, Somebody("door") as door:
        boiler.write(port, "85 C")
        person.wait_for(f"to {boiler.uri}>")
        person.press("half a ty")
        person.wait_for("half a ty")
        door.write(port, "open")
        person.wait_for("open")
        person.wait_for("half a ty")
        person.type("ped line")
        assert boiler.got() == "half a typed line"
        person.wait_for("delivered (200")
        person.type("shut it")
        assert door.got() == "shut it"
        assert boiler.silent()


def test_a_line_to_nobody_is_not_sent_to_who_writes_meanwhile(port: int, tmp_path: Path) -> None:
    with talking(port, tmp_path) as person, Somebody("boiler") as boiler:
        person.press("a secret")
        person.wait_for("a secret")
        boiler.write(port, "85 C")
        person.wait_for("85 C")
        person.type("")
        person.wait_for("nobody to answer yet")
        assert boiler.silent()


def test_commands_are_obeyed_and_never_sent(port: int, tmp_path: Path) -> None:
    with talking(port, tmp_path) as person, Somebody("boiler") as boiler, Somebody("door") as door:
        write_name("door", door.uri)
        boiler.write(port, "85 C")
        person.wait_for(f"to {boiler.uri}>")
        for line, shown in (
            ("/help", "/history [N]"),
            ("/hsitory", "is /history meant?"),
            ("/", "/help tells"),
            ("/history many", "/history [N]"),
            ("/history 0", "/history [N]"),
            ("/history " + "9" * 30, "/history [N]"),
            ("/to dor", "is door meant?"),
            ("/to door hello", "not chosen"),
            ("/to mailto:a@example.org", "not chosen"),
            ("/to", ""),
        ):
            person.type(line)
            person.wait_for(shown)
        person.type("/to door")
        person.type("hello")  # at once, as from a paste
        assert door.got() == "hello"
        boiler.write(port, "86 C")
        person.wait_for("86 C")
        person.type("still to the door")
        assert door.got() == "still to the door"
        person.type(f"{boiler.uri} for once")
        assert boiler.got() == "for once"
        person.type("/to")
        person.type("//etc is a folder")
        assert boiler.got() == "/etc is a folder"
        person.press("a last word\r/quit\r")
        assert boiler.got() == "a last word"
        assert person.wait() == 0 and person.is_as_a_shell_wants_it()


def test_a_paste_of_several_lines_is_one_message_to_one_person(port: int, tmp_path: Path) -> None:
    with talking(port, tmp_path) as person, Somebody("boiler") as boiler, Somebody("door") as door:
        boiler.write(port, "85 C")
        person.wait_for(f"to {boiler.uri}>")
        person.press(_PASTED % "one\ntwo")
        person.type("")
        assert boiler.got() == "one\ntwo"
        person.press(_PASTED % f"{door.uri} one\ntwo")
        person.type("")
        assert door.got() == "one\ntwo"
        assert boiler.silent()


@pytest.mark.parametrize("way", ["ctrl-c", "ctrl-d", "sigterm", "sigint"])
def test_every_end_gives_the_terminal_back(way: str, port: int, tmp_path: Path) -> None:
    """Ctrl-C takes back a line that was begun before it ends anything."""
    with talking(port, tmp_path) as person, Somebody("boiler") as boiler:
        boiler.write(port, "85 C")
        person.wait_for(f"to {boiler.uri}>")
        person.press("never sent")
        person.wait_for("never sent")
        if way == "ctrl-c":
            person.press("\x03")
            person.type("sent")
            assert boiler.got() == "sent"
            person.press("\x03")
        elif way == "ctrl-d":
            person.press("\x03\x04")
        else:
            person.signal(signal.SIGTERM if way == "sigterm" else signal.SIGINT)
        assert person.wait() == 0, person.shown
        assert person.is_as_a_shell_wants_it() and "Traceback" not in person.shown
        assert boiler.silent()


def test_an_inbox_ends_with_the_terminal_that_a_person_talks_in(port: int, tmp_path: Path) -> None:
    """Else it would keep its port, and nobody would see it."""
    with talking(port, tmp_path, "--db :memory:") as person:
        person.hang_up()
        assert person.wait() == 0


def test_what_keeps_an_inbox_from_its_start_is_one_line_at_a_terminal_too(port: int, tmp_path: Path) -> None:
    with talking(port, tmp_path):
        line = f"exec {sys.executable} -m sipmote inbox --bind udp:127.0.0.1:{port} --db :memory:"
        with Terminal(line, tmp_path, [], TERM="xterm", PYTHONPATH=os.getcwd()) as other:
            assert other.wait() == 1
            assert other.shown.startswith("sipmote: can't listen at ") and "Traceback" not in other.shown
            assert other.is_as_a_shell_wants_it()


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_slash_is_a_text_where_there_is_no_prompt(term: str, port: int, tmp_path: Path) -> None:
    """On a terminal that can't show one, and from a program, lines are sent as they are."""
    with contextlib.ExitStack() as ends:
        boiler = ends.enter_context(Somebody("boiler"))
        if term == "dumb":
            person = ends.enter_context(talking(port, tmp_path, term=term))
            person.type(f"{boiler.uri} /help")
        else:
            tool = ends.enter_context(Tool("inbox", "--interactive", "--bind", f"udp:127.0.0.1:{port}"))
            tool.wait_for(event="ready")
            tool.type(f"{boiler.uri} /help")
        assert boiler.got() == "/help"


def test_who_comes_back_sees_the_last_messages_and_their_days(port: int, tmp_path: Path) -> None:
    db = str(tmp_path / "db")
    day = time.mktime((2026, 3, 4, 23, 59, 0, 0, 0, -1))
    with contextlib.closing(Store(db)) as store:
        for i in range(12):
            store.add([received(call_id=f"{i}", body=b"text %d." % i, received=day + 40 * (i - 2))])
        store.shown(12)
    with talking(port, tmp_path, f"--db {db}", to="to sip:boiler@example.org") as person, Somebody("boiler") as boiler:
        assert db in person.shown
        person.wait_for("text 11.")
        shown = person.shown
        texts = [shown.index(f"text {i}.") for i in range(2, 12)]
        assert texts == sorted(texts) and "text 1." not in shown
        assert (
            shown.index("Wednesday, 2026-03-04") < texts[0] < texts[1] < shown.index("Thursday, 2026-03-05") < texts[2]
        )
        boiler.write(port, "of today")
        person.wait_for("of today")
        today = shown.rindex("2026-03-05"), person.shown.index(time.strftime("%Y-%m-%d"))
        assert today[0] < today[1] < person.shown.index("of today")
        person.type("/history 12")
        person.wait_for("text 1.")


@pytest.mark.parametrize("has_port", [True, False])
def test_after_a_restart_a_line_goes_to_who_wrote_last(has_port: bool, port: int, tmp_path: Path) -> None:
    """From whom he wrote to, and also where his URI names no port, and he shares the inbox's host."""
    with Somebody("boiler") as boiler:
        if not has_port:
            boiler.call_yourself("sip:boiler@127.0.0.1")
        with talking(port, tmp_path) as person:
            boiler.write(port, "85 C")
            person.wait_for(f"to {boiler.uri}>")
            person.type("/quit")
            assert person.wait() == 0
        with talking(port, tmp_path, to=boiler.uri) as person:
            person.type("still there?")
            line = boiler.answer(200)
            assert line.body == b"still there?" and b"sip:desk@127.0.0.1" in (line.get(b"from") or b"")


def test_a_source_is_hidden_on_a_narrow_terminal_unless_it_is_asked_for(port: int, tmp_path: Path) -> None:
    with Somebody("boiler") as boiler:
        for options, columns, is_shown in (("", 100, True), ("", 60, False), ("-v", 60, True)):
            with talking(port, tmp_path, f"--db :memory: {options}") as person:
                person.resize(columns)
                boiler.write(port, "85 C")
                person.wait_for("85 C")
                boiler.write(port, "86 C")
                person.wait_for("86 C")
                assert ("6 C  udp 127.0.0.1:" in person.shown) is is_shown, (options, columns, person.shown)


def test_who_we_are_is_remembered_in_the_file_of_messages(tmp_path: Path) -> None:
    """Until somebody says otherwise, for once by --aor, or for good by --as."""
    db, write = str(tmp_path / "db"), "--interactive --bind udp:127.0.0.1:0"
    write_name("desk", "sip:desk@192.0.2.1")
    with Somebody("boiler") as boiler:
        for options, sender in (
            ("--as desk", b"sip:desk@192.0.2.1"),
            ("--aor sip:night@192.0.2.1", b"sip:night@192.0.2.1"),
            ("", b"sip:desk@192.0.2.1"),
            ("--as -", None),
            ("", None),
        ):
            with Tool("inbox", "--db", db, *write.split(), *options.split()) as tool:
                ready = tool.wait_for(event="ready")
                assert ready["db"] == db and (ready["aor"] or "").encode() == (sender or b"")
                tool.type(f"{boiler.uri} hello")
                asked = boiler.answer(200)
                assert (sender or b"@127.0.0.1") in (asked.get(b"from") or b""), options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--as nobody", "--as nobody: a URI such as"),
        ("--as sip:a@b --aor sip:c@d", "leave --register and --aor out"),
        ("--as", "expected one argument"),
    ],
)
def test_who_we_can_t_be_is_refused_and_not_remembered(options: str, words: str, tmp_path: Path) -> None:
    with Tool("inbox", "--db", str(tmp_path / "db"), "--bind", "udp:127.0.0.1:0", *options.split()) as tool:
        assert tool.wait() in (1, 2)
        assert words in "".join(tool.complaints)
    assert not (tmp_path / "db").exists()


def test_a_file_of_before_is_brought_up_to_date_and_knows_nobody(tmp_path: Path) -> None:
    db = str(tmp_path / "db")
    with contextlib.closing(sqlite3.connect(db)) as raw:  # as it was when there was no --as
        raw.create_function("twin_key", 6, twin_key)
        raw.create_function("same_key", 5, same_key)
        raw.executescript("".join(STEPS[:11]) + "PRAGMA user_version = 11")
    with contextlib.closing(Store(db)) as store:
        assert store.identity() is None
        store.be("sip:day@192.0.2.1")
        store.be("sip:desk@192.0.2.1")
    with contextlib.closing(Store(db)) as store:
        assert store.identity() == "sip:desk@192.0.2.1"
        store.be(None)
        assert store.identity() is None


@contextlib.contextmanager
def screen(line: str, columns: int, folder: Path) -> Iterator[Callable[[str], str]]:
    """A line of a shell on the screen of tmux; gives the function that waits for a text and returns all rows."""
    tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "-x", str(columns), "-y", "24", line], check=True, cwd=folder)

    def shown(text: str) -> str:
        rows = ""

        def is_there() -> bool:
            nonlocal rows
            rows = subprocess.run([*tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True).stdout
            return text in rows

        until(is_there)
        return rows

    try:
        yield shown
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


def with_prompt(rows: list[str]) -> list[str]:
    """Return rows of a screen once the prompt stands below them again."""
    return rows if rows[-1].startswith("to sip:") else []


@pytest.mark.skipif(shutil.which("tmux") is None and not os.environ.get("CI"), reason="tmux is not installed")
@pytest.mark.parametrize("columns", [100, 60, 40])
def test_rows_are_whole_on_a_screen_of_any_width(columns: int, port: int, tmp_path: Path) -> None:
    """What a message goes on in begins with a mark, and one prompt stands below it all."""
    line = f"{sys.executable} -m sipmote inbox --db :memory: --bind udp:127.0.0.1:{port}"
    with screen(f"PYTHONPATH={os.getcwd()} {line}", columns, tmp_path) as shown, Somebody("boiler") as boiler:
        shown("to nobody>")
        boiler.write(port, "The door of the boiler room is open, and it has been since this morning")
        rows = until(lambda: with_prompt(shown("morning").rstrip().splitlines()))
        (first,) = (at for at, row in enumerate(rows) if boiler.uri in row and not row.startswith("to "))
        assert [row.startswith("       | ") for row in rows[first + 1 : -1]] == [True] * (len(rows) - first - 2)
        assert rows[-1].startswith("to sip:") and rows[-1].endswith(">") and "".join(rows).count(">") == 1
        assert ("udp" in "".join(rows[first:])) is (columns == 100)
