"""`sipmote operator`: files for who runs inboxes as a service, on one machine or on many."""

import argparse
from pathlib import Path

from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.files import write_whole

_SOURCE = Path(__file__).resolve().parent.parent / "operator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote operator`."""
    parser.description = (
        "Write files for who runs inboxes as a service: kamailio.cfg, dispatcher.list and users.sql for several "
        "inboxes behind Kamailio, a unit for systemd, a Containerfile. Each says at its head what it is for and what "
        "to change. A file that is there and differs is left alone."
    )
    parser.add_argument("folder", metavar="DIR", help="made if it isn't there")


def run(args: argparse.Namespace) -> int:
    """Write what isn't there yet."""
    output, folder = Output(args.json), Path(args.folder)
    texts = {path.name: path.read_text() for path in sorted(_SOURCE.iterdir()) if path.suffix not in (".md", ".pyc")}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = {name: (folder / name).read_text() for name in texts if (folder / name).exists()}
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"can't use {folder}: {getattr(error, 'strerror', 'no text')}; name another folder") from None
    differing = [name for name, text in old.items() if text != texts[name]]
    for name in texts.keys() - old.keys():
        write_whole(folder / name, texts[name])
        (folder / name).chmod(0o644)  # no secret is in it, and services read it
    for name in texts:
        done = "differs" if name in differing else "there" if name in old else "written"
        output.say({"event": "file", "file": str(folder / name), "state": done}, f"{folder / name}: {done}")
    if differing:
        raise ToolError(f"{', '.join(differing)} in {folder} differ from ours: move them away to have ours")
    return 0
