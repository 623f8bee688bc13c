"""`make soak` / `python -m tests.soak [KILLS]`: an inbox under load that is killed again and again, and what became of
the messages that it has answered.

Senders repeat what is not answered, as boards do: half of the time as the same request, else as a new one with the same
Call-ID, From and content. Most kills are kill -9, each fifth is SIGTERM.
"""

import json
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.host_tools.peers import PATIENCE, message
from tests.interop.peers import free_port
from tests.restarted import Restarted
from tests.soak_senders import Senders

_DRAIN_S = 20.0  # for the commands that are left at the end, and a tenth for each


class Figures(NamedTuple):
    """What became of messages that were answered 200."""

    kills: int
    answered: int
    lost: int  # not stored
    doubled: int  # stored twice
    never_run: int
    never_shown: int
    repeats: int  # commands that ran again
    unmarked: int  # of these, and of lines that were shown again, those without the mark

    @property
    def is_good(self) -> bool:
        """Was every promise kept?"""
        return not (self.lost or self.doubled or self.never_run or self.never_shown or self.unmarked)


def _request(call_id: str, count: int) -> bytes:
    """Return a message of one of five boards; every other time it is made anew, else as it was before."""
    attempt = str(count) if count % 2 else ""
    octets = message(call_id, f"text of {call_id}".encode(), branch=attempt or call_id, tag=attempt or "1")
    return octets.replace(b"<sip:boiler@", b"<sip:boiler%d@" % (sum(call_id.encode()) % 5))


class _Inbox(Restarted):
    """`sipmote inbox --exec` at one port with one file."""

    def __init__(self, folder: Path, port: int) -> None:
        self.database, self._runs = folder / "inbox.db", folder / "runs"
        script = folder / "command"
        script.write_text(f'#!/bin/sh\necho "$SIPMOTE_CALL_ID $SIPMOTE_AGAIN" >> {self._runs}\n')
        script.chmod(0o700)
        options = ["--bind", f"udp:127.0.0.1:{port}", "--db", str(self.database), "--exec", str(script)]
        super().__init__(folder / "lines", "inbox", *options)

    def queued(self) -> int:
        """Return how many commands have not ended yet."""
        with sqlite3.connect(self.database, timeout=PATIENCE) as db:
            return int(db.execute("SELECT count(*) FROM run").fetchone()[0])

    def stored(self) -> Counter[str]:
        """Return how often each Call-ID is in the file."""
        with sqlite3.connect(self.database) as db:
            return Counter(call_id for (call_id,) in db.execute("SELECT call_id FROM message"))

    def runs(self) -> list[tuple[str, bool]]:
        """Return Call-ID and mark of each command that has run."""
        lines = [line.split() for line in self._runs.read_text().splitlines()]
        return [(call_id, again == "1") for call_id, again in lines]

    def shown(self) -> list[tuple[str, bool]]:
        """Return Call-ID and mark of each message that was shown, twins apart."""
        found = []
        for text in self.lines.read_text().splitlines():
            begun = text.rfind('{"event": ')  # a kill may have cut the line before, or this one
            try:
                line = json.loads(text[begun:] if begun >= 0 else "")
            except ValueError:
                continue
            if line["event"] == "message" and not line["duplicate"]:
                found.append((line["call_id"], line.get("again", False)))
        return found


def soak(kills: int, tell: Callable[[str], None] = lambda text: None) -> Figures:
    """Kill an inbox under load as often as that, let it end its work, and count."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        inbox, senders = _Inbox(Path(folder), port), Senders(port, 200, _request)
        for number in range(kills):
            inbox.start(senders.turn)
            until = time.monotonic() + random.uniform(0.0, 0.3)
            while time.monotonic() < until:
                senders.turn()
            inbox.end(signal.SIGTERM if number % 5 == 4 else signal.SIGKILL)
            if (number + 1) % 100 == 0:
                tell(f"{number + 1} kills, {len(senders.answered)} messages answered")
        inbox.start(lambda: time.sleep(0.01))
        deadline = time.monotonic() + _DRAIN_S + 0.1 * inbox.queued()
        while inbox.queued():
            assert time.monotonic() < deadline, f"{inbox.queued()} commands are left"
            time.sleep(0.05)
        inbox.end(signal.SIGTERM)
        senders.close()
        return _count(kills, senders.answered, inbox)


def _count(kills: int, answered: set[str], inbox: _Inbox) -> Figures:
    stored, runs, shown = inbox.stored(), inbox.runs(), inbox.shown()
    unmarked = sum(
        times - 1 for what in (runs, shown) for times in Counter(one for one, again in what if not again).values()
    )
    return Figures(
        kills,
        len(answered),
        lost=len(answered - set(stored)),
        doubled=sum(times - 1 for times in stored.values()),
        never_run=len(set(stored) - {call_id for call_id, _ in runs}),
        never_shown=len(set(stored) - {call_id for call_id, _ in shown}),
        repeats=len(runs) - len({call_id for call_id, _ in runs}),
        unmarked=unmarked,
    )


if __name__ == "__main__":
    figures = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, print)
    print(figures)
    sys.exit(not figures.is_good)
