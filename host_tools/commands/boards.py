"""`sipmote boards`: which boards are at this computer, and what they are doing."""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serial.tools.list_ports_common import ListPortInfo

from sipmote.board.acquaintances import Acquaintances
from sipmote.board.overview import ask, day, listen
from sipmote.console import Output, Part
from sipmote.errors import ToolError
from sipmote.files import data_folder
from sipmote.link.port import named_port, real_path, usb_ports, virtual_ports
from sipmote.moments import seconds

_LISTEN_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote boards`."""
    parser.description = (
        "List the boards at this computer. Each is listened to for a moment, which disturbs nothing; what only the "
        "board itself can say is from the last --ask. Exit code 1 if one of them can't be reached."
    )
    parser.add_argument("--port", action="append", metavar="PORT", help="only this one; may be repeated")
    parser.add_argument(
        "--ask",
        action="store_true",
        help="stop their programs, ask for program, firmware, memory and Wi-Fi, start them",
    )
    parser.add_argument(
        "--seconds", type=seconds, default=_LISTEN_S, metavar="N", help="how long to listen (default: %(default)g)"
    )


def run(args: argparse.Namespace) -> int:
    """Find out about each and say it."""
    output = Output(args.json)
    usb = {port.device: port for port in usb_ports()}
    listed = {real_path(device): device for device in usb}
    asked = [named_port(name) for name in args.port or ()]
    devices = [listed.get(real_path(device), device) for device in asked] or [*usb, *virtual_ports()]
    if not devices:
        output.say(None, "no board; `sipmote ports` says what it looks for, `sipmote board start virtual` makes one")
    known = Acquaintances(data_folder() / "boards.json")
    all_well = True
    for device, found in zip(devices, _find_out(devices, args, output), strict=True):
        board = _name([*usb.values()], device)
        event = {
            "event": "board",
            "port": device,
            "serial_number": usb[device].serial_number if device in usb else None,
        }
        if "trouble" in found:
            facts = known.take(board, {}) | found
        else:
            facts = known.take(board, found)
        done = "failed" if "trouble" in found else "asked" if args.ask else "listened"
        _say(output, {**event, "done": done}, facts, "heard" in found, args.seconds)
        all_well = all_well and done != "failed"
    known.keep()
    return 0 if all_well else 1


def _name(ports: list[ListPortInfo], device: str) -> str | None:
    """Return by what a board is known next time: its serial number if no other has the same; None for a virtual one."""
    numbers = [port.serial_number for port in ports]
    number = next((port.serial_number for port in ports if port.device == device), None)
    if number and numbers.count(number) == 1:
        return number
    return None if real_path(device).startswith("/dev/pts/") else device  # whose number may be another terminal's then


def _find_out(devices: list[str], args: argparse.Namespace, output: Output) -> list[dict[str, Any]]:
    """Return what is found about each, "trouble" where that is nothing."""
    if args.ask:
        return [_asked(device, output) for device in devices]
    with ThreadPoolExecutor(max(len(devices), 1)) as pool:
        return list(pool.map(lambda device: _heard(device, args.seconds), devices))


def _asked(device: str, output: Output) -> dict[str, Any]:
    try:
        return ask(device, output.warn)
    except ToolError as error:
        return {"trouble": str(error)}


def _heard(device: str, seconds: float) -> dict[str, Any]:
    try:
        return listen(device, seconds).facts()
    except ToolError as error:
        return {"trouble": str(error)}


def _say(output: Output, event: dict[str, Any], facts: dict[str, Any], speaks: bool, seconds: float) -> None:
    """Say one board in a line, and in further ones what is known of it."""
    now = time.time()
    heard = facts.get("heard")
    silent_s = None if heard is None else max(int(now - heard), 0)
    what: Part
    if event["done"] == "failed":
        what = (facts["trouble"], "bold red")
    elif speaks:
        what = ("speaks" if event["done"] == "listened" else "answers", "green")
    else:
        since = "nothing known" if silent_s is None else f"last heard {_ago(silent_s)}"
        what = (f"silent for {seconds:g} s; {since}", "yellow")
    name = f"{event['port']}  " + (f"{event['serial_number']}  " if event["serial_number"] else "")
    output.say({**event, **facts, "silent_s": silent_s}, (name, "bold"), what)
    for line in (_state(facts), _program(facts, now)):
        if line:
            output.say(None, "    " + line)


def _state(facts: dict[str, Any]) -> str:
    """Return clock, uptime and network for people."""
    parts = []
    if facts.get("uptime_s") is not None:
        parts.append(f"up {_ago(facts['uptime_s'], '')}")
    if facts.get("clock"):
        parts.append(f"clock: {facts['clock']}")
    if facts.get("address"):
        rssi = "" if facts.get("rssi") is None else f", {facts['rssi']} dBm"
        parts.append(f"Wi-Fi: {facts['address']}{rssi}")
    elif facts.get("wifi") in ("wifi_down", "wifi_failed"):
        parts.append("no Wi-Fi")
    return "; ".join(parts)


def _program(facts: dict[str, Any], now: float) -> str:
    """Return program, firmware and memory for people, and when the board was asked."""
    if "asked" not in facts:
        return ""
    parts = ["no program"]
    if facts.get("program_octets") is not None:
        date = f" of {facts['program_date']}" if facts.get("program_date") else ""
        parts = [f"main.py{date}, {facts['program_octets']:,} octets"]
        if facts.get("program"):
            parts[0] = f"{facts['program']} ({parts[0]})"
    parts.append(f"MicroPython {facts.get('release')} on {facts.get('machine')}")
    if facts.get("memory_free") is not None:
        parts.append(f"{facts['memory_free']:,} octets free")
    asked_s = int(now - facts["asked"])
    return "; ".join(parts) + ("" if asked_s < 60 else f" (asked {_ago(asked_s)})")


def _ago(seconds: int, ending: str = " ago") -> str:
    """Return a time for people: "5 s ago", "3 h ago", or a date."""
    if seconds >= 14 * 86400 and ending:
        return f"on {day(int(time.time()) - seconds)}"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}{ending}"
    return f"{seconds} s{ending}"
