"""`sipmote deploy`: put the program and its configuration onto a board, and only what changed."""

import argparse
import contextlib
import math
import os
import threading
from pathlib import Path

from sipmote.board.arguments import add_passwords, changes
from sipmote.board.compile import compile_packages
from sipmote.board.config import Changes, Config, parse_config
from sipmote.board.deployment import Deployment
from sipmote.board.files import certificates, read_file
from sipmote.board.freezing import freeze
from sipmote.board.mip import fetch
from sipmote.board.needed import needed
from sipmote.board.program import load_program
from sipmote.board.several import onto_all
from sipmote.board.watching import Seen, seen, told_of_change, wait_for_change
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.monitor import Monitor
from sipmote.link.port import find_port, named_port, usb_ports, virtual_ports
from sipmote.link.teller import Teller


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote deploy`."""
    parser.add_argument("main", nargs="?", type=Path, metavar="MAIN.py", help="your program, copied as /main.py")
    parser.add_argument(
        "--with",
        dest="more",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="copy this file or folder, too; the modules beside MAIN.py that it imports are copied anyway",
    )
    parser.add_argument(
        "--mip",
        action="append",
        default=[],
        metavar="NAME",
        help="a package of micropython-lib, or whatever mpremote mip installs, with those that it depends on",
    )
    parser.add_argument(
        "--port",
        action="append",
        help="serial port of the board (found by itself when there is just one); once for each of several boards",
    )
    parser.add_argument("--all", action="store_true", help="all boards that `sipmote ports` lists, at once")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="configuration, copied as /mote.json")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the configuration"
    )
    parser.add_argument(
        "--freeze",
        type=Path,
        metavar="DIR",
        help="write what a firmware of your own has frozen into it, and its manifest.py, and touch no board",
    )
    add_passwords(parser)
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="PEM of the CA that vouches for the SIP server")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM of the board's own certificate")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM of its key (default: in the same file)")
    parser.add_argument(
        "--no-clock", action="store_true", help="don't set the board's clock to the time of this machine"
    )
    parser.add_argument("--boot", action="store_true", help="put our boot.py in the place of one that is there")
    parser.add_argument(
        "--lean",
        action="store_true",
        help="leave out what the configuration doesn't name: deploy again, and not otherwise, when it changes",
    )
    parser.add_argument(
        "--romfs",
        action=argparse.BooleanOptionalAction,
        help="packages go into the firmware's ROMFS, even where that holds something else, or they don't "
        "(default: they do where it is empty, or a deploy has written it)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and do nothing")
    parser.add_argument("--no-start", action="store_true", help="leave the board at its prompt")
    parser.add_argument("--monitor", action="store_true", help="go on as `sipmote monitor` does, from the start on")
    parser.add_argument(
        "--watch", action="store_true", help="deploy again whenever MAIN.py changes, or what goes with it"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="list the files")


def run(args: argparse.Namespace) -> int:
    """Compare what is wanted with what the board has, and send the difference."""
    output = Output(args.json)
    if args.freeze:
        return _freeze(args, output)
    if args.watch and not args.main:
        raise ToolError("--watch needs MAIN.py: it is what is watched")
    changed = changes(args, args.set)
    deployment = _deployment(args, changed)  # what is wrong in the arguments shows before the board is disturbed
    devices = _devices(args)
    while True:
        before = seen([*deployment.program.sources] if deployment.program else [])
        try:
            code = onto_all(deployment, devices, args.json)
        except ToolError as error:
            if not args.watch:
                raise
            code = 1
            output.warn(str(error), {"event": "failed", "error": str(error)})
        if args.dry_run or not (args.watch or args.monitor):
            return code
        if not args.watch:
            Monitor([devices[0]], Teller(output)).watch(math.inf, reset=True)
            return code
        deployment = _next(args, changed, before, devices[0], output)


def _freeze(args: argparse.Namespace, output: Output) -> int:
    """Write the packages for a firmware: with --lean and --config those modules alone that this asks for."""
    if args.lean and not args.config:
        raise ToolError("--freeze --lean needs --config FILE.json: it is what tells which modules stay out")
    config = _config(args, changes(args, args.set)) if args.lean else None
    program = load_program(args.main, args.more) if args.main else None
    count = freeze(args.freeze, needed(config, program.ours if program else ()))
    output.say(
        {"event": "frozen", "folder": str(args.freeze), "modules": count},
        f"{count} modules and manifest.py are in {args.freeze}: make BOARD=... FROZEN_MANIFEST="
        f"{args.freeze.resolve() / 'manifest.py'}, in MicroPython's port",
    )
    return 0


def _config(args: argparse.Namespace, changed: Changes) -> Config | None:
    if args.config is None:
        return None
    return changed.apply(parse_config(read_file(args.config), str(args.config)), str(args.config))


def _devices(args: argparse.Namespace) -> list[str]:
    """Return the ports of the boards that are meant, each once."""
    if args.all and args.port:
        raise ToolError("--all and --port exclude each other: leave one out")
    devices = [port.device for port in usb_ports()] + virtual_ports() if args.all else []
    devices += [named_port(name) for name in args.port or ()] or ([] if args.all else [find_port()])
    if not devices:
        raise ToolError("no board found: plug one in, or name its port with --port")
    devices = list({os.path.realpath(device): device for device in devices}.values())
    if args.monitor and len(devices) > 1:
        raise ToolError("--monitor is for one board: leave it out, and run `sipmote monitor` for each")
    return devices


def _next(args: argparse.Namespace, changed: Changes, before: Seen, device: str, output: Output) -> Deployment:
    """Wait until a file changes, with --monitor listening meanwhile, and return what is to be deployed then."""
    while True:
        output.say({"event": "watching", "files": [str(path) for path in before]}, f"watching {args.main.name}")
        if args.monitor:
            _monitor_until_change(before, device, output)
        else:
            wait_for_change(before, threading.Event())
        before = seen(before)  # what changes while it is read counts as a change
        try:
            return _deployment(args, changed)
        except ToolError as error:
            output.warn(str(error), {"event": "failed", "error": str(error)})


class _Changed(Exception):
    """A file has changed."""


def _monitor_until_change(before: Seen, device: str, output: Output) -> None:
    """Listen to the board until a file changes. What a person ends raises KeyboardInterrupt."""
    monitor = Monitor([device], Teller(output))
    with contextlib.suppress(_Changed), told_of_change(before, lambda: monitor.stop(_Changed())):
        monitor.watch(math.inf, reset=True)
        raise KeyboardInterrupt


def _deployment(args: argparse.Namespace, changed: Changes) -> Deployment:
    packages = compile_packages()
    return Deployment(
        packages=packages,
        libraries=fetch(args.mip, packages) if args.mip else {},
        certified=certificates(args.tls_ca, args.tls_cert, args.tls_key),
        config=_config(args, changed),
        changes=changed,
        program=load_program(args.main, args.more) if args.main else None,
        boot=args.boot,
        clock=not args.no_clock,
        starts=not (args.no_start or args.monitor),
        lean=args.lean,
        romfs=args.romfs,
        dry_run=args.dry_run,
        verbose=args.verbose,
    )
