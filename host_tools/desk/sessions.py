"""Who is at the page: a session after a password or the token, and what it takes to act."""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sipmote.errors import ToolError
from sipmote.inbox.login import Login

COOKIE = "sipmote"
THE_TOKEN = "the token"  # who it was, where nobody said his name
_LASTS_S = 12 * 3600.0
_MOST = 1000
_SHORTEST_TOKEN = 16  # characters


class TooMany(Exception):
    """Who guesses has to wait."""


@dataclass(frozen=True)
class Session:
    """user: who it is. csrf: what its actions have to show, so that no other page can act in its name.

    secrets: of the user when he logged in, None with the token.
    """

    user: str
    csrf: str
    ends_at: float
    secrets: Mapping[bytes, bytes] | None


class Sessions:
    """Knows who has logged in."""

    def __init__(self, token: str | None, login: Login | None, users: tuple[str, ...] = ()) -> None:
        """token: what opens the page, None for nothing. login: whose users may, None for nobody's. users: of those."""
        self._token = token
        self._login = login
        self._users = users
        self._known: OrderedDict[str, Session] = OrderedDict()

    @property
    def ways(self) -> list[str]:
        """How somebody can log in."""
        return [way for way, given in (("password", self._login), ("token", self._token)) if given is not None]

    def find(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie, None without one. It ends with the password that began it."""
        found = self._known.get(cookie or "")
        if found is None or found.ends_at < time.time():
            return None
        if found.secrets is not None and (self._login is None or found.secrets != self._login.secrets(found.user)):
            return None
        return found

    def by_token(self, token: str) -> bool:
        """Is this the token? It is too long to be guessed, however often somebody tries."""
        given = token.encode("utf-8", "surrogatepass")
        return self._token is not None and hmac.compare_digest(given, self._token.encode())

    def by_password(self, user: str, password: str, source: str) -> bool:
        """Is this the password of somebody who may act? Raises TooMany."""
        found = self._login.is_password(user, password, source) if self._login else False
        if found is None:
            raise TooMany
        return found and (not self._users or user in self._users)

    def begin(self, user: str | None) -> tuple[str, Session]:
        """Return the cookie of a new session, and the session. user: None for who has the token."""
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        known = None if user is None or self._login is None else self._login.secrets(user)
        self._known[cookie] = session = Session(user or THE_TOKEN, csrf, time.time() + _LASTS_S, known)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return cookie, session

    def end(self, cookie: str | None) -> None:
        """Forget a session."""
        self._known.pop(cookie or "", None)


def read_token(path: str, option: str = "--http-token") -> str:
    """Return the token that a file has in its first line; raises ToolError, which names the option."""
    try:
        token = Path(path).read_text().split("\n")[0].strip()
        mode = Path(path).stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{option} {path}: {getattr(error, 'strerror', 'no text')}; put a token in it") from None
    if len(token) < _SHORTEST_TOKEN or not token.isascii():
        raise ToolError(f"{option} {path}: {_SHORTEST_TOKEN} characters at least: openssl rand -hex 16 > {path}")
    if mode & 0o077:
        raise ToolError(f"{option} {path} can be read by others: chmod go= {path}")
    return token
