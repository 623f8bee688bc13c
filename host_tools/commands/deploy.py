"""`sipmote deploy`: put the program and its configuration onto a board, and only what changed."""

import argparse
import json
import time
from pathlib import Path

from sipmote.board.arguments import add_passwords, changes
from sipmote.board.clock import set_clock
from sipmote.board.compile import compile_packages
from sipmote.board.config import Config, encode_config, parse_config
from sipmote.board.files import boot_file, certificates, first_program, read_file
from sipmote.board.plan import make_plan
from sipmote.board.survey import check_mpy, read_config, take_survey
from sipmote.board.transfer import Transfer, stopped_board
from sipmote.console import Output
from sipmote.link.port import find_port, is_virtual

_ON_BOARD = "mote.json on the board"
_FORGERY = (
    "who may command (allow, or else to) is told by From alone, which anybody can forge, also to send the board to "
    "sleep; --commander NAME asks for a password"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote deploy`."""
    parser.add_argument("main", nargs="?", type=Path, metavar="MAIN.py", help="your program, copied as /main.py")
    parser.add_argument("--port", help="serial port of the board (found by itself when there is just one)")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="configuration, copied as /mote.json")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the configuration"
    )
    add_passwords(parser)
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="PEM of the CA that vouches for the SIP server")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM of the board's own certificate")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM of its key (default: in the same file)")
    parser.add_argument(
        "--no-clock", action="store_true", help="don't set the board's clock to the time of this machine"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and do nothing")
    parser.add_argument("--no-start", action="store_true", help="leave the board at its prompt")


def run(args: argparse.Namespace) -> int:
    """Compare what is wanted with what the board has, and send the difference."""
    began = time.monotonic()
    output = Output(args.json)
    changed = changes(args, args.set)  # what is wrong in the arguments shows before the board is disturbed
    config = None
    if args.config:
        config = changed.apply(parse_config(read_file(args.config), str(args.config)), str(args.config))
    main = read_file(args.main) if args.main else None
    certified = certificates(args.tls_ca, args.tls_cert, args.tls_key)
    wanted = {**compile_packages(), "/boot.py": boot_file(), **certified}
    device = args.port or find_port()
    with stopped_board(device, start=not args.no_start) as board:
        survey = take_survey(board, wanted)
        check_mpy(wanted, survey)
        if main is None and "/main.py" not in survey.files:
            main = first_program()
        if main is not None:
            wanted["/main.py"] = main
        if config is None and changed:
            config = changed.apply(_config_on_board(read_config(board, survey)), _ON_BOARD)
        if config is not None:
            if is_virtual(device):  # it shares our ports, and an inbox may have 5060
                config.setdefault("bind", "0.0.0.0:0")
            wanted["/mote.json"] = encode_config(config)
        if main is not None and b"mote" in main and _has_no_commanders(config or read_config(board, survey)):
            output.warn(_FORGERY)
        transfer = Transfer(make_plan(wanted, survey), output)
        if args.dry_run:
            transfer.show()
        else:
            transfer.carry_out(board, survey)
            why = None if args.no_clock else set_clock(board)
            if why:
                output.warn(f"the board's clock was not set: {why}")
    transfer.end("planned" if args.dry_run else "deployed", time.monotonic() - began)
    if "/mote.json" not in survey.files and "/mote.json" not in wanted:
        output.warn("the board has no mote.json yet: deploy again with --config or --set")
    return 0


def _has_no_commanders(config: Config | bytes | None) -> bool:
    """Would anybody be obeyed without a password? config: what is to be on the board, or the octets that are there."""
    try:
        return bool(config) and not (config if isinstance(config, dict) else json.loads(config or "")).get("commanders")
    except (ValueError, AttributeError):  # the board itself will say that it is no configuration
        return False


def _config_on_board(text: bytes | None) -> Config:
    return {} if text is None else parse_config(text, f"{_ON_BOARD} (send a right one with --config)")
