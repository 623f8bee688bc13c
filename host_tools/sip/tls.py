"""TLS for streams: which certificates we show and which we trust, from the command line (RFC 3261 section 26.3)."""

import argparse
import hashlib
import ssl
from dataclasses import dataclass

from sipmote.errors import ToolError

# of openssl/x509_vfy.h: X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH
_DATES, _NAMES = (9, 10), (62, 64)
_DATE_REMEDY = "renew it at the server, or set this computer's clock"
_NAME_REMEDY = "use the name that it is for, or --tls-fingerprint if you know it"
_REMEDY = "add --tls-ca FILE with the CA that signed it, or --tls-fingerprint if you know it"
_NOT_LOADED = {  # what OpenSSL calls it, nothing for a key that isn't there: what it means
    "": "a certificate with its key was expected in PEM form; --tls-key FILE names a key that is elsewhere",
    "KEY_VALUES_MISMATCH": "the key is not that of the certificate: check --tls-key",
}
_REASONS = {  # what OpenSSL calls it: what it means here
    "WRONG_VERSION_NUMBER": "no TLS is spoken at that port: use another one, or sip: with transport=tcp",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a certificate of ours: add --tls-cert FILE",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refuses the handshake: it may ask for a certificate, --tls-cert FILE",
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the TLS arguments of `send` and `inbox`."""
    group = parser.add_argument_group("TLS")
    group.add_argument("--tls-ca", metavar="FILE", help="PEM with the CAs to trust (default: the system's)")
    group.add_argument("--tls-fingerprint", metavar="SHA256", help="trust this one server certificate and no other")
    group.add_argument("--tls-cert", metavar="FILE", help="our own certificate, PEM, with its chain")
    group.add_argument("--tls-key", metavar="FILE", help="the key of --tls-cert (default: in the same file)")


def from_arguments(args: argparse.Namespace, clients_need_certificates: bool = False) -> Tls:
    """Return the contexts that the arguments ask for; raises ToolError for a file that won't do.

    clients_need_certificates: clients of our server must show one that --tls-ca vouches for.
    """
    fingerprint = None
    if args.tls_fingerprint:
        fingerprint = args.tls_fingerprint.replace(":", "").lower()
        if len(fingerprint) != 64 or set(fingerprint) - set("0123456789abcdef"):
            raise ToolError("--tls-fingerprint: the 64 hexadecimal digits of a certificate's SHA-256 were expected")
    try:
        named = "--tls-ca"
        client = ssl.create_default_context(cafile=args.tls_ca)
        if fingerprint:
            client.check_hostname = False
            client.verify_mode = ssl.CERT_NONE  # Tls.check looks at the fingerprint instead
        if not args.tls_cert:
            return Tls(client, None, fingerprint)
        named = "--tls-cert"
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        for context in (client, server):
            context.load_cert_chain(args.tls_cert, args.tls_key)
        if clients_need_certificates:
            named = "--tls-ca"
            if not args.tls_ca:
                raise ToolError("--tls-clients needs --tls-ca: the CA that vouches for them")
            server.load_verify_locations(args.tls_ca)
            server.verify_mode = ssl.CERT_REQUIRED
        return Tls(client, server, fingerprint)
    except ssl.SSLError as error:
        what = _NOT_LOADED.get(error.reason or "", f"not a PEM file of the right kind ({error.reason})")
        raise ToolError(f"{named}: {what}") from error
    except OSError as error:
        raise ToolError(f"{named}: {error.filename or ''} {error.strerror}".replace("  ", " ")) from error


def reason_of(error: ssl.SSLError) -> str:
    """Say why a handshake failed, and what a person can do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        remedy = (
            _DATE_REMEDY if error.verify_code in _DATES else _NAME_REMEDY if error.verify_code in _NAMES else _REMEDY
        )
        return f"the server's certificate is refused: {what} ({remedy})"
    reason = error.reason or str(error)
    return _REASONS.get(reason) or f"TLS: {reason.lower().replace('_', ' ')}"
