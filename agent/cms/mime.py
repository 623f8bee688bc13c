"""What S/MIME protects, and how it is called (RFC 8551, RFC 8591): the half of it that writers need."""

PKCS7 = b"application/pkcs7-mime"
MULTIPART = b"multipart/signed"
SIGNED = PKCS7 + b";smime-type=signed-data"
ENCRYPTED = PKCS7 + b";smime-type=authEnveloped-data"


def entity(content_type: bytes, body: bytes) -> bytes:
    """Return the MIME entity of a body, lines of text ended by CRLF (RFC 8551 section 3.1.1)."""
    if content_type[:5].lower() == b"text/":
        body = canonical(body)
    return b"Content-Type: %s\r\n\r\n%s" % (content_type, body)


def canonical(text: bytes) -> bytes:
    """Return text with CRLF at the end of each line."""
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
