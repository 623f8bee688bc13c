"""A body's layers of S/MIME taken off, with the keys that a board has. Loaded for a message, and freed."""

from binascii import hexlify, unhexlify

from agent.cms.own_key import OwnKey
from agent.cms.smime import open_body
from agent.errors import ParseError, UsageError
from mote import keys


class _Wanted(Exception):
    """Its argument is a point, for which the shared secret has to be known first."""


class _Key(OwnKey):
    """Ours. asked: the name of a shared key that a message has. name: the same once that key has opened it."""

    asked = name = None

    def __init__(self, own: dict, peers: list, agreed: dict) -> None:
        identifiers = tuple([unhexlify(one) for one in own.get("ids", ())])
        self._known = {unhexlify(peer["name"]): unhexlify(peer["key"]) for peer in peers if "key" in peer}
        OwnKey.__init__(self, identifiers, b"", self._known, _aes, keys.random)
        self.shared = self._shared
        self._agreed = agreed

    def _shared(self, name: bytes) -> bytes | None:
        if name in self._known:
            self.asked = name
        return self._known.get(name)

    def unwrap(self, by: bytes, wrapped: bytes) -> bytes:
        key = OwnKey.unwrap(self, by, wrapped)
        if by is self._known.get(self.asked):  # anybody can write its name in front of a key of his own
            self.name = self.asked
        return key  # type: ignore[no-any-return]

    def agree(self, point: bytes) -> bytes:
        if point not in self._agreed:
            keys.aes()
            raise _Wanted(point)
        if not self._agreed[point]:
            raise ValueError
        return self._agreed[point]  # type: ignore[no-any-return]


def _aes(*arguments: object) -> object:
    return keys.aes()(*arguments)


def open_envelope(message: object, agreed: dict, require: str | None) -> object:
    """Open the body of a Message as far as it goes without arithmetic on curves.

    agreed: point -> shared secret, b"" for what is no point. require: the setting.
    Returns the point for which the shared secret is missing; else (content type, content, was it encrypted?, signature,
    the one of keys.peers() whose that should be). signature: (kind, hash, what is signed, value), as they are called in
    agent.cms.signed.Signature; None where the peer is the one whose shared key it is, or None, too.
    Raises agent.errors.ParseError, with a reason for the log.
    """
    try:
        own, peers = keys.own(), keys.peers()
        key = _Key(own, peers, agreed)
        opened = open_body(message.get(b"content-type"), message.body, key)
    except _Wanted as wanted:
        return wanted.args[0]
    except UsageError as error:
        raise ParseError(str(error), 493)
    except ParseError as error:
        raise ParseError(_reason(error, own, agreed or key.asked), error.status)
    status = 493 if opened.encrypted else 403
    is_fit = {
        "signed": opened.signatures,
        "encrypted": opened.encrypted,
        "signed+encrypted": opened.encrypted and opened.signatures,
        "shared": key.name,
    }
    if not is_fit.get(require, True):
        raise ParseError("a command must be %s (setting require)" % require, status)
    if opened.signatures:
        return (opened.content_type, opened.body, opened.encrypted) + _signer(opened.signatures, peers, status)
    if not opened.authenticated:
        raise ParseError("others could have changed it: AES-CBC without a signature", status)
    peer = None
    if key.name:
        name = hexlify(key.name).decode()
        peer = next(one for one in peers if one.get("name", "").lower() == name)
    return opened.content_type, opened.body, True, None, peer


def _reason(error: ParseError, own: dict, has_key: object) -> str:
    """Return why a body can't be opened. has_key: was it encrypted to a key of ours?"""
    if error.status != 493 or has_key:
        return error.detail  # type: ignore[no-any-return]
    if not own:
        return "no key here: give the board one with sipmote provision --protect"
    return "it isn't encrypted to this board's key: sipmote provision may have given it another one"


def _signer(signatures: list, peers: list, status: int) -> tuple:
    """Return the signature by somebody whose key we have, and him, as open_envelope() does."""
    for signature in signatures:
        name = hexlify(signature.identifier).decode()
        for peer in peers:
            known = [one.lower() for one in peer.get("ids", ())] + [peer.get("id", "").lower()]
            if name in known and not signature.kind:
                reason = "%s signs with an algorithm that this board can't check: take SHA-256"
                raise ParseError(reason % peer["uri"], status)
            if name in known and ("modulus" in peer) == (signature.kind == "rsa"):
                if signature.intact:
                    signed = signature.kind, signature.hash, signature.covered, signature.value
                    return signed, peer
                raise ParseError("the content isn't what %s has signed" % peer["uri"], status)
    names = ", ".join([hexlify(one.identifier).decode() for one in signatures])
    reason = "unknown signer (key identifier %s): if you know him, sipmote keys trust FILE, then sipmote provision"
    raise ParseError(reason % (names or "none"), status)
