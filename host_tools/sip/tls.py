"""TLS for streams: which certificates we show and which we trust (RFC 3261 section 26.3, RFC 5922)."""

import asyncio.sslproto
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sipmote.errors import ToolError

# Octets that a stream reads at once. Each has a buffer of this size as long as it lives; asyncio makes it 256 KiB.
asyncio.sslproto.SSLProtocol.max_size = 16384

_NOT_LOADED = {  # what OpenSSL calls it, nothing for a key that isn't there: what it means
    "": "a certificate with its key was expected in PEM form; --tls-key FILE names a key that is elsewhere",
    "KEY_VALUES_MISMATCH": "the key is not that of the certificate: check --tls-key",
}


@dataclass
class Tls:
    """How streams are secured. server: None without a certificate of ours; fingerprint: trust this and nothing else.

    wildcards: may a certificate be for *.DOMAIN? RFC 5922 section 7.2 says no. files: of our certificate and its key.
    """

    client: ssl.SSLContext
    server: ssl.SSLContext | None = None
    fingerprint: str | None = None
    wildcards: bool = False
    files: tuple[str, str | None] | None = None
    _stamps: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._stamps = self._stamp()

    def check(self, stream: ssl.SSLObject | ssl.SSLSocket, name: str) -> str:
        """Return why the server at the other end is not the one that we want to speak to, or nothing.

        name: the host that a URI or its SRV records lead to, as the URI has it. That the certificate itself is good has
        been seen to.
        """
        if self.fingerprint is None:
            return _misnamed(stream.getpeercert() or {}, name.lower(), self.wildcards)
        if hashlib.sha256(stream.getpeercert(True) or b"").hexdigest() == self.fingerprint:
            return ""
        return "the server's certificate is not the pinned one"

    def renew(self) -> str:
        """Show the certificate that our files have now, in connections that begin from now on; returns what was done.

        Raises ToolError when they have changed into something that can't be used, once for each change.
        """
        stamps = self._stamp()
        if self.files is None or stamps == self._stamps:
            return ""
        self._stamps = stamps
        with _told("--tls-cert", *self.files):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self.files)  # a bad one would spoil the others
            for context in (self.client, self.server):
                if context is not None:
                    context.load_cert_chain(*self.files)
        return f"{self.files[0]} has changed: new connections are shown its certificate"

    def _stamp(self) -> list[tuple[int, int]]:
        found = []
        for path in filter(None, self.files or ()):
            with suppress(OSError):  # it may be swapped at this moment
                status = os.stat(path)
                found.append((status.st_mtime_ns, status.st_ino))
        return found


def _misnamed(certificate: dict[str, Any], name: str, wildcards: bool) -> str:
    """Return why a certificate, as ssl shows it, is not that of name; nothing when it is (RFC 5922 section 7).

    The SIP URIs in subjectAltName say which domains it is for; only where there are none its DNS names do.
    """
    kinds: dict[str, list[str]] = {}
    for kind, value in certificate.get("subjectAltName", ()):
        kinds.setdefault(kind, []).append(value.lower())
    uris = [value[4:] for value in kinds.get("URI", ()) if value.startswith("sip:")]
    domains = [uri.partition(":")[0].partition(";")[0] for uri in uris if "@" not in uri] or kinds.get("DNS", [])
    if name in domains or _address(name) in map(_address, kinds.get("IP Address", ())):
        return ""
    if wildcards and "*." + name.partition(".")[2] in domains:
        return ""
    said = ", ".join(domains + kinds.get("IP Address", [])) or "nobody"
    remedy = "use the name that it is for, or --tls-fingerprint if you know it"
    if not wildcards and "*." + name.partition(".")[2] in domains:
        remedy = "--tls-wildcards takes such names"
    return f"the server's certificate is refused: it is for {said}, not for {name} ({remedy})"


def _address(text: str) -> object:
    """Return what two spellings of an IP address have in common; something unequal to all else for other texts."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return object()


def load_tls(
    ca: str | None,
    fingerprint: str | None,
    certificate: str | None,
    key: str | None,
    clients_need_certificates: bool,
    wildcards: bool,
) -> Tls:
    """Return the contexts for these files (PEM) and this pinned server certificate (SHA-256 in hexadecimal).

    clients_need_certificates: clients of our server must show one that the CA vouches for. wildcards: see Tls.
    Raises ToolError, with the name of the option, for what won't do.
    """
    pinned = _fingerprint(fingerprint) if fingerprint else None
    with _told("--tls-ca", ca):
        client = ssl.create_default_context(cafile=ca)
    client.check_hostname = False  # Tls.check looks at the names: ssl knows those of web servers
    if pinned:
        client.verify_mode = ssl.CERT_NONE  # Tls.check looks at the fingerprint instead
    if not certificate:
        return Tls(client, None, pinned, wildcards)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with _told("--tls-cert", certificate, key):
        for context in (client, server):
            context.load_cert_chain(certificate, key)
    if clients_need_certificates:
        if not ca:
            raise ToolError("--tls-clients needs --tls-ca: the CA that vouches for them")
        with _told("--tls-ca", ca):
            server.load_verify_locations(ca)
        server.verify_mode = ssl.CERT_REQUIRED
    return Tls(client, server, pinned, wildcards, (certificate, key))


def _fingerprint(text: str) -> str:
    fingerprint = text.replace(":", "").lower()
    if len(fingerprint) != 64 or set(fingerprint) - set("0123456789abcdef"):
        raise ToolError("--tls-fingerprint: the 64 hexadecimal digits of a certificate's SHA-256 were expected")
    return fingerprint


@contextmanager
def _told(option: str, *files: str | None) -> Iterator[None]:
    """Turn what goes wrong with the files of an option into words; ssl doesn't name which."""
    try:
        yield
    except ssl.SSLError as error:
        what = _NOT_LOADED.get(error.reason or "", f"not a PEM file of the right kind ({error.reason})")
        raise ToolError(f"{option}: {what}") from error
    except OSError as error:
        names = " or ".join(file for file in files if file)
        raise ToolError(f"{option} {names}: {error.strerror}") from error
