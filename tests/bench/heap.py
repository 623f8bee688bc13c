"""The heap that a board needs: the smallest one for each profile, and what each file of agent and mote keeps of it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

from sipmote.errors import ToolError
from tests.bench.loads import files, in_order, loaded_by, short
from tests.bench.peer import Peer
from tests.bench.sealed import command
from tests.bench.vm import Code, Place

_AT_ONCE = 4  # searches; a run that fails mostly waits
_ALERT = ("alert", "1")
_DATED = ("alert", "1", "dated")  # ends well only if the time was learned
_TCP = ";transport=tcp"
_REGISTER = ("register", 600)
_PASSWORD = ("password", "wonder")
_FIRMWARE = ("asyncio",)  # loaded first, so that nobody of ours is charged for it


class Profile(NamedTuple):
    """A board that does something: its configuration, the desk that it talks to, its program."""

    what: str
    everywhere: bool = False  # measured in each way of storing the code
    desk: str = "plain"
    parameters: str = ""  # of the URI that alerts go to
    settings: tuple[tuple[str, Any], ...] = ()
    program: tuple[str, ...] = _ALERT
    clock: str = "none"  # how well the board knows the time when it ends


PROFILES = (
    Profile("one alert over UDP", True),
    Profile(
        "one alert over UDP that learns the time from a Date in its 200",
        True,
        "dating",
        program=_DATED,
        clock="learned",
    ),
    Profile("one alert that is on flash first", True, settings=(("outbox", True),)),
    Profile("one alert over TCP", parameters=_TCP),
    Profile("one alert, registered", settings=(_REGISTER,)),
    Profile("one alert, digest", desk="strict", settings=(_PASSWORD,)),
    Profile("one alert, registered, digest, TCP", True, "strict", _TCP, (_REGISTER, _PASSWORD)),
    Profile("one alert that asks for a notification", settings=(("notify", 1),)),
    Profile("one alert and a heartbeat", True, settings=(("heartbeat", 300),), program=("heartbeat",)),
    Profile("alerts and a command answered", True, "asking", program=("command",)),
    Profile(
        "alerts and a command answered that is signed and encrypted",
        True,
        "sealing",
        settings=(("require", "signed+encrypted"),),
        program=("sealed_command",),
    ),
    Profile("one alert over the serial line", settings=(("transport", "serial"),)),
    Profile("one alert, signed and encrypted", True, settings=(("protect", "sign+encrypt"),)),
    Profile("one alert, signed", True, settings=(("protect", "sign"),)),
    Profile("one alert, encrypted", True, settings=(("protect", "encrypt"),)),
    Profile("one alert, encrypted by a shared key", True, settings=(("protect", "shared"),)),
)


class Measured(NamedTuple):
    """What a profile costs."""

    profile: Profile
    smallest: list[tuple[Place, int | None]]  # octets of heap
    opened: list[str]  # modules of agent and mote, in the order of their loading from .mpy files
    kept: dict[str, int]  # module -> octets of heap that it keeps there, less what it loads itself


class File(NamedTuple):
    """What one file of agent or mote costs."""

    name: str  # as tables have it: uas/, uas/checks, mote/log
    loaded_by: list[str]  # in brackets those of which a function loads it when it is called
    needed_for: list[str]  # profiles; of an alert over UDP's files only that one
    octets: int  # of its .mpy file
    kept: dict[str, int]  # place -> octets of heap, less what it loads itself


def profiles(code: Code) -> list[Measured]:
    """Measure each profile, in each place where it is to be measured."""
    with ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as pool:
        desks = {
            "plain": stack.enter_context(Peer()),
            "dating": stack.enter_context(Peer(date=True)),
            "asking": stack.enter_context(Peer(b"status")),
            "sealing": stack.enter_context(Peer(b"status", seal=command)),
            "strict": stack.enter_context(Peer(password=b"wonder")),
        }
        under_way = []
        for profile in PROFILES:
            places = [*code.places] if profile.everywhere else [code.mpy]
            if profile is PROFILES[0]:
                places.append(code.mpy_built)
            boards = [code.board(place) for place in places]
            for board in boards:
                board.configure(desks[profile.desk].port, profile.parameters, **dict(profile.settings))
            heaps = [pool.submit(board.smallest_heap, *profile.program) for board in boards]
            clock = boards[0].clock(*profile.program)
            if clock not in (profile.clock, None):
                raise ToolError(f"{profile.what}: the board's clock is {clock}, not {profile.clock}")
            opened = boards[0].opened(*profile.program)
            kept = boards[0].kept("kept", *_FIRMWARE, *in_order(opened))
            under_way.append((profile, places, heaps, opened, kept))
        return [
            Measured(profile, [(place, one.result()) for place, one in zip(places, heaps, strict=True)], opened, kept)
            for profile, places, heaps, opened, kept in under_way
        ]


def file_costs(code: Code, measured: list[Measured]) -> list[File]:
    """Return what each file of agent and mote costs, those first that an alert loads first."""
    names = dict.fromkeys(name for one in measured for name in one.opened)
    ordered = in_order([*names, *files()])
    kept = {place.name: code.board(place).kept("kept", *_FIRMWARE, *ordered) for place in code.places if place.vm}
    costs = []
    for name in ordered:
        loaders = [f"({short(who)})" if later else short(who) for who, later in loaded_by(name)]
        needed = [one.profile.what for one in measured if name in one.opened]
        costs.append(
            File(
                short(name),
                loaded_by=loaders,
                needed_for=needed[:1] if name in measured[0].opened else needed,
                octets=code.sizes[name],
                kept={place: found[name] for place, found in kept.items() if name in found},
            )
        )
    return costs


def markdown(code: Code, measured: list[Measured], costs: list[File]) -> str:
    """Return two tables: what each profile needs, and what each file costs."""
    places = [place.name for place in code.places]
    lines = [f"| smallest heap, octets | {' | '.join(places)} |", "|---" * (len(places) + 1) + "|"]
    for one in measured:
        heaps = {place.name: format(octets, ",") for place, octets in one.smallest if octets}
        lines.append(f"| {one.profile.what} | {' | '.join(heaps.get(name, '') for name in places)} |")
    lines += ["", f"| file | loaded by | needed for | {' | '.join(places)} |", "|---" * (len(places) + 3) + "|"]
    for file in costs:
        kept = [format(file.kept[name], ",") if name in file.kept else "" for name in places]
        lines.append(f"| {' | '.join([file.name, ', '.join(file.loaded_by), '; '.join(file.needed_for), *kept])} |")
    return "\n".join(lines)
