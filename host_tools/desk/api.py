"""What the page and programs ask for, and do."""

import asyncio
import csv
import io
import json
import time
from collections.abc import Sequence
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

from aiohttp import web

from sipmote.agent.errors import AgentError
from sipmote.agent.uri import parse_uri
from sipmote.desk import log, views
from sipmote.desk.guard import Guard, failure
from sipmote.desk.live import Live
from sipmote.desk.metrics import metrics
from sipmote.desk.openapi import document
from sipmote.desk.reading import Reading
from sipmote.desk.sessions import COOKIE, Session, TooMany
from sipmote.desk.views import Json, Search
from sipmote.inbox.boards import Boards
from sipmote.inbox.database import Database
from sipmote.inbox.history import Query
from sipmote.inbox.replies import Replies
from sipmote.inbox.table import COLUMNS, cells

_MOST = 500  # messages in an answer
_STREAMS = 200  # browsers that watch at once
_SEARCHES = 8  # that wait for their turn, or have it
_BODY_S = 10.0  # that a request may take to come
_LONGEST_EXPIRES_S = 28 * 86400
_LONGEST_KEY = 100
_TABLE_CHUNK = 500


class Api:
    """The handlers."""

    def __init__(
        self, guard: Guard, reading: Reading, searching: Reading, live: Live, boards: Boards, replies: Replies
    ) -> None:
        """searching: for what may take a while, behind which nothing else has to wait."""
        self._guard = guard
        self._reading = reading
        self._searching = searching
        self._live = live
        self._boards = boards
        self._replies = replies
        self._patience = guard.options.patience
        self._streams = self._searches = 0

    def routes(self) -> Sequence[web.RouteDef]:
        """Return what is answered, and by whom."""
        return [
            web.get("/api/session", self.session),
            web.post("/api/session", self.log_in),
            web.delete("/api/session", self.log_out),
            web.get("/api/boards", self.boards),
            web.get("/api/boards/{aor}", self.board),
            web.get("/api/boards/{aor}/series", self.series),
            web.get("/api/boards/{aor}/log", self.log),
            web.post("/api/boards/{aor}/log", self.add_to_log),
            web.post("/api/boards/{aor}/messages", self.write),
            web.get("/api/messages", self.messages),
            web.get("/api/messages.csv", self.table),
            web.get(r"/api/messages/{id:\d{1,15}}", self.message),
            web.post(r"/api/messages/{id:\d{1,15}}/acknowledgement", self.acknowledge),
            web.post(r"/api/messages/{id:\d{1,15}}/replies", self.reply),
            web.post("/api/acknowledgements", self.acknowledge_all),
            web.get("/api/events", self.events),
            web.get("/api/openapi.json", self.openapi),
            web.get("/metrics", self.metrics),
        ]

    # Who is there

    async def session(self, request: web.Request) -> web.Response:
        return web.json_response(self._session(request, self._guard.session(request)))

    def _session(self, request: web.Request, session: Session | None) -> Json:
        return {
            "user": session and session.user,
            "may_act": session is not None,
            "may_read": session is not None or self._guard.may_read(request),
            "login": self._guard.sessions.ways,
            "csrf": session and session.csrf,
            "guided": self._replies.is_guided,
            "version": version("sipmote"),
        }

    async def log_in(self, request: web.Request) -> web.Response:
        given = await _body(request)
        sessions, user = self._guard.sessions, None if "token" in given else str(given.get("user", ""))
        try:
            if user is None:
                is_known = sessions.by_token(str(given["token"]))
            else:
                is_known = sessions.by_password(user, str(given.get("password", "")), self._guard.source(request))
        except TooMany:
            answer = {"error": "too many wrong passwords: wait a minute", "retry_s": 60}
            return web.json_response(answer, status=429, headers={"Retry-After": "60"})
        if not is_known:
            raise failure(
                web.HTTPUnauthorized, "that isn't the token" if "token" in given else "wrong name or password"
            )
        sessions.end(request.cookies.get(COOKIE))
        cookie, session = sessions.begin(user)
        response = web.json_response(self._session(request, session))
        is_secure = self._guard.options.tls is not None
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="Strict", secure=is_secure, path="/")
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        if self._guard.session(request) is not None:
            self._guard.who_acts(request)
        self._guard.sessions.end(request.cookies.get(COOKIE))
        response = web.json_response(self._session(request, None))
        response.del_cookie(COOKIE, path="/")
        return response

    # What there is

    async def boards(self, request: web.Request) -> web.Response:
        return web.json_response(await self._reading.ask(_all_boards, self._patience))

    async def board(self, request: web.Request) -> web.Response:
        return web.json_response(await self._board(request))

    async def _board(self, request: web.Request) -> Json:
        aor = request.match_info["aor"]
        found = await self._reading.ask(views.boards, self._patience, [aor])
        if not found:
            raise failure(web.HTTPNotFound, f"no board is known by the name {aor[:200]}")
        return {**found[0], "replies": await self._reading.ask(views.replies, aor)}

    async def series(self, request: web.Request) -> web.Response:
        hours = min(max(_number(request, "hours", float) or 24.0, 0.1), 24.0 * 31)
        return web.json_response(await self._reading.ask(views.series, request.match_info["aor"], hours))

    async def log(self, request: web.Request) -> web.Response:
        return web.json_response(await self._reading.ask(views.log, request.match_info["aor"]))

    async def messages(self, request: web.Request) -> web.Response:
        limit = min(max(_number(request, "limit", int) or 50, 1), _MOST)
        search = _search(request)
        if not (search.query.text or search.query.sender):
            return web.json_response(await self._reading.ask(views.find, search, limit))
        if self._searches >= _SEARCHES:
            raise failure(web.HTTPServiceUnavailable, "others search as well: try again in a few seconds")
        self._searches += 1
        try:
            return web.json_response(await self._searching.ask(views.find, search, limit))
        finally:
            self._searches -= 1

    async def message(self, request: web.Request) -> web.Response:
        return web.json_response(await self._message(int(request.match_info["id"])))

    async def _message(self, number: int) -> Json:
        found = await self._reading.ask(views.message, number)
        if found is None:
            raise failure(web.HTTPNotFound, f"there is no message {number}")
        return found

    async def table(self, request: web.Request) -> web.StreamResponse:
        """Answer with comma-separated values (RFC 4180), as long as they are, a bit at a time."""
        search = _search(request)
        response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="messages.csv"'})
        response.content_type, response.charset = "text/csv", "utf-8"
        self._guard.add_headers(response)
        await response.prepare(request)
        await response.write(_lines([COLUMNS]))
        at: int | None = search.before
        while True:
            step = Search(search.query, search.board, search.is_open, at, search.after)
            found = await self._searching.ask(views.find, step, _TABLE_CHUNK)
            await response.write(_lines([cells(line) for line in found["messages"]]))
            if found["next"] is None:
                return response
            if search.after is None:
                at = found["next"]
            else:
                search = Search(search.query, search.board, search.is_open, None, found["next"])

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell of changes until the browser goes."""
        if self._streams >= _STREAMS:
            raise failure(web.HTTPServiceUnavailable, "too many browsers watch: close one")
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type, response.charset = "text/event-stream", "utf-8"
        self._guard.add_headers(response)
        self._streams += 1
        try:
            await response.prepare(request)
            async with aclosing(self._live.watch(request.headers.get("Last-Event-ID", ""))) as told:
                async for text in told:
                    await response.write(text.encode())
        finally:
            self._streams -= 1
        return response

    async def openapi(self, request: web.Request) -> web.Response:
        return web.json_response(document())

    async def metrics(self, request: web.Request) -> web.Response:
        text = await self._reading.ask(metrics, self._patience)
        return web.Response(text=text, content_type="text/plain", charset="utf-8")

    # What people and monitors do

    async def acknowledge(self, request: web.Request) -> web.Response:
        who, given = self._guard.who_acts(request), await _body(request)
        number = int(request.match_info["id"])
        found = await self._message(number)
        if given.get("tell_board"):  # which may not be possible: then nothing is acknowledged
            self._replies.write(found["from"], "ack", who, 3600, number, _key(request))
        else:
            self._boards.acknowledge([number], who)
        self._live.poke()
        return web.json_response(await self._message(number))

    async def acknowledge_all(self, request: web.Request) -> web.Response:
        who, given = self._guard.who_acts(request), await _body(request)
        numbers = given.get("messages")
        if type(numbers) is not list or not 0 < len(numbers) <= _MOST:
            raise failure(web.HTTPBadRequest, f"messages: a list of 1 to {_MOST} ids was expected")
        if not all(type(number) is int and 0 < number < 2**53 for number in numbers):
            raise failure(web.HTTPBadRequest, "messages: ids of messages were expected")
        done = self._boards.acknowledge(numbers, who)
        self._live.poke()
        return web.json_response({"acknowledged": done})

    async def reply(self, request: web.Request) -> web.Response:
        who, given = self._guard.who_acts(request), await _body(request)
        found = await self._message(int(request.match_info["id"]))
        return await self._written(request, found["from"], given, who, found["id"])

    async def write(self, request: web.Request) -> web.Response:
        who, given = self._guard.who_acts(request), await _body(request)
        board = await self._board(request)  # whom nobody has heard gets nothing from here
        await self._replies.find_way(board["aor"])
        return await self._written(request, board["aor"], given, who, None)

    async def add_to_log(self, request: web.Request) -> web.Response:
        self._guard.who_acts(request)
        told = log.records(await _body(request.clone(client_max_size=log.LARGEST)))
        self._boards.logged(_address(request), told)
        self._live.poke()
        return web.json_response(await self._board(request))

    async def _written(
        self, request: web.Request, target: str, given: Json, who: str, message: int | None
    ) -> web.Response:
        expires_s = given.get("expires_s")
        if expires_s is not None and (type(expires_s) is not int or not 0 < expires_s <= _LONGEST_EXPIRES_S):
            raise failure(
                web.HTTPBadRequest, f"expires_s: seconds from 1 to {_LONGEST_EXPIRES_S} were expected, or null"
            )
        text = given.get("text", "")
        if not isinstance(text, str) or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise failure(web.HTTPBadRequest, "text: characters were expected")
        number = self._replies.write(target, text, who, expires_s, message, _key(request))
        self._live.poke()
        [written] = await self._reading.ask(views.some_replies, [number])
        return web.json_response(written, status=201)


def _all_boards(db: Database, patience: views.Patience) -> Json:
    found = views.boards(db, patience)
    counts = {state: sum(board["state"] == state for board in found) for state in ("alive", "late", "gone")}
    return {"now": time.time(), "boards": found, "counts": {**counts, "open": views.count_open(db)}}


def _address(request: web.Request) -> str:
    """Return the address-of-record that a path names; raises HTTPBadRequest for what no board can have."""
    aor = request.match_info["aor"]
    try:
        uri = parse_uri(aor.encode("ascii"))
        is_one = uri.scheme in (b"sip", b"sips") and uri.address_of_record().decode() == aor
    except (AgentError, UnicodeEncodeError):
        is_one = False
    if not is_one or len(aor) > log.LONGEST_AOR:
        raise failure(web.HTTPBadRequest, f"{aor[:200]}: an address-of-record like sip:boiler@192.0.2.7 was expected")
    return aor


def _key(request: web.Request) -> str:
    """Return what tells a request that is repeated from a new one, "" without it; raises HTTPBadRequest."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > _LONGEST_KEY or not key.isprintable():
        raise failure(web.HTTPBadRequest, f"Idempotency-Key: up to {_LONGEST_KEY} characters were expected")
    return key


