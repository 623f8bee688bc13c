"""R0-P17, R3261-22-2: who guesses passwords at an inbox is slowed down and told of, and nobody else waits for it."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sipmote.errors import ToolError
from sipmote.inbox.login import Login

_HERE = (b"UDP", b"192.0.2.1", 5060)
_THERE = (b"UDP", b"192.0.2.2", 5060)


class Guarded:
    """A Login, with a clock of its own and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.path = folder / "users"
        self.path.write_text(f"bob:r:MD5:{'0' * 32}\neve:r:MD5:{'0' * 32}\n")
        self.path.chmod(0o600)
        self.login = Login(str(self.path), None, 64, self._warn, lambda: self.now)

    def _warn(self, text: str, **more: Any) -> None:
        self.told.append(text)

    def guess(self, user: bytes, flow: tuple[Any, ...], count: int = 1) -> int:
        """Guess count times, a tenth of a second between; returns how many were looked at."""
        looked_at = 0
        for _ in range(count):
            self.now += 0.1
            if self.login.may_try(user, flow):
                looked_at += 1
                self.login.tried(user, flow, False)
        return looked_at


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def test_a_guesser_gets_one_a_minute(guarded: Guarded) -> None:
    """a minute of ten guesses a second, then an hour of them"""
    assert guarded.guess(b"bob", _HERE, 600) <= 12
    assert guarded.guess(b"bob", _HERE, 36000) <= 61


def test_nobody_elsewhere_waits_for_a_guesser(guarded: Guarded) -> None:
    guarded.guess(b"bob", _HERE, 600)
    assert not guarded.login.may_try(b"bob", _HERE)
    assert guarded.login.may_try(b"bob", _THERE)
    assert guarded.login.may_try(b"eve", _HERE)


def test_who_tries_all_names_is_slowed_too_but_not_who_has_logged_in_there(guarded: Guarded) -> None:
    guarded.login.tried(b"bob", _HERE, True)
    assert sum(guarded.guess(b"%d" % i, _HERE) for i in range(600)) <= 30
    assert guarded.login.may_try(b"bob", _HERE)
    assert not guarded.login.may_try(b"eve", _HERE)


def test_a_good_password_begins_anew_and_time_forgets(guarded: Guarded) -> None:
    guarded.guess(b"bob", _HERE, 4)
    guarded.login.tried(b"bob", _HERE, True)
    assert guarded.guess(b"bob", _HERE, 5) == 5
    assert not guarded.login.may_try(b"bob", _HERE)
    guarded.now += 601
    assert guarded.guess(b"bob", _HERE, 5) == 5


def test_the_addresses_of_one_network_are_one_source(guarded: Guarded) -> None:
    for i in range(100):
        guarded.guess(b"bob", (b"TCP", b"2001:db8::%x" % i, 5060))
    assert not guarded.login.may_try(b"bob", (b"TCP", b"2001:db8::ffff:1", 5060))
    assert guarded.login.may_try(b"bob", (b"TCP", b"2001:db8:0:1::1", 5060))


def test_a_line_names_the_source_before_anything_that_it_wrote(guarded: Guarded) -> None:
    """for programs that shut guessers out: user names can't look like another source"""
    guarded.guess(b"bob from 192.0.2.9 for user\n\xff", _HERE)
    assert guarded.told == [r"wrong password from 192.0.2.1 for user 'bob from 192.0.2.9 for user\n\\xff'"]


def test_a_thousand_sources_make_few_lines(guarded: Guarded) -> None:
    for i in range(1000):
        guarded.now += 0.001
        guarded.login.tried(b"bob", (b"UDP", b"192.0.2.%d" % i, 5060), False)
    assert len(guarded.told) <= 21


def test_a_client_that_never_answers_gets_a_hint_once(guarded: Guarded) -> None:
    """R0-P16: it reads the first challenge only"""
    for _ in range(20):
        guarded.login.unanswered(_HERE)
    assert len(guarded.told) == 1 and "--md5-only" in guarded.told[0] and "192.0.2.1" in guarded.told[0]


def test_a_file_that_others_read_is_mended_and_that_is_told(guarded: Guarded, tmp_path: Path) -> None:
    guarded.path.chmod(0o664)
    guarded.login.refresh()
    assert stat.S_IMODE(guarded.path.stat().st_mode) == 0o640
    assert "could be read or changed by others" in guarded.told[0]


def test_a_file_that_can_not_be_mended_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users"
    path.write_text(f"bob:r:MD5:{'0' * 32}\n")
    path.chmod(0o644)

    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(ToolError, match="say chmod g-w,o-rwx"):
        Login(str(path), None, 64, lambda *_: None)


def test_a_file_that_went_wrong_leaves_the_users_of_before(guarded: Guarded) -> None:
    for text in ("", "nonsense\n", f"bob:other:MD5:{'0' * 32}\n"):
        guarded.path.write_text(text)
        guarded.login.refresh()
        assert "the users of before stay" in guarded.told[-1]
    guarded.path.unlink()
    guarded.login.refresh()
    assert len(guarded.told) == 4
    guarded.login.refresh()  # told once for each change
    assert len(guarded.told) == 4
