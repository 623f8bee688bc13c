"""What a sensor's program imports, for editors and type checkers; the manual is micropython/README.md."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal, TypeVar, type_check_only

_Outcome = Literal["delivered", "accepted", "failed", "refused", "expired", "replaced", "acknowledged", "unknown"]
_Sensor = TypeVar("_Sensor", bound=Callable[[], object])
_CommandFunction = TypeVar("_CommandFunction", bound=Callable[[Command], object])

class Mote:
    """A board that sends SIP messages, configured by /mote.json. A program makes one."""

    settings: dict[str, Any]
    """What mote.json says; a key that isn't there has its default. To be read: changes here have no effect."""

    def __init__(self) -> None:
        """Read /mote.json. Raises ValueError that says what is missing there."""

    def every(self, seconds: float) -> Callable[[_Sensor], _Sensor]:
        """Decorate a function that runs at the start, and again each time so many seconds after it has ended.

        The function takes no argument and may be async; what it returns is of no account. A plain one has to be quick:
        nothing else runs meanwhile. An exception in it becomes the log record sensor_failed; it runs again when its
        time comes. seconds: fractions, too, and weeks.
        """

    def command(self, word: str) -> Callable[[_CommandFunction], _CommandFunction]:
        """Decorate a function that runs when a message with this first word (in any case) comes from who may command.

        The function takes a Command and may be async. What it returns is sent back as text; None or "" sends nothing.
        After an exception the sender is told what it was, and the log has the record command_failed. ack, help,
        interval, sleep and status are there unless a program defines them itself.
        """

    def alert(
        self,
        text: str,
        expires: int | None = None,
        to: str | list[str] | None = None,
        priority: int = 0,
        key: str | None = None,
        escalate_s: int | None = None,
    ) -> Alert:
        """Begin to send text, and return at once. Nothing has to be done with the result; await it for the outcome.

        It is on flash when this returns, and outlives a power cut; called in another thread, or by
        micropython.schedule, it is as soon as the loop has its turn: then `accepted` is true. While nobody answers it
        is sent again, for as long as it is valid. When the outbox is full its outcome is "failed", and the log has the
        record outbox_full. With `outbox: false` up to 16 alerts wait in memory (alert_refused), and priority and key
        mean nothing.
        expires: seconds for which it is worth telling; None for ever. to: a URI, or a list of them, in place of the
        setting to. priority: 0 to 255; the highest goes first. key: this one takes the place of the one with the same
        key that waits and was never sent; where that says the same, the text says how often. escalate_s: seconds after
        which the next URI of a list gets it, unless somebody has sent `ack`, or sooner if one couldn't be reached; 0
        for all at once, None for what the setting says.
        Raises agent.errors.UsageError for a text that makes the request longer than 1300 octets, where the setting
        budget doesn't allow to change it, and for several recipients with `outbox: false`.
        """

    def uptime(self) -> int:
        """Return the seconds since the program began."""

    def log(self, level: int, event: str, **fields: object) -> None:
        """Write a log record, which `sipmote monitor` shows.

        level: mote.log.DEBUG, INFO, WARNING or ERROR; the setting log names the lowest that is written.
        event: a word in snake_case. fields: int, float, str, bytes, bool, None, or lists, tuples and dicts of them; of
        anything else its repr is written. What is longer than 3000 octets is cut and ends in an ellipsis.
        """

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Await this in a sensor's last line to sleep deeply for so long; the program then begins anew.

        It waits until every alert has its outcome: give alerts `expires`, or a network that is away keeps the board
        awake. After power-on and reset it leaves a deploy 10 seconds. Nobody can command a board that sleeps.
        """

    def run(self) -> None:
        """Run sensors and commands until Ctrl-C. What stands after it in a program runs only then."""

@type_check_only
class Alert:
    """What Mote.alert returns. `await alert` waits until it has an outcome and gives its name."""

    outcome: _Outcome | None
    """None while the alert is on its way, then one of:

    delivered: the receiver has it (a 2xx, or with the setting notify the receiver's own word).
    accepted: a server keeps it for the receiver (202).
    failed: a server said no (3xx to 5xx), there is no way to the receiver, or too many were waiting already.
    refused: the receiver doesn't want it (6xx).
    expired: nobody took it while it was valid.
    replaced: a later one took its place, with its key or its text.
    acknowledged: somebody sent `ack` while it waited.
    unknown: 16 later ones were raised, and nobody awaited it. It is on its way; the log says what becomes of it.
    """

    accepted: bool
    """Is it on flash (with `outbox: false`: in memory)?"""

    def __await__(self) -> Generator[Any, None, _Outcome]: ...

@type_check_only
class Command:
    """What a command's function gets: the message that asked for it."""

    sender: str
    """The URI of who sent it, e.g. "sip:desk@example.org". Without commanders anybody can claim to be that."""

    user: str | None
    """Who has shown by his password to be that; None on a board without commanders."""

    text: str
    """The whole message."""

    words: list[str]
    """Its words; the first one is the command, in the case in which it was typed."""
