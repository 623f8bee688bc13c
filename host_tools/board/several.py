"""The same deployment onto several boards at once, each in a thread of its own."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from sipmote.board.deployment import Deployment
from sipmote.console import Output, PortOutput
from sipmote.errors import ToolError


def onto_all(deployment: Deployment, devices: Sequence[str], as_json: bool) -> int:
    """Deploy to all of these ports at once, and say how as an Output does; returns the worst exit code.

    Of several, what fails at one is told and holds up no other; ToolError for what fails at the only one. After Ctrl-C
    each ends between two pieces of a file.
    """
    if len(devices) == 1:
        return deployment.onto(devices[0], Output(as_json))
    stopping = threading.Event()
    with ThreadPoolExecutor(len(devices)) as threads:
        try:
            outputs = [_BoardOutput(as_json, device, stopping) for device in devices]
            codes = [threads.submit(_onto, deployment, output) for output in outputs]
            return max(code.result() for code in as_completed(codes))
        except KeyboardInterrupt:
            stopping.set()
            raise


def _onto(deployment: Deployment, output: "_BoardOutput") -> int:
    try:
        return deployment.onto(output.device, output)
    except ToolError as error:
        output.warn(str(error), {"event": "failed", "error": str(error)})
        return 1


class _BoardOutput(PortOutput):
    """Says what happens at one board of several."""

    def __init__(self, as_json: bool, device: str, stopping: threading.Event) -> None:
        super().__init__(as_json, None, device, is_named=True)
        self._stopping = stopping

    @contextlib.contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Several bars would be in each other's way; this is where a thread learns that it is to end."""

        def advance(octets: int) -> None:
            if self._stopping.is_set():
                raise KeyboardInterrupt

        yield advance
