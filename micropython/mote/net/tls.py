"""TLS to a server whose certificate a CA or a pinned fingerprint vouches for. Loaded by a board that uses TLS.

The files are DER: /ca.der, and /client.der with /client.key.der where the server asks for a certificate of ours.
"""

import asyncio
import hashlib
import os
from asyncio.stream import Stream
from binascii import hexlify

import tls

from agent.compat import const

_STEP_MS = const(20)


async def connect(flow: tuple, shell: object) -> object:
    """Return a Stream to the end of a flow, after the handshake. Raises OSError that says what was wrong.

    A fourth item of the flow is the name that the certificate has to be for, in place of the host.
    """
    settings = shell.settings
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    pinned = settings.get("tls_fingerprint")
    if pinned:
        context.verify_mode = tls.CERT_NONE  # the fingerprint is compared below
    else:
        context.verify_mode = tls.CERT_REQUIRED
        context.load_verify_locations(_read("/ca.der"))
    if "client.der" in os.listdir("/"):
        context.load_cert_chain(_read("/client.der"), _read("/client.key.der"))
    plain, _ = await asyncio.open_connection(flow[1].decode(), flow[2])
    secured = plain.s
    stream = None
    try:
        name = (flow[3] if len(flow) > 3 else flow[1]).decode()
        secured = context.wrap_socket(secured, server_hostname=name, do_handshake_on_connect=False)
        secured.setblocking(False)
        while not secured.getpeercert(True):
            secured.read(1)  # carries the handshake on; a SIP server says nothing before we do
            await asyncio.sleep_ms(_STEP_MS)
        if pinned and hexlify(hashlib.sha256(secured.getpeercert(True)).digest()).decode() != pinned:
            raise ValueError("the server's certificate is not the pinned one")
        stream = Stream(secured)
    except ValueError as error:  # how certificates are refused
        reason = str(error).strip()
        if shell.user_agent.clock is None and ("expired" in reason or "future" in reason):
            reason = "the board's clock is not set: the dates of the server's certificate can't be checked"
        raise OSError(reason)
    finally:
        if stream is None:
            secured.close()  # not left to the collector: on esp32 it holds 29 KB of another heap than the collector's
    return stream


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        raise OSError("%s is missing: sipmote deploy --tls-ca, --tls-cert or --tls-fingerprint" % path)
