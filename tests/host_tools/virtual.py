"""A virtual board on a folder, for a test to deploy to, or with what a deploy would have put there."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sipmote.board.compile import compile_packages
from sipmote.board.files import boot_file
from sipmote.errors import ToolError
from sipmote.virtual.vm import vm_command
from tests.tools import Tool
from tests.vm import terminal


@contextlib.contextmanager
def virtual_board(flash: Path, heap: str = "64k", *options: str) -> Iterator[str]:
    """Start a virtual board with this folder as its flash; gives its port. Skips where no VM can be had, but in CI.

    options: further ones of `sipmote board start`.
    """
    try:
        vm_command()
    except ToolError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with Tool("board", "start", "virtual", "--dir", str(flash), "--heap", heap, *options) as board:
        yield board.wait_for(event="ready")["port"]


@functools.cache
def modules() -> dict[str, bytes]:
    """Return path on a board -> octets of what every deploy puts there."""
    return {**compile_packages(), "/boot.py": boot_file()}


def fill(flash: Path, program: str, settings: Mapping[str, Any]) -> None:
    """Write what a deploy of this program would, in a hundredth of its time; settings are not checked."""
    files = {**modules(), "/main.py": program.encode(), "/mote.json": json.dumps(settings).encode()}
    for folder in {(flash / path[1:]).parent for path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        (flash / path[1:]).write_bytes(data)


@contextlib.contextmanager
def started(
    flash: Path, program: str, settings: Mapping[str, Any], heap: str = "128k", *options: str
) -> Iterator[tuple[str, Tool]]:
    """Start a program on a virtual board whose flash has more files or none; gives its port, and its monitor.

    The board is at its prompt before there is a program, and the monitor makes a soft reset.
    """
    with virtual_board(flash, heap, *options) as port:
        with terminal(port) as person:
            person.write(b"\r")
            person.read_until(b">>> ")
        fill(flash, program, settings)
        with Tool("monitor", "--port", port, "--reset") as monitor:
            monitor.wait_for(event="ready")
            yield port, monitor
