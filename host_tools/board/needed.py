"""Which modules of the packages a board can ever be asked to load: found by their imports, wherever these stand.

A module that a message could ask for, a record or a program, is needed whatever the configuration says.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sipmote.board.config import Config
from sipmote.board.files import packages

_ROOT = "mote"  # what programs import
_BY_HOST = "mote.new_key"  # what `sipmote provision` imports
_FROM = re.compile(r"^ *from +([.\w]+) +import +(\([^)]*\)|[^#\n]*)", re.MULTILINE)
_IMPORT = re.compile(r"^ *import +([\w.]+)|__import__\(\"([\w.]+)\"\)", re.MULTILINE)
_Condition = Callable[[Config], bool]


def _is_protected(config: Config) -> bool:
    return bool(config.get("protect") or config.get("require"))


# Who imports one of these asks the configuration first: see mote.start, mote.online, mote.net.link, mote.__init__,
# mote.passwords, mote.further_settings, and all that asks for notify. An alert that was stored while notify was set
# needs agent.cpim.imdn, and a server may ask for a password that nobody has set (agent.auth.client).
_ONLY_WITH: dict[str, _Condition] = {
    "agent.auth.server": lambda config: bool(config.get("commanders")),
    "agent.registration": lambda config: bool(config.get("register")),
    "agent.cpim.writer": lambda config: bool(config.get("notify") or config.get("protect")),
    "mote.notify": lambda config: bool(config.get("notify")),
    "mote.passwords": lambda config: bool(config.get("password") or config.get("commanders")),
    "mote.net.link": lambda config: bool(config.get("wifi")) or config.get("lan") is not None,
    "mote.net.wifi": lambda config: bool(config.get("wifi")),
    "mote.net.lan": lambda config: config.get("lan") is not None,
    "mote.net.serial": lambda config: config.get("transport") == "serial" or bool(config.get("fallback")),
    "mote.net.fallback": lambda config: bool(config.get("fallback")),
    "mote.net.ntp": lambda config: bool(config.get("ntp")),
    "mote.heartbeat": lambda config: bool(config.get("heartbeat")),
    "mote.safe": lambda config: bool(config.get("watchdog")),
    "mote.watchdog": lambda config: bool(config.get("watchdog")),
    "mote.outbox": lambda config: config.get("outbox", True) is not False,
}
# What nobody can ask for without keys, which `sipmote provision --protect` brings.
_PROTECTED = (
    "agent.cms mote.beside mote.combs mote.envelope mote.keys mote.new_key mote.protect mote.reading mote.replay "
    "mote.sealed_reply mote.sealing mote.showing mote.signers mote.unprotect mote.unread mote.verdict"
)
_PROTECTION: dict[str, _Condition] = dict.fromkeys(_PROTECTED.split(), _is_protected)


def needed(config: Config | None, more: Iterable[str] = (), lean: bool = True) -> frozenset[str]:
    """Return the paths on the board of the modules that it needs.

    config: what it is going to have, None for any: no module is left out. lean: another one can't come without a
    deploy; else all stay that some configuration could ask for, without keys. more: modules that the program imports
    itself, by their full names.
    """
    gates = {} if config is None else _PROTECTION | (_ONLY_WITH if lean else {})

    def is_asked_for(name: str) -> bool:
        gate = next((gate for gate in gates if name == gate or name.startswith(f"{gate}.")), None)
        return gate is None or gates[gate](config or {})

    sources = _sources()
    found: set[str] = set()
    queue = [name for name in (_ROOT, _BY_HOST) if is_asked_for(name)]
    queue += more
    while queue:
        name = queue.pop()
        if name in found or name not in sources:
            continue
        found.add(name)
        source = sources[name][1]
        imported = _imports(source.read_text(), name if source.stem == "__init__" else name.rpartition(".")[0])
        queue += filter(is_asked_for, imported)
        queue.append(name.rpartition(".")[0])
    return frozenset(sources[name][0] for name in found)


def _sources() -> dict[str, tuple[str, Path]]:
    """Return full name -> path on the board and source of every module."""
    found = {}
    for folder, home in packages().items():
        for source in home.rglob("*.py"):
            path = source.relative_to(home).with_suffix("").as_posix()
            name = f"{home.name}.{path.replace('/', '.')}".removesuffix(".__init__")
            found[name] = f"{folder}/{path}.mpy", source
    return found


def _imports(text: str, package: str) -> Iterator[str]:
    """Yield what a module of a package may import, by full names; rather one too many."""
    for origin, names in _FROM.findall(text):
        dots = len(origin) - len(origin.lstrip("."))
        above = package.split(".")[: len(package.split(".")) + 1 - dots] if dots else []
        origin = ".".join([*above, *filter(None, [origin[dots:]])])
        yield origin
        yield from (f"{origin}.{name}" for name in re.findall(r"\w+", names))
    for plain, called in _IMPORT.findall(text):
        yield plain or called
