"""What a shell reads to complete our commands, and the manual page: both made of the parsers, and so complete."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sipmote import __main__
from sipmote.__main__ import main

_ASK = """
source ./script
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
%s
printf '%%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_can_read(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in __main__._COMMANDS) and "relay-expired" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        assert subprocess.run([shell, "-n", tmp_path / "script"]).returncode == 0


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("sipmote in", {"inbox", "init"}),
        ("sipmote monitor --p", {"--port"}),
        ("sipmote names ''", {"list", "add", "remove"}),
        ("sipmote deploy prog", {"program.py"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(
    words: str, wanted: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "program.py").touch()
    found = subprocess.run(
        ["bash", "-c", _ASK % (words, "_shtab_sipmote")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(found.stdout.split()) == wanted, found.stderr


def test_the_manual_page_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(".TH SIPMOTE")
    for name in __main__._COMMANDS:
        assert f"'sipmote {name}'" in page
    assert r"\-\-relay\-expired" in page and "~" in page
