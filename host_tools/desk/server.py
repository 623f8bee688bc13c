"""The server of the page: who may ask, what every answer has, and that nobody else's page acts through a browser."""

import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files

from aiohttp import web

from sipmote.desk.live import Live
from sipmote.desk.reading import Reading
from sipmote.desk.sessions import COOKIE, Session, Sessions
from sipmote.desk.views import Patience
from sipmote.errors import ToolError
from sipmote.inbox.boards import Boards
from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.login import Login
from sipmote.inbox.replies import Replies
from sipmote.inbox.store import Store
from sipmote.sip.places import site
from sipmote.sip.reasons import reason_of

_LARGEST = 16384  # octets of a request
STREAMS = 200  # browsers that watch at once
_OPEN_TO_ALL = ("/", "/api/session", "/api/openapi.json")  # and all of /page/: what shows how to log in
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class PageOptions:
    """What a page is to be.

    host, port: where; port 0: any free one. tls: None for plain HTTP. token: opens the page, None for none. users: of
    the file of users, who may log in; () for all. names: hosts, beside the address, by which people ask for it.
    asks_readers: has one to log in to read, too?
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    token: str | None = None
    users: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    asks_readers: bool = False
    patience: Patience = field(default_factory=Patience)


class Page:
    """The page of an inbox. Handlers of what is asked for are in api.py."""

    def __init__(
        self,
        options: PageOptions,
        store: Store,
        boards: Boards,
        replies: Replies,
        login: Login | None,
        warn: Callable[[str], None],
    ) -> None:
        """Listen to nobody yet, within the running loop."""
        self.options = options
        self.boards = boards
        self.replies = replies
        self.reading = Reading(store)
        self.sessions = Sessions(options.token, login, options.users)
        self.live = Live(self.reading, options.patience)
        self.streams = 0
        self._warn = warn
        self._hosts: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def open(self) -> str:
        """Listen; returns the URL. Raises ToolError."""
        from sipmote.desk.api import routes

        options = self.options
        app = web.Application(middlewares=[self._guard], client_max_size=_LARGEST)
        app.add_routes([web.get("/", _file("index.html")), web.get("/page/{name}", _asset), *routes(self)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await self._runner.setup()
        site_ = web.TCPSite(self._runner, options.host, options.port, ssl_context=options.tls)
        try:
            await site_.start()
        except OSError as error:
            where = f"--http {options.host}:{options.port}"
            raise ToolError(f"{where}: can't listen there: {reason_of(error)}; port 0 takes a free one") from error
        port = self._runner.addresses[0][1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        self._hosts = {name.lower() for name in (host, *options.names)}
        if is_loopback(options.host):
            self._hosts |= {"localhost", "127.0.0.1", "[::1]"}
        self.live.start()
        return f"{'https' if options.tls else 'http'}://{host}:{port}/"

    def changed(self) -> None:
        """Something is in the store that wasn't."""
        self.live.poke()

    async def close(self) -> None:
        """Let all browsers go."""
        await self.live.close()
        if self._runner:
            await self._runner.cleanup()
        await self.reading.close()

    # Who may

    def session(self, request: web.Request) -> Session | None:
        """Return who asks, None for somebody."""
        return self.sessions.find(request.cookies.get(COOKIE))

    def who_acts(self, request: web.Request) -> str:
        """Return who does what a request asks for; raises HTTPException for who may not."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.sessions.by_token(token.strip()):
            return "the token"
        session = self.session(request)
        if session is None:
            how = (
                "log in first" if self.sessions.ways else "this page only shows: start it with --http-token or --users"
            )
            raise failure(web.HTTPUnauthorized, how)
        if request.headers.get("X-CSRF-Token") != session.csrf:
            raise failure(web.HTTPForbidden, "the header X-CSRF-Token isn't that of GET /api/session")
        return session.user

    def may_read(self, request: web.Request) -> bool:
        """May who asks see what is here?"""
        if not self.options.asks_readers or self.session(request) is not None:
            return True
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.sessions.by_token(token.strip())

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer, or say why not; whatever happens, with the headers that keep other pages out."""
        try:
            self._check(request)
            answer = await handler(request)
        except web.HTTPException as error:
            answer = error if error.content_type == "application/json" else failure(type(error), error.reason)
        except ToolError as error:
            answer = failure(web.HTTPBadRequest, str(error))
        except StoreError as error:
            answer = failure(web.HTTPServiceUnavailable, f"the store fails: {trouble(error)}")
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self._warn(f"{request.method} {request.path}: {type(error).__name__}: {error}; please report it")
            answer = failure(web.HTTPInternalServerError, "a fault of sipmote; the inbox's terminal says more")
        if not answer.prepared:
            self.add_headers(answer)
        return answer

    def add_headers(self, answer: web.StreamResponse) -> None:
        """Give an answer what keeps other pages out, before it begins."""
        answer.headers.update(_HEADERS)
        if self.options.tls:
            answer.headers["Strict-Transport-Security"] = "max-age=31536000"

    def _check(self, request: web.Request) -> None:
        """Raise HTTPException for who may not ask: a page of elsewhere whose name leads here, or who isn't known."""
        host, colon, port = request.host.rpartition(":")
        name = (host if colon and port.isdigit() else request.host).lower()
        if name not in self._hosts and not _is_address(name):
            raise failure(web.HTTPMisdirectedRequest, f"this is no {name[:100]}: --http-name {name[:100]} allows that")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
            raise failure(web.HTTPForbidden, "a page of another origin can't ask here")
        is_open = request.path in _OPEN_TO_ALL or request.path.startswith("/page/")
        if not is_open and not self.may_read(request):
            raise failure(web.HTTPUnauthorized, "log in first")

    def source(self, request: web.Request) -> str:
        """Return the address that asks."""
        return site(request.remote or "")


def failure(kind: type[web.HTTPException], text: str) -> web.HTTPException:
    """Return an answer that says what was wrong."""
    return kind(text=json.dumps({"error": text}), content_type="application/json")


def is_loopback(host: str) -> bool:
    """Can nobody but this computer reach this address?"""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(name: str) -> bool:
    """Is it an IP address? No page of elsewhere has one for its name that leads here, unless it is ours."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _file(name: str) -> _Handler:
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
