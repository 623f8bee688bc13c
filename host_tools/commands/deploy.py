"""`sipmote deploy`: put the program and its configuration onto a board, and only what changed."""

import argparse
import math
from pathlib import Path

from sipmote.board.compile import compile_packages
from sipmote.board.config import KEYS, Changes, add_wifi, check_values, parse_config, set_keys
from sipmote.board.deployment import Deployment
from sipmote.board.files import certificates, read_file
from sipmote.board.program import load_program
from sipmote.console import Output
from sipmote.link.monitor import Monitor
from sipmote.link.port import find_port
from sipmote.people import PASSWORD_VARIABLE, ask_password, check_name

_WIFI_VARIABLE = "SIPMOTE_WIFI_PASSWORD"
_COMMANDER_VARIABLE = "SIPMOTE_COMMANDER_PASSWORD"


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
    parser.add_argument("--port", help="serial port of the board (found by itself when there is just one)")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="configuration, copied as /mote.json")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the configuration"
    )
    parser.add_argument("--keys", action="store_true", help="list the keys of the configuration, and do nothing")
    parser.add_argument(
        "--wifi", metavar="SSID", help=f"network to join; the password comes from {_WIFI_VARIABLE} or a prompt"
    )
    parser.add_argument(
        "--user",
        metavar="NAME",
        help=f"whom the board is to a server that asks; the password comes from {PASSWORD_VARIABLE} or a prompt",
    )
    parser.add_argument(
        "--commander",
        metavar="NAME",
        help="let this user command the board, and nobody without a password; it comes from "
        f"{_COMMANDER_VARIABLE} or a prompt",
    )
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
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and do nothing")
    parser.add_argument("--no-start", action="store_true", help="leave the board at its prompt")
    parser.add_argument("--monitor", action="store_true", help="go on as `sipmote monitor` does, from the start on")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the files")


def run(args: argparse.Namespace) -> int:
    """Compare what is wanted with what the board has, and send the difference."""
    output = Output(args.json)
    if args.keys:
        for key, meaning in KEYS.items():
            output.say({"event": "key", "key": key, "meaning": meaning}, (f"{key:16}", "bold"), meaning)
        return 0
    deployment = _deployment(args)  # what is wrong in the arguments shows before the board is disturbed
    device = args.port or find_port()
    code = deployment.onto(device, output)
    if args.monitor and not args.dry_run:
        Monitor(device, output).watch(math.inf, reset=True)
    return code


def _deployment(args: argparse.Namespace) -> Deployment:
    changes = _changes(args)
    config = None
    if args.config:
        config = changes.apply(parse_config(read_file(args.config), str(args.config)), str(args.config))
    return Deployment(
        packages=compile_packages(),
        certified=certificates(args.tls_ca, args.tls_cert, args.tls_key),
        config=config,
        changes=changes,
        program=load_program(args.main, args.more) if args.main else None,
        boot=args.boot,
        clock=not args.no_clock,
        start="" if args.no_start or args.monitor else "listen",
        lean=args.lean,
        dry_run=args.dry_run,
        verbose=args.verbose,
    )


def _changes(args: argparse.Namespace) -> Changes:
    """Return what the arguments do to a configuration, each right by itself. All passwords are asked for here."""
    check_values(set_keys({}, args.set), "--set")
    wifi = user = commander = None
    if args.wifi:
        wifi = args.wifi, ask_password(f"{args.wifi} (nothing for an open network)", variable=_WIFI_VARIABLE)
        check_values(add_wifi({}, *wifi), "--wifi")
    if args.user:
        user = args.user, ask_password(args.user)
        check_values(dict(zip(("user", "password"), user, strict=True)), "--user")
    if args.commander:
        check_name("--commander", args.commander)
        commander = args.commander, ask_password(args.commander, variable=_COMMANDER_VARIABLE, twice=True)
    return Changes(args.set, wifi, user, commander)
