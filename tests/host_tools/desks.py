"""An inbox with a page, and somebody who asks it as programs do."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.host_tools import described
from tests.host_tools.peers import PATIENCE, RunningInbox

TOKEN = "0123456789abcdef0123"
BEAT = b"application/vnd.sipmote.heartbeat"


class Desk:
    """The API of a page."""

    def __init__(self, running: RunningInbox, url: str) -> None:
        self.running = running
        self.url = url
        found = urlsplit(url)
        self.host, self.port = found.hostname or "", found.port or 0

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Return status, the body (decoded if it is JSON) and headers."""
        line = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            kind = {} if data is None else {"Content-Type": "application/json"}
            line.request(method, path, data, {**kind, **{k.replace("_", "-"): v for k, v in headers.items()}})
            answer = line.getresponse()
            octets = answer.read()
            is_json = (answer.headers.get_content_type() == "application/json") and octets
            found = json.loads(octets) if is_json else octets.decode()
            if is_json:
                described.check(method, path, answer.status, found)
            return answer.status, found, dict(answer.headers)
        finally:
            line.close()

    def get(self, path: str) -> Any:
        status, found, _ = self.ask("GET", path)
        assert status == 200, (path, status, found)
        return found

    def act(self, path: str, body: Any) -> Any:
        """Do something with the token."""
        status, found, _ = self.ask("POST", path, body, Authorization=f"Bearer {TOKEN}")
        assert status in (200, 201), (path, status, found)
        return found

    def board(self, aor: str) -> Any:
        return self.get(f"/api/boards/{quote(aor, safe='')}")

    def until(self, path: str, holds: Callable[[Any], Any]) -> Any:
        """Ask again until the answer is as it should be."""
        ends = time.monotonic() + PATIENCE
        while True:
            found = self.get(path)
            if holds(found):
                return found
            assert time.monotonic() < ends, found
            time.sleep(0.02)

    @contextlib.contextmanager
    def events(self, last_id: str = "") -> Iterator[Callable[[], dict[str, Any]]]:
        """Watch; what is given returns the next event: {"id", "event", "data"}."""
        line = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        line.request("GET", "/api/events", headers={"Last-Event-ID": last_id} if last_id else {})
        answer = line.getresponse()
        assert answer.status == 200 and answer.headers.get_content_type() == "text/event-stream"
        assert answer.readline().startswith(b"retry: ")

        def following() -> dict[str, Any]:
            fields: dict[str, Any] = {}
            while True:
                text = answer.readline().decode().rstrip("\n")
                name, colon, value = text.partition(": ")
                if not text and "event" in fields:
                    described.check_event(fields["event"], fields["data"])
                    return fields
                if colon and name:
                    fields[name] = json.loads(value) if name == "data" else value

        try:
            yield following
        finally:
            line.close()
            answer.close()


@contextlib.contextmanager
def desk(folder: Path, *options: str, db: str = "", **more: Any) -> Iterator[Desk]:
    """Run an inbox with a page that a token opens."""
    token = folder / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    arguments = ("--http", "127.0.0.1:0", "--http-token", str(token), *options)
    running = RunningInbox(*arguments, db=db or str(folder / "inbox.db"), **more)
    try:
        yield Desk(running, running.event("page")["url"])
    finally:
        running.end()
