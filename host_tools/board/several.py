"""The same deployment onto several boards at once, each in a thread of its own."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from sipmote.board.deployment import Deployment
from sipmote.console import Event, Output, Part
from sipmote.errors import ToolError


def onto_all(deployment: Deployment, devices: Sequence[str], output: Output) -> int:
    """Deploy to all of these ports at once; returns the worst exit code.

    Of several, what fails at one is told and holds up no other; ToolError for what fails at the only one. After Ctrl-C
    each ends between two pieces of a file.
    """
    if len(devices) == 1:
        return deployment.onto(devices[0], output)
    stopping = threading.Event()
    with ThreadPoolExecutor(len(devices)) as threads:
        try:
            codes = [threads.submit(_onto, deployment, device, output, stopping) for device in devices]
            return max(code.result() for code in as_completed(codes))
        except KeyboardInterrupt:
            stopping.set()
            raise


def _onto(deployment: Deployment, device: str, output: Output, stopping: threading.Event) -> int:
    ours = _BoardOutput(output, device, stopping)
    try:
        return deployment.onto(device, ours)
    except ToolError as error:
        ours.warn(str(error), {"event": "failed", "error": str(error)})
        return 1


class _BoardOutput(Output):
    """Says for one board of several what an Output says; lines begin with its port, events have it."""

    def __init__(self, output: Output, device: str, stopping: threading.Event) -> None:
        self._output = output
        self._device = device
        self._stopping = stopping

    def say(self, event: Event | None, *line: Part) -> None:
        self._output.say(self._with_port(event), *((f"{self._device}: ", *line) if line else ()))

    def warn(self, text: str, event: Event | None = None) -> None:
        self._output.warn(f"{self._device}: {text}", self._with_port(event))

    @contextlib.contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Several bars would be in each other's way; this is where a thread learns that it is to end."""

        def advance(octets: int) -> None:
            if self._stopping.is_set():
                raise KeyboardInterrupt

        yield advance

    def _with_port(self, event: Event | None) -> Event | None:
        return None if event is None else {**event, "port": self._device}
