"""Where the rooms beside this one are: in a clone next to it, in an installed package inside it. Where our data is."""

import os
from pathlib import Path


def rooms() -> Path:
    """Return the folder that holds agent, micropython and boards."""
    here = Path(__file__).resolve().parent
    return here if (here / "agent").is_dir() else here.parent


def data_folder() -> Path:
    """Return the folder of what we keep for the person at this computer; it may not be there yet."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sipmote"
