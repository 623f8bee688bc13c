"""What names a certificate in CMS."""

from .der import INTEGER, SEQUENCE, encode
from .der_reader import decode


def issuer_and_serial(certificate: bytes) -> bytes:
    """Return issuer and serial number of a certificate, which name it (RFC 5652 section 10.2.4); both in DER."""
    content = decode(certificate).take(SEQUENCE)
    content.maybe(0xA0)
    serial = content.take(INTEGER).raw
    content.take(SEQUENCE)
    return encode(SEQUENCE, content.take(SEQUENCE).raw, serial)
