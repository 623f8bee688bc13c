"""S/MIME for messages (RFC 8591, RFC 8551), read: bodies that are signed, encrypted or both, layer by layer.

Bodies are application/pkcs7-mime with the content inside, or multipart/signed. The content is a MIME entity with a
Content-Type of its own.
"""

from binascii import a2b_base64

from ..compat import const
from ..cpim.mime import parse_mime
from ..errors import ParseError
from ..headers.values import media_type, param, split_params
from .der import OID, SEQUENCE
from .der_reader import Element, decode
from .mime import MULTIPART, PKCS7, canonical
from .names import AUTH_ENVELOPED_DATA, ENVELOPED_DATA, SIGNED_DATA

_SIGNATURE = b"application/pkcs7-signature"
_MAX_LAYERS = const(4)


def is_protected(content_type: bytes) -> bool:
    """Can open_body() read a body of this type?"""
    return media_type(content_type) in (PKCS7, MULTIPART)


class Opened:
    """A body with its layers taken off.

    content_type, body: the content. encrypted: was it encrypted? authenticated: if so, by AES-GCM, so that nobody can
    have changed it on its way; False for AES-CBC. key: the agent.cms.enveloped.Key that has decrypted it, None without.
    signatures: agent.cms.signed.Signature of each signer of the innermost signed layer, the one that covers the
    content. certificates: those that came with it, in DER.
    """

    def __init__(self, content_type: bytes, body: bytes) -> None:
        self.content_type = content_type
        self.body = body
        self.encrypted = False
        self.authenticated = False
        self.key: object | None = None
        self.signatures: list = []
        self.certificates: list[bytes] = []

    def open_pkcs7(self, key: object | None) -> None:
        """Take off a layer of CMS: signed, or encrypted for key. Raises ParseError."""
        kind, inside = _content_info(self.body)
        if kind == SIGNED_DATA:
            from .signed import read_signed

            content, self.certificates, self.signatures = read_signed(inside)
        else:
            if kind not in (ENVELOPED_DATA, AUTH_ENVELOPED_DATA):
                raise ParseError("signed or encrypted data was expected")
            if key is None:
                raise ParseError("a body that isn't encrypted was expected: we have no key", 493)
            if self.encrypted:
                raise ParseError("one layer of encryption was expected")
            from .enveloped import open_enveloped

            self.authenticated = kind == AUTH_ENVELOPED_DATA
            content = open_enveloped(inside, key, self.authenticated)  # type: ignore[arg-type]
            self.key = key
            self.encrypted = True
            self.certificates, self.signatures = [], []  # of the cipher text; their signer may not know the content
        self.content_type, self.body = _parse_entity(content)

    def open_multipart(self) -> None:
        """Take off a layer of multipart/signed. Raises ParseError."""
        content_type = self.content_type
        semicolon = content_type.find(b";")
        boundary = param(split_params(content_type[semicolon + 1 :]), b"boundary") if semicolon > 0 else None
        boundary = b"" if boundary is None else boundary.strip(b'"')
        parts = (b"\r\n" + self.body).split(b"\r\n--" + boundary) if boundary else []
        if len(parts) != 4 or parts[3][:2] != b"--":
            raise ParseError("two parts and their boundary were expected in multipart/signed")
        content = parts[1][parts[1].find(b"\r\n") + 2 :]
        kind, octets = _parse_entity(parts[2][parts[2].find(b"\r\n") + 2 :])
        if media_type(kind) != _SIGNATURE:
            raise ParseError("a CMS signature was expected in multipart/signed")
        what, inside = _content_info(octets)
        if what != SIGNED_DATA:
            raise ParseError("signed data was expected")
        from .signed import read_signed

        content, self.certificates, self.signatures = read_signed(inside, canonical(content))
        self.content_type, self.body = _parse_entity(content)


def open_body(content_type: bytes, body: bytes, key: object | None) -> Opened:
    """Open a body, layer by layer. The caller still has to verify its signatures.

    key: an agent.cms.enveloped.Key, None without one.
    Raises ParseError: 493 for a body that can't be decrypted or is malformed inside, 400 for other errors.
    """
    opened = Opened(content_type, body)
    try:
        for _ in range(_MAX_LAYERS + 1):
            if not is_protected(opened.content_type):
                return opened
            if media_type(opened.content_type) == MULTIPART:
                opened.open_multipart()
            else:
                opened.open_pkcs7(key)
        raise ParseError("four layers of S/MIME at most were expected")
    except ParseError as error:
        if opened.encrypted:  # the same answer for every error inside: a peer must not be able to probe the cipher
            raise ParseError(error.detail, 493)
        raise


def _content_info(data: bytes) -> tuple[bytes, Element]:
    root = decode(data)
    if root.tag != SEQUENCE:
        raise ParseError("a ContentInfo was expected")
    return root.take(OID).octets, root.take(0xA0, SEQUENCE)


def _parse_entity(data: bytes) -> tuple[bytes, bytes]:
    """Return Content-Type and content of a MIME entity, base64 undone."""
    fields, at = parse_mime(data, 0)
    content_type, body = b"text/plain;charset=us-ascii", data[at:]
    for name, value in fields:
        if name == b"content-type":
            content_type = value
        elif name == b"content-transfer-encoding" and value.lower() == b"base64":
            try:
                body = a2b_base64(body)
            except ValueError:
                raise ParseError("base64 was expected")
    return content_type, body
