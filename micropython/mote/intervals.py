"""How often sensors run, where somebody has changed that by a command. Loaded by the command, and at a start after it.

/intervals has, for each sensor that doesn't run as its program says, the ms that the program says and those that hold.
"""

import json
import os
from asyncio import core
from time import ticks_ms

from agent.compat import const
from mote.durations import read_duration, told
from mote.log import INFO, WARNING

_FILE = "/intervals"
_LEAST_MS = const(1000)  # unless the program has a shorter one
_MOST_S = const(2419200)  # 4 weeks
_EXAMPLE = "; for example: interval 60, or interval %s 10m"


def interval(mote: object, words: list) -> str:
    """Do what the command says, and return the answer: what sensors there are, or how often they run from now on."""
    sensors = mote._sensors
    if not sensors:
        return "this program has no sensors"
    name = None
    if words and read_duration("".join(words)) is None:
        name = words.pop(0)
        sensors = _named(sensors, name)
        if not sensors:
            return "no sensor %s: %s" % (name, _list(mote._sensors))
    if not words:
        return _list(sensors)
    example = _EXAMPLE % _name(sensors[0])
    seconds = read_duration("".join(words))
    if seconds is None:
        return "%s is no time%s" % (" ".join(words), example)
    if seconds > _MOST_S:
        return "4 weeks is the most" + example
    ms = int(seconds * 1000)
    for sensor in sensors:
        if ms < min(_LEAST_MS, _own(sensor)):
            return "%s is the least for %s%s" % (told(min(_LEAST_MS, _own(sensor)) / 1000), _name(sensor), example)
    for sensor in sensors:
        _change(sensor, ms)
    return _list(sensors) + _keep(mote)


def restore(mote: object) -> None:
    """Have sensors run as they did before the restart; not those of which the program says something else since."""
    try:
        with open(_FILE) as file:
            kept = json.load(file)
        changes = []
        for sensor in mote._sensors:
            own, ms = kept.get(_name(sensor), (0, 0))
            if own == sensor[0] and min(_LEAST_MS, own) <= ms <= _MOST_S * 1000:
                changes.append((sensor, int(ms)))
    except (OSError, ValueError, TypeError, AttributeError, MemoryError):  # garbled, a folder, no end of it
        mote.log(WARNING, "intervals_lost")
        return
    for sensor, ms in changes:
        _change(sensor, ms)
    restored = [sensor for sensor, _ in changes]
    if restored:
        mote.log(INFO, "intervals", sensors=_list(restored))


def _name(sensor: list) -> str:
    return getattr(sensor[1], "__name__", "sensor")  # a firmware may have no names


def _named(sensors: list, name: str) -> list:
    found = [sensor for sensor in sensors if _name(sensor) == name]
    return found or [sensor for sensor in sensors if _name(sensor).lower() == name.lower()]


def _own(sensor: list) -> int:
    """Return the ms that the program says."""
    return sensor[4] if len(sensor) > 4 else sensor[0]


def _list(sensors: list) -> str:
    return ", ".join(["%s every %s" % (_name(sensor), told(sensor[0] / 1000)) for sensor in sensors])


def _change(sensor: list, ms: int) -> None:
    """Have a sensor run so often, from now on."""
    if len(sensor) < 5:
        sensor.append(sensor[0])
    sensor[0] = ms
    task = sensor[2]
    if sensor[3]:  # it waits: it runs now, and then so often
        sensor[3] = False
        core._task_queue.remove(task)
        core._task_queue.push(task, ticks_ms())


def _keep(mote: object) -> str:
    """Write down what isn't as the program says; returns what is to be added to the answer."""
    changed = {_name(sensor): (_own(sensor), sensor[0]) for sensor in mote._sensors if _own(sensor) != sensor[0]}
    try:
        with open(_FILE + ".new", "w") as file:
            json.dump(changed, file)
        os.rename(_FILE + ".new", _FILE)
        if not changed:
            os.remove(_FILE)
    except OSError as error:
        return ", until the next restart: the flash failed (%s)" % error
    return ""
