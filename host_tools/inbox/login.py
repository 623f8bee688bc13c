"""Who may send to an inbox: the file of users, read again when it changes, and who guesses passwords is slowed down."""

import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from sipmote.agent.auth.digest import secret
from sipmote.agent.auth.server import Authenticator
from sipmote.agent.message import Message
from sipmote.errors import ToolError
from sipmote.sip.places import site
from sipmote.users import close_to_others, read_users

_FREE = {2: 5, 1: 20}  # wrong passwords that are looked at without a pause: of one user, of all, from one source
_LONGEST_PAUSE_S = 60.0  # after one more: 1 s, doubled with each
_FORGOTTEN_S = 600.0  # without another wrong one
_MAX_KNOWN = 4096  # sources and users; beyond that the one that was wrong longest ago is forgotten
_UNANSWERED = 5  # challenges in a row before a hint
_LINES_S = 0.05  # between two lines about wrong passwords

_Key = tuple[str, ...]


class Login(Authenticator):
    """An Authenticator on a file of users.

    Credentials from a source that has been wrong too often are refused unread until its pause is over: a guesser gets
    one a minute. Nobody at another address waits for that, nor who has logged in at the same one. Sources are
    addresses, of IPv6 the first 64 bits.
    """

    def __init__(
        self,
        path: str,
        realm: str | None,
        keep: int,
        warn: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
        is_strict: bool = False,
        known: Callable[[Message, tuple[Any, ...]], bytes | None] = lambda message, flow: None,
    ) -> None:
        """realm: None for the only one of the file. warn(text, **more) tells people. clock: gives seconds.

        is_strict: as Authenticator has it.
        known: who has sent a message that came by a flow, where that is certain and nobody has to be asked.

        Raises ToolError for a file that won't do.
        """
        self._path = path
        self._warn = warn
        self._known = known
        self._clock = clock
        self._stamp = _stamp(path)
        realm, users = read_users(path, realm)
        self._tell(close_to_others(path))
        super().__init__(realm.encode(), users, os.urandom, keep=keep)
        self.is_strict = is_strict
        self._wrong: OrderedDict[_Key, tuple[int, float]] = OrderedDict()  # how often in a row, and when last
        self._good: OrderedDict[_Key, None] = OrderedDict()  # who has logged in where
        self._silent: OrderedDict[str, int] = OrderedDict()  # source -> challenges in a row that it didn't answer
        self._next_line_at = 0.0

    def check(self, message: Message, now: int, flow: tuple[Any, ...]) -> tuple[bytes | None, bytes]:
        user = self._known(message, flow)
        if user is not None:
            return user, b""
        self.refresh()
        return super().check(message, now, flow)

    def refresh(self) -> None:
        """Read the file again if it has changed. One that can't be used changes nothing, and that is told."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            _, users = read_users(self._path, self.realm.decode())
            self._tell(close_to_others(self._path))
        except ToolError as error:
            self._warn(f"{error}; the users of before stay")
            return
        self._stamp = _stamp(self._path)  # with the mode that it has now
        self.set_users(users)
        self._warn(f"{self._path} has changed: {len(users)} users of {self.realm.decode()} are known now")

    def may_try(self, user: bytes, flow: tuple[Any, ...]) -> bool:
        now = self._clock()
        keys = _keys(user, flow)
        for key in keys[1:] if keys[1] in self._good else keys:
            count, last = self._wrong.get(key, (0, now))
            over = count - _FREE[len(key)]
            if over >= 0 and now - last < min(2.0 ** min(over, 10), _LONGEST_PAUSE_S):
                return False
        return True

    def tried(self, user: bytes, flow: tuple[Any, ...], is_good: bool) -> None:
        keys = _keys(user, flow)
        self._silent.pop(keys[0][0], None)
        if is_good:
            self._wrong.pop(keys[1], None)  # not the source's own: one good password would buy as many guesses
            self._good[keys[1]] = None
            self._good.move_to_end(keys[1])
            _limit(self._good)
            return
        now = self._clock()
        for key in keys:
            count, last = self._wrong.pop(key, (0, now))
            self._wrong[key] = (count + 1 if now - last < _FORGOTTEN_S else 1, now)
        _limit(self._wrong)
        if now >= self._next_line_at:
            self._next_line_at = now + _LINES_S
            source, name = flow[1].decode(), user.decode(errors="backslashreplace")
            self._warn(f"wrong password from {source} for user {name!r}", source=source, user=name)

    def secrets(self, user: str) -> Mapping[bytes, bytes]:
        """Return what is known of a user's password, as the file has it now: algorithm -> secret; nothing for none."""
        self.refresh()
        return self._users.get(user.encode("utf-8", "replace"), {})

    def is_password(self, user: str, password: str, source: str) -> bool | None:
        """Is this a user's password? None for who has guessed too often and has to wait. source: an IP address."""
        secrets = self.secrets(user)
        name, flow = user.encode("utf-8", "replace"), (b"HTTP", source.encode(), 0)
        if not self.may_try(name, flow):
            return None
        is_it = False
        for algorithm, known in secrets.items():
            given = secret(algorithm, name, self.realm, password.encode("utf-8", "replace"))
            is_it |= hmac.compare_digest(given, known)
        self.tried(name, flow, is_it)
        return is_it

    def unanswered(self, flow: tuple[Any, ...]) -> None:
        source = _keys(b"", flow)[0][0]
        count = self._silent.pop(source, 0) + 1
        self._silent[source] = count
        _limit(self._silent)
        if count == _UNANSWERED:
            self._warn(
                f"{source} was asked for a password {count} times and never gave one: a client that reads the first "
                "challenge only needs sipmote passwd --md5-only",
                source=source,
            )

    def _tell(self, done: str) -> None:
        if done:
            self._warn(done)


def _keys(user: bytes, flow: tuple[Any, ...]) -> tuple[_Key, _Key]:
    """Return whom wrong passwords are counted for: the source, and the user there."""
    source = site(flow[1].decode())
    return (source,), (source, user.decode(errors="backslashreplace"))


def _limit(known: OrderedDict[Any, Any]) -> None:
    while len(known) > _MAX_KNOWN:
        known.popitem(last=False)


def _stamp(path: str) -> tuple[int, ...]:
    """Return what changes with a file; nothing for one that isn't there."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
