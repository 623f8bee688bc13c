"""The server of the page."""

from collections.abc import Callable
from importlib.resources import files

from aiohttp import web

from sipmote.desk.api import Api
from sipmote.desk.doors import IDLE_S, Doors
from sipmote.desk.guard import Guard, Handler, PageOptions, failure
from sipmote.desk.live import Live
from sipmote.desk.reading import Reading
from sipmote.desk.sessions import Sessions
from sipmote.errors import ToolError
from sipmote.inbox.boards import Boards
from sipmote.inbox.login import Login
from sipmote.inbox.replies import Replies
from sipmote.inbox.store import Store
from sipmote.sip.reasons import reason_of

_LARGEST = 16384  # octets of a request
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


class Page:
    """The page of an inbox."""

    def __init__(
        self,
        options: PageOptions,
        store: Store,
        boards: Boards,
        replies: Replies,
        login: Login | None,
        warn: Callable[[str], None],
    ) -> None:
        """Listen to nobody yet, within the running loop. warn: called with faults of ours."""
        self._options = options
        self._reading = Reading(store)
        self._live = Live(self._reading, options.patience)
        self._guard = Guard(options, Sessions(options.token, login, options.users), warn)
        self._searching = Reading(store)
        self._api = Api(self._guard, self._reading, self._searching, self._live, boards, replies)
        self._runner: web.AppRunner | None = None
        self._doors: Doors | None = None

    async def open(self) -> str:
        """Listen; returns the URL. Raises ToolError."""
        options = self._options
        self._doors = doors = Doors()
        app = web.Application(middlewares=[doors.middleware, self._guard.middleware], client_max_size=_LARGEST)
        app.add_routes([web.get("/", _file("index.html")), web.get("/page/{name}", _asset), *self._api.routes()])
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True, keepalive_timeout=IDLE_S
        )
        await self._runner.setup()
        assert self._runner.server
        try:
            port = await doors.open(self._runner.server, options.host, options.port, options.tls)
        except OSError as error:
            where = f"--http {options.host}:{options.port}"
            raise ToolError(f"{where}: can't listen there: {reason_of(error)}; port 0 takes a free one") from error
        host = f"[{options.host}]" if ":" in options.host else options.host
        self._live.start()
        return f"{'https' if options.tls else 'http'}://{host}:{port}/"

    def changed(self) -> None:
        """Something is in the store that wasn't."""
        self._live.poke()

    async def close(self) -> None:
        """Let all browsers go."""
        await self._live.close()
        if self._doors:
            self._doors.close()
        if self._runner:
            await self._runner.cleanup()
        await self._reading.close()
        await self._searching.close()


def _file(name: str) -> Handler:
    octets = files("sipmote.desk").joinpath("page", name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=octets, content_type=kind, charset="utf-8")

    return answer


async def _asset(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    found = [path.name for path in files("sipmote.desk").joinpath("page").iterdir()]
    if name not in found or name.rpartition(".")[2] not in _TYPES:
        raise failure(web.HTTPNotFound, f"there is no {name[:100]}")
    return await _file(name)(request)
