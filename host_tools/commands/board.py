"""`sipmote board start virtual`: a board for who has none."""

import argparse
import contextlib
import signal
from pathlib import Path
from types import FrameType

from sipmote.console import Output
from sipmote.virtual.pty_board import linked, stdin_pipe, virtual_board


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `sipmote board`."""
    parser.add_argument("action", choices=["start"])
    parser.add_argument("board", choices=["virtual"])
    parser.add_argument("--heap", type=size, default="128k", help="MicroPython's heap, e.g. 64k (default 128k)")
    parser.add_argument("--bits", type=int, choices=(32, 64), help="width of the VM (default: $VIRTUAL, else 32)")
    parser.add_argument("--dir", type=Path, help="folder that is the board's flash, kept (default: a fresh one)")
    parser.add_argument("--no-clock", action="store_true", help="the clock starts at 2000-01-01, as without an RTC")
    parser.add_argument("--no-network", action="store_true", help="firmware without sockets")
    parser.add_argument("--romfs", type=size, default=0, help="firmware with a ROMFS partition, e.g. of 256k")
    parser.add_argument("--epoch", type=int, choices=(1970, 2000), default=1970, help="what time.time() counts from")
    parser.add_argument("--link", type=Path, help="also make this symbolic link to the port")


def size(text: str) -> int:
    """Return octets: "65536", "64k" or "1M"."""
    scale = {"k": 1024, "m": 1024 * 1024}.get(text[-1:].lower())
    return int(text[:-1]) * scale if scale else int(text)


def run(args: argparse.Namespace) -> int:
    """Run the board until a signal or the end of the terminal; 0 unless the VM can't start."""
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        signal.signal(signal.SIGHUP, _end)
    stdin = stdin_pipe()
    made = virtual_board(
        args.dir,
        args.heap,
        args.bits,
        clock=not args.no_clock,
        network=not args.no_network,
        epoch=args.epoch,
        romfs=-(-args.romfs // 4096) * 4096,
    )
    with contextlib.suppress(KeyboardInterrupt), made as board, linked(args.link, board.port):
        line = f"virtual board at {board.port}; its flash is {board.flash}; Ctrl-C ends it"
        Output(args.json).say({"event": "ready", "port": board.port}, line)
        board.serve(stdin)
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
