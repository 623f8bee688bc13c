"""Signs and encrypts what leaves (RFC 8591).

Where memory is short it is loaded each time and freed then, and so is each stage that it takes: there is room for one
of them. Else all stay, since loading them takes longer than AES does.
"""

import sys
from binascii import unhexlify
from gc import collect, mem_free, threshold
from os import urandom

from agent.compat import const
from agent.errors import UsageError

_LOADING = const(1056)  # octets, as mote has it
_SHORT = const(24576)  # octets: with less it takes time to keep memory in one piece
_AMPLE = const(65536)  # octets: with as many free nothing has to go; all that is loaded takes 29,000
_FREED = const("mote.keys mote.combs agent.target agent.headers.date_writer agent.date_reader")

if mem_free() < _AMPLE:
    collect()
_is_ample = mem_free() >= _AMPLE  # looked at once: it takes a million instructions for each megabyte


def seal(
    mote: object,
    uri: bytes,
    call_id: bytes,
    content_type: bytes | None,
    body: bytes,
    unix: int,
    certificate: bytes = b"",
) -> tuple | None:
    """Return content type and octets of a body that is protected for whom a URI names; None if it may go in clear.

    content_type: message/cpim, or None for text. unix: when it was raised, 0 if nobody knows. certificate: ours, in
    DER, to go with a signature. Raises agent.errors.UsageError that names the remedy.
    """
    global _is_ample
    before = threshold()
    if not _is_ample:
        collect()
    threshold(_LOADING if not _is_ample and mem_free() < _SHORT else -1)
    try:
        return _sealed(mote, uri, (call_id, content_type, body, unix), certificate)
    except MemoryError:
        _is_ample = False
        raise
    except ZeroDivisionError:
        raise UsageError("a table in /smime is damaged: run sipmote provision --protect again")
    finally:
        if not _is_ample:
            _free("mote.sealing")
        _let_go()
        threshold(before)


def _sealed(mote: object, uri: bytes, content: tuple, certificate: bytes) -> tuple | None:
    own, peer, to = _keys(mote, uri)
    _let_go()
    if own is None and peer is None:
        return None
    content = _content(mote.agent.aor, to, *content)
    _let_go()
    if own is not None:
        content = _signed(content, own, peer is None, certificate)
        _let_go()
        if peer is None:
            return content
    content = _encrypted(content)
    _let_go()
    agreed = None
    if "table" in peer:
        agreed = _agreed(peer["table"])
        _let_go()
    content_type, content = _enveloped(content, peer, agreed)
    peer = agreed = None
    _let_go()
    return content_type, b"".join(content)


def _let_go() -> None:
    """Free what the last stage has loaded, if memory isn't ample."""
    if _is_ample:
        return
    for name in list(sys.modules):
        if name[:10] == "agent.cms." or name[:11] == "agent.cpim." or name in _FREED.split():
            _free(name)
    if threshold() == _LOADING:
        collect()


def _free(name: str) -> None:
    if sys.modules.pop(name, None) is not None:
        package, _, own = name.rpartition(".")
        if hasattr(sys.modules[package], own):
            delattr(sys.modules[package], own)


# Functions, so that nothing keeps the modules when they return


def _keys(mote: object, uri: bytes) -> tuple:
    """Return what keys.own() does, None without a signature; the peer to encrypt to, None for nobody; its URI."""
    from mote import keys

    how = mote.settings["protect"]
    own = peer = None
    person = keys.person_of(uri)
    if how != "sign":
        keys.aes()
        peer = keys.peer_of(uri, "key" if how == "shared" else "table")
        if peer is None:
            if mote.settings.get("clear"):
                return None, None, None
            reason = "no key of %s here: sipmote keys trust FILE, then sipmote provision --protect %s"
            raise UsageError(reason % (uri.decode(), how))
    if how.startswith("sign"):
        own = keys.own()
        if "secret" not in own:
            raise UsageError("this board has no key of its own: give it one with sipmote provision --protect %s" % how)
    return own, peer, b"sip:" + person


def _content(aor: bytes, to: bytes, call_id: bytes, content_type: bytes | None, body: bytes, unix: int) -> bytes:
    """Return the MIME entity of a text, in message/cpim."""
    from agent.cms.mime import entity
    from agent.cpim.identity import CPIM, identify

    if content_type != CPIM:
        from agent.cpim.writer import build_cpim

        body = build_cpim(aor, to, body, unix=unix or None, extra=identify(call_id))
    return entity(CPIM, body)  # type: ignore[no-any-return]


def _signed(content: bytes, own: dict, is_last: bool, certificate: bytes) -> object:
    """Return content type and octets of what is signed, or all that as a MIME entity to be encrypted."""
    covered = _covered(content)
    _let_go()
    value = _signature(covered, own["secret"])
    _let_go()
    from agent.cms.mime import SIGNED, entity
    from agent.cms.signing import build_signed

    signed = build_signed(content, unhexlify(own["id"]), "ecdsa", lambda _: value, certificate)
    return (SIGNED, signed) if is_last else entity(SIGNED, signed)


def _covered(content: bytes) -> bytes:
    from agent.cms.signing import signed_attributes

    return signed_attributes(content)  # type: ignore[no-any-return]


def _signature(covered: bytes, secret: str) -> bytes:
    from hashlib import sha256

    from agent.cms.ecdsa import sign
    from agent.cms.p256 import N
    from mote.combs import table

    generator = table("g")()
    hiding = int.from_bytes(urandom(40), "big") % (N - 1) + 1
    value = sign(sha256(covered).digest(), unhexlify(secret), generator, hiding)
    return value  # type: ignore[no-any-return]


def _agreed(name: str) -> tuple:
    from agent.cms.ephemeral import agree
    from mote.combs import table

    tables = table("g")(), table(name)()
    agreed = agree(*tables, urandom)
    return agreed  # type: ignore[no-any-return]


def _encrypted(content: bytes) -> tuple:
    """Return the content's key, its nonce, the content encrypted, its tag."""
    from cryptolib import aes

    from agent.cms.gcm import gcm

    key, nonce = urandom(16), urandom(12)
    encrypted = gcm(aes(key, 1), nonce, content, b"", False)
    return (key, nonce) + encrypted


def _enveloped(encrypted: tuple, peer: dict, agreed: tuple | None) -> tuple:
    """Return content type and pieces of an envelope."""
    from cryptolib import aes

    from agent.cms.enveloping import enveloped_pieces
    from agent.cms.mime import ENCRYPTED
    from agent.cms.receivers import Receiver

    name, shared = (peer["name"], unhexlify(peer["key"])) if agreed is None else (peer["id"], b"")
    return ENCRYPTED, enveloped_pieces(b"", Receiver(unhexlify(name), agreed, shared, encrypted, aes))
