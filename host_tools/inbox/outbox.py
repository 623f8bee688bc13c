"""Where our own new requests go, and who they are from: the same for lines that are typed and for notifications."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.headers.values import parse_address
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.people import account, user_name
from sipmote.sip.places import Flow
from sipmote.sip.shell import Shell
from sipmote.smime.guard import Guard

# What an automatic request takes, for each octet of the message that asked for it, while nothing shows that its end is
# there. It makes three with the response.
_RATION = 2


@dataclass(frozen=True)
class Way:
    """flow: where a request goes, None for where its URI or our proxy leads. sender: URI of its From.

    ration: octets that may leave for it unless a person sends it, None for any number.
    """

    flow: Flow | None
    sender: bytes
    ration: int | None


class Outbox:
    """Knows who we are.

    A provisioned address-of-record is it, whatever others call us (RFC 3261 section 8.1.1.3). Without one we are every
    user at our own host and domains, as messages for all of them come here: then who wrote to one of them is answered
    by that one, and others hear from who is at this computer. Nobody can make us a user of another host. Who logs in
    at a server is its user for all.
    """

    def __init__(
        self,
        shell: Shell,
        aor: bytes | None,
        domains: Sequence[bytes],
        proxy: bytes | None,
        login: bytes | None,
        guard: Guard | None,
    ) -> None:
        """aor: ours, None where nobody has said it. domains: lower case. proxy: a URI. login: a name, as in --user.

        guard: protects what leaves, None where there are no keys.
        """
        self._shell = shell
        self._aor = aor
        self._domains = domains
        self._proxy = proxy
        self._login = login
        self._guard = guard

    async def way(
        self, target: bytes, event: MessageReceived | None = None, flow: Flow | None = None, to: bytes = b""
    ) -> Way:
        """Return the way of a new request. event: the message that it answers, None for one that answers nothing.

        flow, to: by which its receiver has written, and to which URI, where that message itself is gone.

        Raises OSError where there is none, AgentError for a target that is no URI or needs a proxy.
        """
        if event is not None:
            flow = event.flow
        if flow is not None:
            flow = await self._shell.way_back(target if event is None else event.sender, flow)
        host = await self._shell.reach_first(target, flow)
        ration = None
        if event is not None and not (self._shell.is_guided if flow is None else self._shell.rations.is_proved(flow)):
            ration = _RATION * len(event.message.data)
        return Way(flow, self._sender(target, event, to, host.encode()), ration)

    def protected(
        self, target: bytes, sender: bytes, call_id: bytes, content_type: bytes, body: bytes
    ) -> tuple[bytes, dict[str, Any]]:
        """Return body and options of a request, protected for its receiver if there are keys (RFC 8591).

        target, sender: URIs. content_type: message/cpim stays, anything else gets that around it. Raises UsageError
        where it may not go in clear and there is no key, ToolError for keys that can't be read.
        """
        writer = None if self._guard is None else self._guard.writer(sender, target)
        if writer is None:
            return body, {"content_type": content_type}
        unix = int(time.time())
        if content_type != imdn.CPIM:
            to = parse_uri(target).address_of_record()
            inside = b"text/plain;charset=UTF-8" if content_type == b"text/plain" else content_type
            body = build_cpim(sender, to, body, inside, unix, None, imdn.identify(call_id))
        content_type, body = writer.protect(imdn.CPIM, body)
        return body, {"content_type": content_type, "date": unix}

    def _sender(self, target: bytes, event: MessageReceived | None, to: bytes, host: bytes) -> bytes:
        """event, to: as for way(). host: ours, as the peer sees it."""
        if self._aor is not None:
            return self._aor
        if self._login is not None:
            return account(self._login, b"sip:" + self._domains[0] if self._domains else target, self._proxy)
        if event is not None:
            to = parse_address(event.message.get(b"to") or b"")[1]
        if to:
            uri = parse_uri(to)
            if uri.scheme == b"sip" and uri.user and uri.host in (host, *self._domains):
                return uri.address_of_record()
        return b"sip:%s@%s" % (user_name(), self._domains[0] if self._domains else bracketed(host))
