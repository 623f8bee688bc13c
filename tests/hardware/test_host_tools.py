"""What the host tools do to a board: a deploy that is cut, a bridge for its serial line, and firmware.

FIRMWARE, if given: a file of MicroPython for this board, which `sipmote flash` is to write over all that is there.
"""

import os
from pathlib import Path

import pytest

from tests.hardware.board import (
    BOOT,
    HOST,
    LONG_S,
    PORT,
    RESET,
    SLOW_S,
    configuration,
    deploy,
    here,
    on_a_board,
    patiently,
    press,
    start,
)
from tests.interop.peers import free_port
from tests.tools import Tool

pytestmark = on_a_board
_FIRMWARE = os.environ.get("FIRMWARE", "")
_with_firmware = pytest.mark.skipif(not _FIRMWARE, reason="no firmware: make hardware PORT=... FIRMWARE=FILE")
_PROGRAM = """
from mote import Mote
mote = Mote()

@mote.every(86400)
def begin():
    mote.alert(%r)

mote.run()
"""


def _program(folder: Path, text: str) -> Path:
    path = folder / "main.py"
    path.write_text(_PROGRAM % text)
    return path


def _boots(program: Path) -> None:
    with Tool("deploy", str(program), "--port", PORT, "--no-start", "--dry-run") as plan:
        assert plan.wait(LONG_S) == 0, plan.transcript()
        assert plan.wait_for(event="planned")["sent"] == 0
    with Tool("monitor", "--port", PORT, "--reset") as monitor:
        monitor.wait_for(SLOW_S, event="log", name="boot")


def test_what_a_cut_deploy_has_begun_the_next_one_completes(tmp_path: Path) -> None:
    """Cut with half of a large file there: the old program runs, and then the new one."""
    old = _program(tmp_path, "old")
    deploy(tmp_path, old, aor="sip:boiler@192.0.2.7", to="sip:desk@192.0.2.1")
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(40_000))
    new = _program(tmp_path, "new")
    with Tool("deploy", str(new), "--with", str(large), "--port", PORT, "--no-start") as cut:
        cut.wait_for(SLOW_S, event="file", action="same")  # all is known, and what differs begins to go
        os.kill(cut.pid, 9)
    patiently(["sipmote", "deploy", str(new), "--with", str(large), "--port", PORT, "--no-start"], LONG_S)
    _boots(new)


def test_a_board_sends_over_its_serial_line(tmp_path: Path) -> None:
    """R0-P13: the alert waits on flash until the bridge is there."""
    port = free_port(here())
    program = _program(tmp_path, "by the line")
    with Tool("inbox", "--bind", f"udp:{here()}:{port}", "--db", str(tmp_path / "inbox.db")) as inbox:
        inbox.wait_for(event="ready")
        to = f"sip:desk@{here()}:{port}"
        deploy(tmp_path, program, aor="sip:boiler@board.invalid", to=to, transport="serial", wifi=[])
        start()
        db = str(tmp_path / "bridge.db")
        with Tool("bridge", "--port", PORT, "--bind", f"udp:{here()}:0", "--db", db) as bridge:
            inbox.wait_for(SLOW_S, event="message", body="by the line")
            bridge.wait_for(SLOW_S, event="relayed", outcome="delivered")


def _flash(*arguments: str) -> None:
    press(BOOT)
    patiently(["sipmote", "flash", "--firmware", _FIRMWARE, "--port", PORT, "--erase", *arguments], LONG_S)
    press(RESET)


@_with_firmware
def test_firmware_is_written_and_the_board_answers(tmp_path: Path) -> None:
    _flash()
    program = _program(tmp_path, "after flashing")
    settings = ("--set", "aor=sip:boiler@192.0.2.7", "--set", "to=sip:desk@192.0.2.1")
    patiently(["sipmote", "deploy", str(program), "--port", PORT, *settings, "--no-start"], LONG_S)
    _boots(program)


@_with_firmware
def test_a_board_that_got_all_in_one_write_sends_its_alert(has_network: None, tmp_path: Path) -> None:
    port = free_port(here())
    program = _program(tmp_path, "in one write")
    config = configuration(tmp_path, aor=f"sip:boiler@{HOST}", to=f"sip:desk@{HOST}:{port}")
    with Tool("inbox", "--bind", f"udp:{here()}:{port}", "--db", str(tmp_path / "inbox.db")) as inbox:
        inbox.wait_for(event="ready")
        _flash("--deploy", str(program), "--config", str(config))
        with Tool("monitor", "--port", PORT) as monitor:
            inbox.wait_for(SLOW_S, event="message", body="in one write")
            monitor.wait_for(SLOW_S, event="log", name="outcome", fields=lambda fields: fields["name"] == "delivered")
    _boots(program)
