"""`sipmote deploy` in the test's own process, with a small program in place of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.board import files

NAMES = ("--set", "aor=sip:boiler@example.org", "--set", "to=sip:desk@example.org")


def small_packages(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have deploy take its packages from this folder."""
    for path, text in {
        "agent/__init__.py": '"""Nothing."""\n',
        "agent/uri.py": "def parse(x):\n    return x\n",
        "micropython/mote/__init__.py": "from agent.uri import parse\n\n\ndef run():\n    print('mote', parse(1))\n",
        "micropython/boot.py": "import sys\n",
        "micropython/main.py": "open('/started', 'w').close()\nimport mote\n\nmote.run()\n",
    }.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    monkeypatch.setattr(files, "HOME", home)


class Deploy:
    """`sipmote deploy --json`. said: what the last one has printed on stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    def __call__(self, port: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Return what became of each path, and under "" the last event that is of none."""
        assert main(["deploy", "--port", port, "--json", *arguments]) == code
        out, self.said = self._capsys.readouterr()
        events = [json.loads(line) for line in out.splitlines()]
        others = [event for event in events if event["event"] != "file"]
        return {"": others[-1], **{event["path"]: event["action"] for event in events if event["event"] == "file"}}

    def fails(self, port: str, *arguments: str) -> str:
        """Return the one line on stderr."""
        assert main(["deploy", "--port", port, "--json", *arguments]) == 1
        self.said = self._capsys.readouterr().err
        assert self.said.count("\n") == 1
        return self.said
