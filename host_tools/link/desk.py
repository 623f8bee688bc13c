"""What boards log, posted to the desk of an inbox by a thread: a desk that is away holds nobody up.

A record is posted until the desk has taken it, so it may be there twice. What waits is bounded: the oldest go first.
What was not posted when this program ends is not at the desk.
"""

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from sipmote.agent.errors import AgentError
from sipmote.agent.uri import parse_uri
from sipmote.desk.log import LARGEST, LONGEST_EVENT, LONGEST_FIELDS, MOST
from sipmote.errors import ToolError
from sipmote.link.board_events import Event
from sipmote.sip.places import is_loopback
from sipmote.sip.reasons import reason_of

_MOST_WAITING = 1000  # records
_EVERY_S = 1.0  # between two requests
_LONGEST_PAUSE_S = 60.0  # between two attempts at a desk that is away
_PATIENCE_S = 10.0  # of a request
_CLOSING_S = 3.0  # for what waits at the end
_TELL_S = 60.0  # between two lines on records that were too many
_FRAME = LARGEST - 64  # octets of a request that records have
_SHOWN = 1500  # characters of fields that are too long
_REFUSED = {  # what answers mean that will be the same next time, and what a person can do
    401: "name the file of its --http-token with --desk-token",
    403: "name the file of its --http-token with --desk-token",
    404: "is it the page of an inbox, and as new as this sipmote?",
    405: "is it the page of an inbox, and as new as this sipmote?",
    421: "ask for it by a name that it knows",
}
_Waiting = tuple[str, bytes]  # address-of-record of a board, a record as JSON


class Desk:
    """The API of one desk."""

    def __init__(self, url: str, token: str, aor: str | None = None, ca: str | None = None) -> None:
        """url: http://HOST:PORT, as an inbox says it. aor: of a board that has not said its own. ca: a file of PEM.

        Raises ToolError for a URL that won't do, an aor that is none, and a file that can't be read.
        """
        self._tls = _checked(url, ca)
        self._url = url.partition("#")[0].rstrip("/")  # as a browser shows it, too
        self._place = urlsplit(self._url)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._aor = None if aor is None else address(aor)
        if aor is not None and self._aor is None:
            raise ToolError(f"--aor {aor}: an address-of-record such as sip:boiler@192.0.2.7 was expected")
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._under_way: list[_Waiting] = []
        self._lost = 0  # records
        self._told_at = -_TELL_S  # when it was said that some are
        self._news: list[str] = []
        self._nameless: set[str] = set()  # ports
        self._refusal = ""  # the last one
        self._is_away = self._is_over = self._is_closing = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, event: Event, aor: str | None, port: str, unix: float) -> None:
        """Take what a board at a port has said, of which log records are for the desk; never waits.

        aor: of the board as it has said it, None if it hasn't. unix: when it was heard.
        """
        if event["event"] != "log" or self._is_over:
            return
        name = (aor and address(aor)) or self._aor
        with self._changed:
            if name is not None:
                self._waiting.append((name, _record(event, unix)))
                self._drop()
                self._changed.notify_all()
            elif port not in self._nameless:
                self._nameless.add(port)
                self._news.append(
                    f"{port}: the desk doesn't get the log of a board that hasn't said who it is: it does when it "
                    "restarts (--reset); --aor URI says it for a single board"
                )

    def news(self) -> list[str]:
        """Return what a person should know, each once."""
        with self._changed:
            found, self._news = self._news, []
        return found

    def close(self) -> None:
        """Post what waits, if the desk takes it soon."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSING_S)
        with self._changed:
            left = len(self._waiting) + len(self._under_way) + self._lost
            if left and not self._is_over:
                self._news.append(f"{left} log records have not reached the desk")

    # The thread

    def _work(self) -> None:
        failures = 0
        while self._take(min(_EVERY_S * 2**failures, _LONGEST_PAUSE_S)):
            status, said = self._post(self._under_way)
            with self._changed:
                is_away = status in (0, 408, 429) or status >= 500
                if is_away:
                    failures = min(failures + 1, 10)
                    self._put_back(said)
                else:
                    failures = 0
                    self._answered(status, said)
                self._under_way = []
                if self._is_over or (is_away and self._is_closing):
                    return

    def _take(self, pause_s: float) -> bool:
        """Take what is to be posted next, after a pause; False when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, pause_s)
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            rest: deque[_Waiting] = deque()
            octets = 0
            for one in self._waiting:
                is_next = one[0] == self._waiting[0][0]
                octets += is_next * (len(one[1]) + 1)
                fits = is_next and len(self._under_way) < MOST and octets <= _FRAME
                (self._under_way if fits else rest).append(one)
            self._waiting = rest
            return bool(self._under_way)

    def _post(self, batch: Sequence[_Waiting]) -> tuple[int, str]:
        """Return the status of the answer, 0 without one, and what is wrong."""
        assert self._place.hostname
        line = HTTPConnection(self._place.hostname, self._place.port, timeout=_PATIENCE_S)
        if self._tls is not None:
            line = HTTPSConnection(self._place.hostname, self._place.port, timeout=_PATIENCE_S, context=self._tls)
        path = f"{self._place.path}/api/boards/{quote(batch[0][0], safe='')}/log"
        body = b'{"records":[' + b",".join(octets for _, octets in batch) + b"]}"
        try:
            line.request("POST", path, body, self._headers)
            answer = line.getresponse()
            return answer.status, _error(answer.read(LARGEST)) or f"it answers {answer.status} {answer.reason}"
        except ssl.SSLCertVerificationError as error:
            return 0, f"{error.verify_message}: --tls-ca FILE names the CA that signed its certificate"
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a host that no name server could know
            return 0, reason_of(error) or type(error).__name__
        finally:
            line.close()

    def _put_back(self, why: str) -> None:
        """Keep for later what could not be posted."""
        self._waiting.extendleft(reversed(self._under_way))
        self._drop()
        if not self._is_away:
            self._is_away = True
            self._news.append(
                f"the desk {self._url} is away: {why}; the newest {_MOST_WAITING} log records wait for it"
            )

    def _answered(self, status: int, said: str) -> None:
        """Note what the desk made of what was posted."""
        lost = f"{self._lost} log records were too many to wait for it, and are not there"
        if 200 <= status < 300 and self._is_away:
            self._news.append(f"the desk {self._url} is there again" + (f"; {lost}" if self._lost else ""))
            self._is_away, self._lost = False, 0
        elif 200 <= status < 300 and self._lost and time.monotonic() >= self._told_at + _TELL_S:
            self._news.append(f"the desk {self._url}: {lost}")
            self._told_at, self._lost = time.monotonic(), 0
        elif status in _REFUSED or 300 <= status < 400:
            self._is_over = True
            self._waiting.clear()
            remedy = _REFUSED.get(status, "name the desk itself")
            self._news.append(f"the desk {self._url} gets no log any more: {said}; {remedy}")
        elif status >= 400 and said != self._refusal:
            self._refusal = said
            self._news.append(f"the desk {self._url} refuses log records: {said}")

    def _drop(self) -> None:
        """Forget the oldest of what is too much."""
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self._lost += 1