async def _body(request: web.Request) -> Json:
    """Return the object in a request; only what says that it is JSON, which no form of another page can."""
    if request.content_type != "application/json":
        raise failure(web.HTTPUnsupportedMediaType, "Content-Type: application/json was expected")
    try:
        async with asyncio.timeout(_BODY_S):
            found = json.loads((await request.read()).decode() or "{}")  # whatever charset it names: JSON is in UTF-8
    except (ValueError, RecursionError, web.RequestPayloadError):
        found = None
    except TimeoutError:
        raise failure(web.HTTPRequestTimeout, "the request took too long to come") from None
    if not isinstance(found, dict):
        raise failure(web.HTTPBadRequest, "an object in JSON was expected")
    return found


def _search(request: web.Request) -> Search:
    """Return what a query asks for; raises HTTPBadRequest."""
    of = request.query
    query = Query(
        of.get("text", ""), of.get("from", ""), _number(request, "since", float), _number(request, "until", float)
    )
    is_open = of.get("open", "") not in ("", "0")
    return Search(query, of.get("board", ""), is_open, _number(request, "before", int), _number(request, "after", int))


def _number(request: web.Request, name: str, kind: Any) -> Any:
    """Return a number of the query, None without it; raises HTTPBadRequest for what is none."""
    text = request.query.get(name, "")
    if not text:
        return None
    try:
        value = kind(text)
        if not -1e15 < value < 1e15:
            raise ValueError
    except ValueError:
        raise failure(web.HTTPBadRequest, f"{name}: a number was expected") from None
    return value


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
