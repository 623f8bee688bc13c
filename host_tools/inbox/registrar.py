"""--registrar: who has registered at a Kamailio lives, whether or not it has anything to tell.

Kamailio's module usrloc keeps bindings in PostgreSQL. Its times are those of its computer's zone, taken for ours.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from sipmote.agent.errors import AgentError
from sipmote.agent.uri import parse_uri
from sipmote.errors import ToolError
from sipmote.inbox.database import StoreError
from sipmote.sip.places import place

_LOOK_S = 10.0  # between two looks
_CONNECT_S = 3
_MOST = 20_000  # bindings
_BINDINGS = """
SELECT username, domain, coalesce(received, ''), contact, last_modified FROM location
    WHERE expires > now() - interval '1 day' ORDER BY last_modified DESC LIMIT %s
"""


class Binding(NamedTuple):
    """aor: a URI. at: Unix seconds when it was renewed. source, transport: where it is."""

    aor: str
    at: float
    source: str
    transport: str


class Registrar:
    """Looks at the bindings now and then, on a thread of its own."""

    def __init__(
        self, url: str, domain: str, note: Callable[[list[Binding]], None], warn: Callable[[str], None]
    ) -> None:
        """url: postgresql://..., of Kamailio's database. domain: of users that it keeps without one.

        note: called with those that are newer than what it was called with before. Raises ToolError for what is no URL.
        """
        from sipmote.inbox.postgresql import settings

        self._settings, self._place = settings(url)
        self._domain = domain
        self._note = note
        self._warn = warn
        self._seen: dict[str, float] = {}
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, within the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                found = await asyncio.to_thread(self._read)
                new = [one for one in found if one.at > self._seen.get(one.aor, 0.0)]
                if new:
                    self._note(new)
                self._seen = {one.aor: one.at for one in reversed(found)}
                trouble = ""
            except StoreError:
                trouble = self._trouble  # which the inbox tells
            except Exception as error:
                trouble = str(error).partition("\n")[0]
            if trouble and trouble != self._trouble:
                self._warn(f"--registrar {self._place}: {trouble}; who has registered is not seen meanwhile")
            self._trouble = trouble
            await asyncio.sleep(_LOOK_S)

    def _read(self) -> list[Binding]:
        import psycopg

        options = {**self._settings, "connect_timeout": _CONNECT_S, "options": "-c statement_timeout=5s"}
        with psycopg.connect(**options) as db:
            rows = db.execute(_BINDINGS, (_MOST,)).fetchall()
        return [one for row in rows if (one := self._binding(*row)) is not None]

    def _binding(self, user: str, domain: str | None, received: str, contact: str, at: Any) -> Binding | None:
        with suppress(AgentError, ValueError):  # what we can't read is nobody we could reach
            uri = parse_uri(os.fsencode(received or contact))
            transport = (uri.param(b"transport") or b"udp").decode().lower()
            source = place(uri.host.decode(), uri.port or 5060)
            return Binding(f"sip:{user}@{domain or self._domain}", at.timestamp(), source, transport)
        return None

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def check(url: str, domain: str) -> None:
    """Raise ToolError for what is no URL of a server, and where nobody says of which domain users are."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ToolError(f"--registrar {url.partition('@')[2] or url}: postgresql://USER@HOST/DATABASE was expected")
    if not domain:
        raise ToolError("--registrar: of which domain are its users? Add --domain")
