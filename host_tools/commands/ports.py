"""`sipmote ports`: the serial ports that boards may be behind: USB devices, and virtual boards that run."""

import argparse
import json

from serial.tools.list_ports_common import ListPortInfo

from sipmote.board.profiles import profiles_behind
from sipmote.link.port import usb_ports, virtual_ports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    ports = usb_ports()
    for port in ports:
        if args.json:
            event = {"event": "port", "port": port.device, "usb": _usb_id(port), "description": _description(port)}
            print(json.dumps({**event, "serial_number": port.serial_number, "boards": _boards(port)}))
        else:
            boards = " or ".join(_boards(port))
            print(f"{port.device}  {_usb_id(port)}  {_description(port)}" + (f"  ({boards}?)" if boards else ""))
    virtual = virtual_ports()
    for device in virtual:
        if args.json:
            print(json.dumps({"event": "port", "port": device, "description": "virtual board", "boards": ["virtual"]}))
        else:
            print(f"{device}  virtual board")
    if not ports and not virtual and not args.json:
        print("no serial port with a USB device behind it; `sipmote board start virtual` makes one without")
    return 0


def _usb_id(port: ListPortInfo) -> str:
    """Return vendor and product as four hex digits each, e.g. 10c4:ea60 (lsusb writes them so)."""
    return f"{port.vid:04x}:{port.pid:04x}"


def _description(port: ListPortInfo) -> str:
    return " ".join(part for part in (port.manufacturer, port.product) if part) or port.description


def _boards(port: ListPortInfo) -> list[str]:
    """Return the keys of the profiles that the device may be one of."""
    return [profile.key for profile in profiles_behind(_usb_id(port))]
