"""`sipmote ports`: the serial ports that boards may be behind: USB devices, and virtual boards that run."""

import argparse

from serial.tools.list_ports_common import ListPortInfo

from sipmote.board.profiles import profiles_behind
from sipmote.console import Output
from sipmote.link.port import usb_ports, virtual_ports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`sipmote ports` has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Say each port with what is behind it."""
    output = Output(args.json)
    ports, virtual = usb_ports(), virtual_ports()
    for port in ports:
        usb, description, boards = _usb_id(port), _description(port), _boards(port)
        maybe = f"  ({' or '.join(boards)}?)" if boards else ""
        event = {"event": "port", "port": port.device, "usb": usb, "description": description}
        more = {"serial_number": port.serial_number, "boards": boards}
        output.say({**event, **more}, f"{port.device}  {usb}  {description}{maybe}")
    for device in virtual:
        output.say(
            {"event": "port", "port": device, "description": "virtual board", "boards": ["virtual"]},
            f"{device}  virtual board",
        )
    if not ports and not virtual:
        output.say(None, "no serial port with a USB device behind it; `sipmote board start virtual` makes one without")
    return 0


def _usb_id(port: ListPortInfo) -> str:
    """Return vendor and product as four hex digits each, e.g. 10c4:ea60 (lsusb writes them so)."""
    return f"{port.vid:04x}:{port.pid:04x}"


def _description(port: ListPortInfo) -> str:
    return " ".join(part for part in (port.manufacturer, port.product) if part) or port.description


def _boards(port: ListPortInfo) -> list[str]:
    """Return the keys of the profiles that the device may be one of."""
    return [profile.key for profile in profiles_behind(_usb_id(port))]
