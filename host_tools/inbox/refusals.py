"""What an inbox doesn't take for what is inside, and an account of all that led to nothing."""

import asyncio
import contextlib
from collections import Counter

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.errors import ParseError
from sipmote.agent.headers.values import media_type, takes
from sipmote.agent.uas import MessageReceived
from sipmote.errors import ToolError
from sipmote.inbox.options import Options
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen
from sipmote.people import logins
from sipmote.sip.shell import Answer
from sipmote.smime.guard import Guard

_DROPPED_S = 1.0  # between two lines about what led to nothing
_NAMED = 8  # senders in such a line
_LONGEST_NAMED = 80  # characters of one
UNDECIPHERABLE: Answer = (493, b"")
_INCORRECT_DATE: Answer = (400, b"Incorrect Date or Time")
_NO_SENDER: Answer = (400, b"A URI In From Was Expected")  # it can't be sent on
_NOT_HIS_NAME: Answer = (403, b"From Is Not Who Logged In")
_UNSIGNED: Answer = (403, b"A Good Signature Is Needed")
_UNSUPPORTED_MEDIA_TYPE: Answer = (415, b"")


class Refusals:
    """Says what is refused, and once a second what was."""

    def __init__(self, options: Options, guard: Guard | None, screen: Screen) -> None:
        """guard: of `sipmote keys`, None without keys."""
        self._options = options
        self._guard = guard
        self._screen = screen
        self._dropped: Counter[str] = Counter()

    def of(self, event: MessageReceived, one: Received) -> Answer | None:
        """Return the answer to a message that we don't take for what is inside, None for one that we do."""
        options = self._options
        if not one.is_by_sender and (options.require_signed or self._has_to_be_signed(one)):
            self.drop(self._why_unsigned(one))
            return _UNSIGNED
        if options.require_authenticated and one.unauthenticated:
            self.drop("a message whose encryption others can change")
            return UNDECIPHERABLE
        if one.verdict is not None and one.stale and event.flow[1].decode() not in options.late_bringers:
            self.drop("a signed message of another time")
            return _INCORRECT_DATE
        if one.parcel is not None and not one.answerable:
            return _NO_SENDER
        if one.parcel is not None and one.user not in (None, *options.gateways) and not _is_by(one.user, one):
            self.drop("a message in another's name than that of who logged in (--gateway NAME lets him)")
            return _NOT_HIS_NAME  # its recipient would see nothing but From
        is_inside = one.cpim is not None or one.encrypted or one.verdict is not None
        if is_inside and not takes(list(options.accept), media_type(one.content_type.encode())):
            return _UNSUPPORTED_MEDIA_TYPE
        return None

    def _has_to_be_signed(self, one: Received) -> bool:
        """Is that the policy of `sipmote keys` for who it says it is from? Whoever can't know refuses."""
        if one.parcel is not None or self._guard is None:
            return False
        try:
            return self._guard.has_to_sign(one.sender, one.author)
        except ToolError as error:
            self._screen.warning(str(error))
            return True

    def _why_unsigned(self, one: Received) -> str:
        """Return what is told of a message without a good signature; of many in a second not who each is from."""
        if len(self._dropped) >= _NAMED:
            return "a message without a good signature by who it is from"
        why = "unsigned" if one.verdict is None else one.verdict.reason or "signed by another than From names"
        return f"a message from {one.sender[:_LONGEST_NAMED]} without a good signature by him ({why})"

    def drop(self, reason: str) -> None:
        """Count what led to nothing; said once a second at most."""
        if not self._dropped:
            asyncio.get_running_loop().call_later(_DROPPED_S, self._show_dropped)
        self._dropped[reason] += 1

    def _show_dropped(self) -> None:
        self._screen.dropped(self._dropped)
        self._dropped = Counter()


def _is_by(user: str | None, one: Received) -> bool:
    """Has who logged in by this name written it, by all that its recipient sees of that?"""
    names = [one.sender]
    if media_type(one.content_type.encode()) == imdn.CPIM:
        with contextlib.suppress(ParseError):
            author = parse_cpim(one.body, (imdn.NAMESPACE,)).address(b"From")
            names += [author.decode("utf-8", "replace")] if author else []
    return all(user in logins(name) for name in names)
