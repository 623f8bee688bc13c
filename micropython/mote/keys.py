"""The keys in /smime, where the host has put them: our own and others'. Loaded where something is protected."""

import json
from os import urandom as random  # noqa: F401

from agent.errors import UsageError
from agent.target import read_target
from mote.combs import table  # noqa: F401

_REMEDY = "give the board its keys with sipmote provision --protect"
_FOLDER = "/smime/"
_ANYWHERE = (b"TLS",)  # a flow for what is read and not sent to


def own() -> dict:
    """Return what we are: secret (absent on a board that only shares keys), id and ids, all in hexadecimal.

    Empty where there are no keys of ours. Raises agent.errors.UsageError for a file that can't be read.
    """
    return _read("own") or {}


def peers() -> list:
    """Return a dict for each one whose key we have: uri, and id, ids and table, or ids, modulus and exponent, or name
    and key. Raises agent.errors.UsageError for a file that can't be read.
    """
    return _read("peers") or []


def peer_of(uri: bytes, field: str = "uri") -> dict | None:
    """Return the first of peers() that a URI names, whatever its scheme, port and parameters; None without one.

    field: that the peer must have; who has two kinds of keys is there twice. Raises agent.errors.UsageError.
    """
    person = person_of(uri)
    for peer in peers():
        if person is not None and field in peer and person_of(peer["uri"].encode()) == person:
            return peer  # type: ignore[no-any-return]
    return None


def person_of(uri: bytes) -> bytes | None:
    """Return user and host of a URI, None for what is none."""
    try:
        return read_target(uri, b"UDP", _ANYWHERE)[1].partition(b":")[2]  # type: ignore[no-any-return]
    except UsageError:
        return None


def aes() -> object:
    """Return cryptolib.aes. Raises agent.errors.UsageError where the firmware has none."""
    try:
        from cryptolib import aes
    except ImportError:
        raise UsageError("this firmware can't encrypt: it lacks cryptolib; take one with TLS, or set protect=sign")
    return aes


def _read(name: str) -> object:
    path = _FOLDER + name
    try:
        with open(path) as file:
            return json.load(file)
    except OSError as error:
        if error.errno == 2:  # ENOENT
            return None
        raise UsageError("%s can't be read: %r" % (path, error))
    except ValueError:
        raise UsageError("%s is damaged: %s" % (path, _REMEDY))
