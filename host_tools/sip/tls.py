"""TLS for streams: which certificates we show and which we trust (RFC 3261 section 26.3)."""

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sipmote.errors import ToolError

_NOT_LOADED = {  # what OpenSSL calls it, nothing for a key that isn't there: what it means
    "": "a certificate with its key was expected in PEM form; --tls-key FILE names a key that is elsewhere",
    "KEY_VALUES_MISMATCH": "the key is not that of the certificate: check --tls-key",
}


@dataclass(frozen=True)
class Tls:
    """How streams are secured. server: None without a certificate of ours; fingerprint: trust this and nothing else."""

    client: ssl.SSLContext
    server: ssl.SSLContext | None = None
    fingerprint: str | None = None

    def check(self, certificate: bytes) -> str:
        """Return what is wrong with a server's certificate (DER) when a fingerprint is pinned, or nothing."""
        if self.fingerprint is None or hashlib.sha256(certificate).hexdigest() == self.fingerprint:
            return ""
        return "the server's certificate is not the pinned one"


def load_tls(
    ca: str | None, fingerprint: str | None, certificate: str | None, key: str | None, clients_need_certificates: bool
) -> Tls:
    """Return the contexts for these files (PEM) and this pinned server certificate (SHA-256 in hexadecimal).

    clients_need_certificates: clients of our server must show one that the CA vouches for.
    Raises ToolError, with the name of the option, for what won't do.
    """
    pinned = _fingerprint(fingerprint) if fingerprint else None
    with _told("--tls-ca"):
        client = ssl.create_default_context(cafile=ca)
    if pinned:
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE  # Tls.check looks at the fingerprint instead
    if not certificate:
        return Tls(client, None, pinned)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with _told("--tls-cert"):
        for context in (client, server):
            context.load_cert_chain(certificate, key)
    if clients_need_certificates:
        if not ca:
            raise ToolError("--tls-clients needs --tls-ca: the CA that vouches for them")
        with _told("--tls-ca"):
            server.load_verify_locations(ca)
        server.verify_mode = ssl.CERT_REQUIRED
    return Tls(client, server, pinned)


def _fingerprint(text: str) -> str:
    fingerprint = text.replace(":", "").lower()
    if len(fingerprint) != 64 or set(fingerprint) - set("0123456789abcdef"):
        raise ToolError("--tls-fingerprint: the 64 hexadecimal digits of a certificate's SHA-256 were expected")
    return fingerprint


@contextmanager
def _told(option: str) -> Iterator[None]:
    """Turn what goes wrong with the file of an option into words."""
    try:
        yield
    except ssl.SSLError as error:
        what = _NOT_LOADED.get(error.reason or "", f"not a PEM file of the right kind ({error.reason})")
        raise ToolError(f"{option}: {what}") from error
    except OSError as error:
        raise ToolError(f"{option}: {error.filename or ''} {error.strerror}".replace("  ", " ")) from error
