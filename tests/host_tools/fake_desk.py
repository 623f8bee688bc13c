"""A desk for the tests of its page: the API as the page knows it, with boards and messages that a test makes up."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import ValidationError

from tests.host_tools import described
from tests.vm import ROOT

Thing = dict[str, Any]
PAGE = ROOT / "host_tools" / "desk" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
UNPROVEN = {"level": "none", "by": None}


def board(aor: str, heard_s: float = 20, **more: Any) -> Thing:
    """Return a Board that was heard so many seconds ago; more: what is otherwise."""
    heard = time.time() - heard_s
    every = more.get("every", 300)
    late, gone = (2 * every + 30, 10 * every + 30) if every else (900, 86400)
    made = {
        "aor": aor,
        "state": "alive",
        "heard": heard,
        "heard_by": "heartbeat",
        "every": every,
        "late_at": heard + late,
        "gone_at": heard + gone,
        "proof": UNPROVEN,
        "source": "192.0.2.9:5060",
        "transport": "udp",
        "free": 43210,
        "rssi": -61,
        "clock": "ntp",
        "uptime": 98000,
        "waiting": 0,
        "messages": 0,
        "open": 0,
        "last": None,
    }
    return {**made, **more}


def message(number: int, sender: str, body: str | None, ago_s: float = 60, **more: Any) -> Thing:
    """Return a Message that came so many seconds ago; more: what is otherwise."""
    at = time.time() - ago_s
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    made = {
        "id": number,
        "from": sender,
        "to": "sip:desk@example.org",
        "call_id": f"{number}@192.0.2.9",
        "content_type": "text/plain",
        "body": body,
        "transport": "udp",
        "source": "192.0.2.9:5060",
        "user": None,
        "date": text,
        "received": text,
        "expired": False,
        "stale": False,
        "duplicate": False,
        "received_at": at,
        "valid_until": None,
        "proof": UNPROVEN,
        "marks": [],
        "acknowledged": None,
        "escalated": [],
        "replies": [],
    }
    return {"open": not more.get("acknowledged"), "answers": None, **made, **more}


class FakeDesk:
    """The server, in a thread of its own; what it knows is changed by the test, in that thread, with tell()."""

    def __init__(self) -> None:
        """Start it at a free port. session: what GET /api/session returns."""
        self.boards: dict[str, Thing] = {}
        self.messages: dict[int, Thing] = {}
        self.records: list[Thing] = []  # of all boards' logs, the newest first
        self.session: Thing = {
            "user": "anna",
            "may_act": True,
            "may_read": True,
            "login": ["password", "token"],
            "csrf": "c5rf",
            "guided": False,
            "version": "0.1.0",
        }
        self.events: list[tuple[str, Thing]] = []
        self.posted: list[tuple[str, Thing]] = []
        self.written: dict[str, Thing] = {}  # by Idempotency-Key
        self.faults: list[str] = []  # of ours: what the real one doesn't answer
        self.refuse: tuple[int, Thing] | None = None  # the answer to the next action
        self.delay_s = 0.0
        self.searched = True  # is a search complete?
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._start())

    def _run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def _start(self) -> None:
        self._changed = asyncio.Event()
        app = web.Application(middlewares=[self._guard])
        routes = app.router
        routes.add_get("/", self._file)
        routes.add_get("/page/{name}", self._file)
        routes.add_get("/api/session", self._who)
        routes.add_post("/api/session", self._login)
        routes.add_delete("/api/session", self._logout)
        routes.add_get("/api/boards", self._boards)
        routes.add_get("/api/boards/{aor}", self._board)
        routes.add_get("/api/boards/{aor}/series", self._series)
        routes.add_get("/api/boards/{aor}/log", self._log)
        routes.add_post("/api/boards/{aor}/messages", self._write)
        routes.add_get("/api/messages", self._messages)
        routes.add_get("/api/messages/{id}", self._message)
        routes.add_post("/api/messages/{id}/acknowledgement", self._acknowledge)
        routes.add_post("/api/acknowledgements", self._acknowledge_all)
        routes.add_post("/api/messages/{id}/replies", self._write)
        routes.add_get("/api/events", self._events)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def stop(self) -> None:
        """Go away as a killed process does."""
        self._run(self._runner.cleanup())

    def again(self) -> None:
        """Come back at the same port, with what was known."""
        self._run(self._start())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        assert not self.faults, self.faults[0]

    def knows(self, *things: Thing) -> None:
        """Have boards and messages known without an event."""
        for thing in things:
            if "aor" in thing:
                self.boards[thing["aor"]] = thing
            else:
                self.messages[thing["id"]] = thing

    def tell(self, kind: str, thing: Thing) -> None:
        """Send an event, and know what is in it."""
        self._run(self._tell(kind, thing))

    @property
    def open(self) -> int:
        return sum(board["open"] for board in self.boards.values())

    async def _tell(self, kind: str, thing: Thing) -> None:
        if kind in ("message", "board"):
            self.knows(thing)
        if kind == "forgotten":
            for aor in thing["boards"]:
                del self.boards[aor]
        self._check(described.check_event, kind, thing)
        self.events.append((kind, json.loads(json.dumps(thing))))
        if kind == "board":
            self.events.append(("counts", {"open": self.open}))
        self._changed.set()
        self._changed = asyncio.Event()

    def _check(self, how: Callable[..., None], *what: Any) -> None:
        """Note what of ours isn't as described."""
        try:
            how(*what)
        except (ValidationError, KeyError) as error:
            self.faults.append(f"{what[:2]}: {error}")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "POST" and request.path != "/api/session":
            self.posted.append((request.path, await request.json()))
            await asyncio.sleep(self.delay_s)
            if self.refuse:
                (status, told), self.refuse = self.refuse, None
                return web.json_response(told, status=status)
            if request.headers.get("X-CSRF-Token") != self.session["csrf"]:
                return web.json_response({"error": "no token of this session"}, status=403)
        answer: web.StreamResponse = await handler(request)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = POLICY
        if isinstance(answer, web.Response) and answer.content_type == "application/json":
            self._check(described.check, request.method, request.path, answer.status, json.loads(answer.text or ""))
        return answer

    async def _file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(Path(PAGE, request.match_info.get("name", "index.html")))

    async def _who(self, request: web.Request) -> web.Response:
        return _answer(self.session)

    async def _board(self, request: web.Request) -> web.Response:
        found = self.boards.get(request.match_info["aor"])
        replies = [thing for kind, thing in self.events if kind == "reply" and thing["message"] is None]
        return _answer(found and {**found, "replies": replies})

    async def _message(self, request: web.Request) -> web.Response:
        return _answer(self.messages.get(int(request.match_info["id"])))

    async def _login(self, request: web.Request) -> web.Response:
        if self.refuse:
            (status, told), self.refuse = self.refuse, None
            return web.json_response(told, status=status)
        given = await request.json()
        self.session.update(user=given.get("user", "token"), may_act=True, may_read=True)
        return web.json_response(self.session)

    async def _logout(self, request: web.Request) -> web.Response:
        self.session.update(user=None, may_act=False)
        return web.json_response(self.session)

    async def _boards(self, request: web.Request) -> web.Response:
        boards = list(self.boards.values())
        counts = {state: sum(board["state"] == state for board in boards) for state in ("alive", "late", "gone")}
        return web.json_response({"now": time.time(), "boards": boards, "counts": {**counts, "open": self.open}})

    async def _series(self, request: web.Request) -> web.Response:
        now = time.time()
        since = now - 3600 * float(request.query["hours"])
        times = [since + n * (now - since) / 96 for n in range(97)]
        quiet = request.match_info["aor"].startswith("sip:quiet")
        told: Thing = {
            "free": [[at, 43000 + (n * 977) % 3000 - n * 20] for n, at in enumerate(times) if not 40 < n < 50],
            "rssi": [[at, -60 - (n * 7) % 9] for n, at in enumerate(times)],
            "delivery": [[at, 0.04 + (n * 37 % 11) / 100] for n, at in enumerate(times) if n % 3 == 0],
            "alerts": [[at, n * 5 % 4] for n, at in enumerate(times)],
        }
        told = {key: [] for key in told} if quiet else told
        return web.json_response({"since": since, "until": now, "step": (now - since) / 96, **told})

    async def _log(self, request: web.Request) -> web.Response:
        return web.json_response({"records": self.records})

    async def _messages(self, request: web.Request) -> web.Response:
        asked = request.query
        found = sorted(self.messages.values(), key=lambda one: -one["id"])
        found = [one for one in found if asked.get("board") in (None, one["from"])]
        found = [one for one in found if "open" not in asked or one["open"]]
        found = [one for one in found if one["id"] < int(asked.get("before", 10**9))]
        text = asked.get("text", "").lower()
        found = [one for one in found if text in (one["body"] or "").lower()]
        page = found[: int(asked.get("limit", 50))]
        more = page[-1]["id"] if len(page) < len(found) else None
        told = {"messages": page, "next": more, "complete": True}
        if not self.searched:
            told.update(next=1 if "before" not in asked else None, complete="before" in asked)
        return web.json_response(told)

    async def _acknowledge(self, request: web.Request) -> web.Response:
        one = self.messages[int(request.match_info["id"])]
        await self._seen_to(one)
        return web.json_response(one)

    async def _acknowledge_all(self, request: web.Request) -> web.Response:
        numbers = [number for number in (await request.json())["messages"] if self.messages[number]["open"]]
        for number in numbers:
            await self._seen_to(self.messages[number])
        return web.json_response({"acknowledged": numbers})

    async def _seen_to(self, one: dict[str, Any]) -> None:
        one["open"] = False
        one["acknowledged"] = {"by": self.session["user"], "at": time.time()}
        await self._tell("acknowledgement", {"message": one["id"], **one["acknowledged"]})

    async def _write(self, request: web.Request) -> web.Response:
        given = await request.json()
        key = request.headers["Idempotency-Key"]
        if key in self.written:
            return web.json_response(self.written[key], status=201)
        number = request.match_info.get("id")
        to = self.messages[int(number)]["from"] if number else request.match_info["aor"]
        made = reply(len(self.posted), to, given["text"], int(number) if number else None)
        made["expires_at"] = int(made["at"]) + given["expires_s"]
        if number:
            self.messages[int(number)]["replies"].append(made)
        self.written[key] = made
        await self._tell("reply", made)
        return web.json_response(made, status=201)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Content-Security-Policy": POLICY})
        await answer.prepare(request)
        last = request.headers.get("Last-Event-ID")
        place = len(self.events) if last is None else int(last)
        await answer.write(b"retry: 100\n\n")
        try:
            while True:
                changed = self._changed
                for kind, thing in self.events[place:]:
                    place += 1
                    await answer.write(f"id: {place}\nevent: {kind}\ndata: {json.dumps(thing)}\n\n".encode())
                await changed.wait()
        except ConnectionError:
            return answer


def reply(number: int, to: str, text: str, of: int | None, **more: Any) -> Thing:
    """Return a Reply that waits; more: what is otherwise."""
    made = {
        "id": number,
        "kind": "reply",
        "message": of,
        "to": to,
        "text": text,
        "by": "anna",
        "at": time.time(),
        "expires_at": int(time.time()) + 3600,
        "state": "waiting",
        "status": None,
        "reason": "",
        "ended_at": None,
        "answered": None,
        "tries": 0,
        "next_at": None,
    }
    return {**made, **more}


def _answer(thing: Thing | None) -> web.Response:
    return web.json_response(thing) if thing else web.json_response({"error": "there is none"}, status=404)
