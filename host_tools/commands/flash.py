"""`sipmote flash`: put MicroPython onto a board, and all of its files in the same go."""

import argparse
from pathlib import Path

from sipmote.board.arguments import add_passwords, changes
from sipmote.board.backup import save_files
from sipmote.board.config import encode_config, parse_config
from sipmote.board.download import board_with, fetch_firmware
from sipmote.board.drive import find_drive, find_drives, flash_drive
from sipmote.board.files import read_file
from sipmote.board.firmware import OLDEST, Firmware, read_firmware
from sipmote.board.flasher import chip_at
from sipmote.board.flashing import Flashing, Options
from sipmote.board.image import files_of_a_board
from sipmote.board.program import load_program
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.arguments import add_port, port_of
from sipmote.link.port import close_port, is_virtual, open_port, usb_ports
from sipmote.moments import whole
from sipmote.virtual.vm import cache_dir

_BAUD = 460800  # bit/s: four times as fast as the ROM begins; the usual bridge chips and cables do it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote flash`."""
    add_port(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--firmware", type=Path, metavar="FILE", help="MicroPython for the board")
    what.add_argument(
        "--board", metavar="NAME", help="fetch it: micropython.org's name of the board (default: by the chip found)"
    )
    parser.add_argument("--drive", type=Path, metavar="DIR", help="where the drive of a Pico's boot loader is mounted")
    parser.add_argument("--sha256", metavar="DIGITS", help="refuse a firmware that has another SHA-256")
    parser.add_argument("--erase", action="store_true", help="erase all of the flash first, with the files in it")
    parser.add_argument("--backup", type=Path, metavar="DIR", help="save all files of the board to this folder first")
    parser.add_argument(
        "--baud", type=whole(9600), default=_BAUD, metavar="N", help=f"bit/s while writing (default {_BAUD})"
    )
    parser.add_argument(
        "--deploy", type=Path, metavar="MAIN.py", help="write your program, its packages and its configuration as well"
    )
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="with --deploy: the configuration")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="with --deploy: change one key of it"
    )
    add_passwords(parser)


def run(args: argparse.Namespace) -> int:
    """Look at the firmware, then at the board, and write only what fits."""
    output = Output(args.json)
    firmware = _firmware(args, output)
    files = _files(args)
    if firmware.uf2:
        _onto_a_drive(args, firmware, files, output)
        return 0
    if args.drive:
        raise ToolError(f"{firmware.path} goes over the serial port: leave --drive out")
    device = _port(args)
    close_port(open_port(device))  # if it is in use, say, there are good words for that
    if args.backup:
        save_files(device, args.backup, output)
    Flashing(device, firmware, files, Options(args.baud, args.erase, args.backup is not None), output).run()
    return 0


def _onto_a_drive(args: argparse.Namespace, firmware: Firmware, files: dict[str, bytes], output: Output) -> None:
    if files and not args.backup and not args.erase:
        raise ToolError(
            "what a Pico holds can't be seen in its boot loader, and --deploy replaces it: add --backup DIR to save "
            "its files first, or --erase to do without them"
        )
    device = _port(args) if args.port or args.backup else None
    if args.backup and device:
        save_files(device, args.backup, output)
    if device is None:  # a board that runs MicroPython already can be started in its boot loader
        ours = [port.device for port in usb_ports() if f"{port.vid:04x}:{port.pid:04x}" in firmware.profile.usb]
        device = ours[0] if len(ours) == 1 else None
    flash_drive(find_drive(firmware, args.drive, device), firmware, files, args.erase, output)


def _port(args: argparse.Namespace) -> str:
    if not args.port and not usb_ports():
        raise ToolError(
            "no board found: plug one in, by a cable that carries data, or name its port with --port; a Pico is found "
            "when BOOTSEL was held while it was plugged in"
        )
    device = port_of(args)
    if is_virtual(device):
        raise ToolError(f"{device} is a virtual board, which has its firmware from `sipmote board start`: use deploy")
    return device


def _firmware(args: argparse.Namespace, output: Output) -> Firmware:
    path = args.firmware
    if path is None:
        path = fetch_firmware(args.board or _board(args), cache_dir() / "firmware", output)
    firmware = read_firmware(path)
    if args.sha256 and args.sha256.lower() != firmware.digest:
        raise ToolError(f"{firmware.path} has the SHA-256 {firmware.digest}, not {args.sha256}: download it again")
    if firmware.release < OLDEST:
        raise ToolError(f"{firmware.path} is MicroPython {firmware.version}, and mote needs 1.24 or later")
    about = {"chip": firmware.profile.chip, "version": firmware.version, "sha256": firmware.digest}
    line = (
        f"{firmware.path.name}: MicroPython {firmware.version} for {firmware.profile.chip}, SHA-256 {firmware.digest}"
    )
    output.say({"event": "firmware", "file": str(firmware.path), "bytes": len(firmware.data), **about}, line)
    return firmware


def _board(args: argparse.Namespace) -> str:
    """Return micropython.org's name of the board that is there."""
    chips = {drive.chip for drive in find_drives()}
    if not args.port and len(chips) == 1:
        return board_with(chips.pop())
    device = _port(args)
    close_port(open_port(device))
    return board_with(chip_at(device))


def _files(args: argparse.Namespace) -> dict[str, bytes]:
    """Return path on the board -> octets of all that it is to have; nothing without --deploy."""
    changed = changes(args, args.set) if args.deploy else None
    if changed is None:
        if args.config or args.set or args.wifi or args.user or args.commander:
            raise ToolError("a configuration goes with --deploy MAIN.py: without a program, use sipmote deploy later")
        return {}
    if not args.config and not changed:
        raise ToolError("--deploy needs the configuration as well: --config mote.json, or --set aor=... --set to=...")
    config = parse_config(read_file(args.config), str(args.config)) if args.config else {}
    config = changed.apply(config, str(args.config or "--set"))
    program = load_program(args.deploy)
    return files_of_a_board({**program.files, "/mote.json": encode_config(config)}, config, program.ours)
