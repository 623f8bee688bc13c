"""Who may ask what of the page, and what every answer has, so that nobody else's page acts through a browser."""

import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from sipmote.desk.sessions import COOKIE, THE_TOKEN, Session, Sessions
from sipmote.desk.views import Patience
from sipmote.errors import ToolError
from sipmote.inbox.database import StoreError, trouble
from sipmote.sip.places import is_loopback, site

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
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


class Guard:
    """Lets in who may."""

    def __init__(self, options: PageOptions, sessions: Sessions, warn: Callable[[str], None]) -> None:
        """warn: called with faults of ours."""
        self.options = options
        self.sessions = sessions
        self._warn = warn
        at = f"[{options.host}]" if ":" in options.host else options.host
        self._hosts = {name.lower() for name in (at, *options.names)}
        if is_loopback(options.host):
            self._hosts.add("localhost")

    def session(self, request: web.Request) -> Session | None:
        """Return who asks, None for somebody."""
        return self.sessions.find(request.cookies.get(COOKIE))

    def who_acts(self, request: web.Request) -> str:
        """Return who does what a request asks for; raises HTTPException for who may not."""
        if self._has_token(request):
            return THE_TOKEN
        session = self.session(request)
        if session is None:
            raise self._stranger(request)
        if request.headers.get("X-CSRF-Token") != session.csrf:
            raise failure(web.HTTPForbidden, "the header X-CSRF-Token isn't that of GET /api/session")
        return session.user

    def may_read(self, request: web.Request) -> bool:
        """May who asks see what is here?"""
        return not self.options.asks_readers or self.session(request) is not None or self._has_token(request)

    def _has_token(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.sessions.by_token(token.strip())

    def _stranger(self, request: web.Request) -> web.HTTPException:
        """Return what somebody is told who isn't known: a program's token is that of another desk, or has a slip."""
        if not self.sessions.ways:
            return failure(web.HTTPUnauthorized, "this page only shows: start it with --http-token or --users")
        if "Authorization" not in request.headers:
            return failure(web.HTTPUnauthorized, "log in first")
        wanted = "Bearer and the token of --http-token" if "token" in self.sessions.ways else "nothing: it has no token"
        return failure(web.HTTPUnauthorized, f"the header Authorization is wrong: this desk expects {wanted}")

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, or say why not; whatever happens, with the headers that keep other pages out."""
        answer: web.StreamResponse
        try:
            self._check(request)
            answer = await handler(request)
        except web.HTTPException as error:
            answer = error if error.content_type == "application/json" else _said(error.status, error.reason)
        except ToolError as error:
            answer = _said(400, str(error))
        except StoreError as error:
            answer = _said(503, f"the store fails: {trouble(error)}")
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self._warn(f"{request.method} {request.path}: {type(error).__name__}: {error}; please report it")
            answer = _said(500, "a fault of sipmote; the inbox's terminal says more")
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
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and request.path != "/":
            raise failure(
                web.HTTPForbidden, "a page of another origin can't ask here"
            )  # by what sends no Origin: <img>
        is_open = request.path in _OPEN_TO_ALL or request.path.startswith("/page/")
        if not is_open and not self.may_read(request):
            raise self._stranger(request)

    def source(self, request: web.Request) -> str:
        """Return the address that asks."""
        return site(request.remote or "")


def failure(kind: type[web.HTTPException], text: str) -> web.HTTPException:
    """Return an answer that says what was wrong."""
    return kind(text=json.dumps({"error": text}), content_type="application/json")


def _said(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _is_address(name: str) -> bool:
    """Is it an IP address? No page of elsewhere has one for its name that leads here, unless it is ours."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
