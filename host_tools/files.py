"""Where the rooms beside this one are: in a clone next to it, in an installed package inside it."""

from pathlib import Path


def rooms() -> Path:
    """Return the folder that holds agent, micropython and boards."""
    here = Path(__file__).resolve().parent
    return here if (here / "agent").is_dir() else here.parent