def _checked(url: str, ca: str | None) -> ssl.SSLContext | None:
    """Return what a URL takes to be connected, None for plain HTTP. Raises ToolError."""
    try:
        place = urlsplit(url)
        is_one = place.scheme in ("http", "https") and place.hostname and place.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ToolError(f"--desk {url}: http://HOST:PORT was expected, as sipmote inbox --http HOST:PORT has it")
    if place.scheme == "http" and not is_loopback(place.hostname or ""):
        raise ToolError(f"--desk {url}: the token would go there in clear: take https://, or a tunnel to 127.0.0.1")
    if place.scheme == "http":
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ToolError(
            f"--tls-ca {ca}: {error.strerror or error}; a file with certificates in PEM is needed"
        ) from None


@lru_cache(256)
def address(text: str) -> str | None:
    """Return the address-of-record that a text is, without what else a URI may have; None for what is none."""
    try:
        uri = parse_uri(text.encode("ascii"))
    except (AgentError, UnicodeEncodeError):
        return None
    return uri.address_of_record().decode() if uri.scheme in (b"sip", b"sips") else None


def _record(event: Event, unix: float) -> bytes:
    """Return a log record as the desk takes it: what is too long is cut."""
    fields = event["fields"]
    if len(text := json.dumps(fields)) > LONGEST_FIELDS:
        fields = {"cut": text[:_SHOWN]}
    name = event["name"] if event["name"].isprintable() else event["name"].encode("unicode_escape").decode()
    record = {"at": unix, "level": event["level"], "event": name[:LONGEST_EVENT] or "?", "fields": fields}
    return json.dumps(record).encode()


def _error(octets: bytes) -> str:
    """Return what an answer says is wrong, "" for one that doesn't say it."""
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return ""
    said = found.get("error") if isinstance(found, dict) else None
    return said[:200] if isinstance(said, str) else ""
