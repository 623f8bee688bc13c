"""--webhook: each message is posted to a URL as JSON, until it is taken there.

At least once: "again" is true where it may have been taken before. Whoever has the secret can tell that it comes from
us: X-Sipmote-Signature is HMAC-SHA256 of the body, in hexadecimal.
"""

import asyncio
import hashlib
import hmac
import json
import time
from urllib.parse import urlsplit

from sipmote.errors import ToolError
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.inbox.workers import Later, Workers

_ATTEMPT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 600.0
_PATIENCE_S = 3 * 86400  # after which a message that nobody takes is given up
_FOR_GOOD = (400, 404, 405, 410, 413, 415, 422)  # who answers so won't take it later


class Webhook(Workers):
    """Posts messages to one URL."""

    def __init__(self, url: str, secret: bytes | None, store: Store, screen: Screen) -> None:
        """Post nothing yet, within the running loop. Raises ToolError for what is no URL, and without aiohttp."""
        try:
            from aiohttp import ClientSession, ClientTimeout
        except ImportError:
            raise ToolError("--webhook needs aiohttp: pip install 'sipmote[desk]'") from None
        found = urlsplit(url)
        if found.scheme not in ("http", "https") or not found.hostname:
            raise ToolError(f"--webhook {url}: http://HOST/... or https://HOST/... was expected")
        super().__init__(store, url, screen, f"--webhook {found.scheme}://{found.hostname}")  # no password of its query
        self._url = url
        self._secret = secret
        self._session = ClientSession(timeout=ClientTimeout(total=_ATTEMPT_S), auto_decompress=False)

    async def _do(self, one: Received, tries: int) -> str:
        from aiohttp import ClientError

        body = json.dumps({**one.line(), "id": one.id, "again": one.again}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "sipmote"}
        if self._secret is not None:
            headers["X-Sipmote-Signature"] = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                status, problem = answer.status, f"answered {answer.status}"
        except (TimeoutError, ClientError, OSError) as error:
            status, problem = 0, str(error) or f"no answer in {_ATTEMPT_S:.0f} s"
        if 200 <= status < 300:
            return ""
        if status in _FOR_GOOD or time.time() - one.received > _PATIENCE_S:
            return f"{problem}: given up"
        raise Later(problem, min(_FIRST_PAUSE_S * 2 ** min(tries, 10), _LONGEST_PAUSE_S))

    async def close(self) -> None:
        await super().close()
        await self._session.close()
        await asyncio.sleep(0)
