"""Is a SIP server there? An OPTIONS request (RFC 3261 section 11), which any answer will do for."""

import asyncio
import os
import ssl

from sipmote.agent.uri import bracketed
from sipmote.sip.places import Flow
from sipmote.sip.reasons import reason_of

_WAITS_S = (0.5, 1.0, 2.0, 2.0)  # for the answer to each datagram
_STREAM_S = 6.0


async def probe(flow: Flow, uri: bytes) -> str:
    """Return the status line of a server's answer, e.g. "200 OK". Raises OSError that says why there is none.

    flow: transport, address and port, as a resolver finds them; over TLS no certificate is looked at.
    uri: of the server, e.g. b"sip:example.org".
    """
    try:
        answer = await (_over_udp if flow[0] == b"UDP" else _over_a_stream)(flow, uri)
    except TimeoutError:
        raise OSError("no answer") from None
    except OSError as error:
        raise OSError(reason_of(error)) from None
    protocol, _, status = answer.partition(b"\r\n")[0].partition(b" ")
    if not protocol.upper().startswith(b"SIP/"):
        raise OSError("something answers there, and it isn't SIP")
    return status.decode("utf-8", "replace")


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(flow: Flow, uri: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Answer, remote_addr=(flow[1].decode(), flow[2]))
    try:
        request = _options(b"UDP", transport.get_extra_info("sockname"), uri)
        for wait_s in _WAITS_S:
            transport.sendto(request)
            await asyncio.wait((protocol.answer,), timeout=wait_s)
            if protocol.answer.done():
                return protocol.answer.result()
        raise TimeoutError
    finally:
        transport.close()


async def _over_a_stream(flow: Flow, uri: bytes) -> bytes:
    context = None
    if flow[0] == b"TLS":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(_STREAM_S):
        reader, writer = await asyncio.open_connection(flow[1].decode(), flow[2], ssl=context)
        try:
            writer.write(_options(flow[0], writer.get_extra_info("sockname"), uri))
            line = await reader.readline()
        finally:
            writer.close()
    if not line:
        raise OSError("it takes the connection and ends it without an answer")
    return line


def _options(transport: bytes, ours: tuple[str, int], uri: bytes) -> bytes:
    """Return a request to which the answer comes back to where it was sent from."""
    host, chance = bracketed(ours[0].encode()), os.urandom(8).hex().encode()
    lines = (
        b"OPTIONS %s SIP/2.0" % uri,
        b"Via: SIP/2.0/%s %s:%d;branch=z9hG4bK%s;rport" % (transport, host, ours[1], chance),
        b"Max-Forwards: 70",
        b"From: <sip:doctor@%s>;tag=%s" % (host, chance),
        b"To: <%s>" % uri,
        b"Call-ID: %s" % chance,
        b"CSeq: 1 OPTIONS",
        b"Accept: application/sdp",
        b"Content-Length: 0",
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"
