"""`sipmote ports`: the serial ports that boards may be behind: USB devices, and virtual boards that run."""

import argparse
from typing import Any

from sipmote.board.profiles import profiles_behind
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.port import Port, named_port, ports, real_path
from sipmote.link.refusals import none_there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote ports`."""
    parser.add_argument(
        "wanted", nargs="?", metavar="WHICH", help="only this one: its name, a link to it, or its USB serial number"
    )


def run(args: argparse.Namespace) -> int:
    """Say each port with what is behind it."""
    output = Output(args.json)
    found = ports()
    if args.wanted:
        device = real_path(named_port(args.wanted))
        found = [port for port in found if real_path(port.device) == device]
        if not found:
            raise ToolError(f"no port {args.wanted}: sipmote ports lists those that there are")
    for port in found:
        boards = [profile.key for profile in profiles_behind(port.usb)] if port.usb else ["virtual"]
        maybe = f"  ({' or '.join(boards)}?)" if boards and port.usb else ""
        number = f"  serial {port.serial_number}" if port.serial_number else ""
        usb = f"  {port.usb}" if port.usb else ""
        output.say(_event(port, boards), f"{port.device}{usb}  {port.description}{number}{maybe}")
    if not found:
        output.say(None, f"no serial port with a USB device behind it: {none_there()}")
        output.say(None, "without a board, `sipmote board start virtual` makes a virtual one")
    return 0


def _event(port: Port, boards: list[str]) -> dict[str, Any]:
    event: dict[str, Any] = {"event": "port", "port": port.device, "description": port.description, "boards": boards}
    if port.usb is not None:
        event |= {"usb": port.usb, "serial_number": port.serial_number}
    return event
