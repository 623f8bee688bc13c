"""A virtual board on a folder, for a test to deploy to."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.errors import ToolError
from sipmote.virtual.vm import vm_command
from tests.tools import Tool


@contextlib.contextmanager
def virtual_board(flash: Path, heap: str = "64k") -> Iterator[str]:
    """Start a virtual board with this folder as its flash; gives its port. Skips where no VM can be had, but in CI."""
    try:
        vm_command()
    except ToolError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with Tool("board", "start", "virtual", "--dir", str(flash), "--heap", heap) as board:
        yield board.wait_for(event="ready")["port"]
