"""Why a connection failed, in the operating system's words or better ones, and what a person can do about it."""

import ssl
import traceback
from pathlib import Path

_DATES = (9, 10)  # of openssl/x509_vfy.h: X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED
_DATE_REMEDY = "renew it at the server, or set this computer's clock"
_REMEDY = "add --tls-ca FILE with the CA that signed it, or --tls-fingerprint if you know it"
_HANDSHAKE = {  # what OpenSSL calls it: what it means here
    "WRONG_VERSION_NUMBER": "no TLS is spoken at that port: use another one, or sip: with transport=tcp",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a certificate of ours: add --tls-cert FILE",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refuses the handshake: it may ask for a certificate, --tls-cert FILE",
}


def reason_of(error: BaseException) -> str:
    """Return what went wrong, in the operating system's words and without Python's."""
    if isinstance(error, ssl.SSLError):
        return _tls_reason(error)
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionAbortedError) and error.errno is None:  # asyncio's, not the system's
        return "no TLS handshake in time: is TLS spoken at that port?"
    return getattr(error, "strerror", None) or str(error)


def fault(error: BaseException) -> str:
    """Return what an error that nobody expected is, and where in our program it comes from: it wants to be reported."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}: {error}; a fault of sipmote, please report it"


def _tls_reason(error: ssl.SSLError) -> str:
    """Say why a handshake failed, and what a person can do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        remedy = _DATE_REMEDY if error.verify_code in _DATES else _REMEDY
        return f"the server's certificate is refused: {what} ({remedy})"
    reason = error.reason or str(error)
    return _HANDSHAKE.get(reason) or f"TLS: {reason.lower().replace('_', ' ')}"
