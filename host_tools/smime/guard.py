"""What the keys and policies of `sipmote keys` do to what leaves and what comes; who has none loads no ciphers."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.files import data_folder

if TYPE_CHECKING:  # loaded for who has keys
    from sipmote.smime.reader import StoreReader
    from sipmote.smime.store import KeyStore
    from sipmote.smime.writer import Writer


class Guard:
    """Knows what a message to somebody, or from somebody, has to be."""

    def __init__(self, store: "KeyStore") -> None:
        self._store = store

    def has_to_sign(self, *uris: str | None) -> bool:
        """Is a message from one of these taken only if he has signed it? Raises ToolError."""
        return any(uri is not None and self._store.policy(_without_password(uri))[1] == "require" for uri in uris)

    def ending(self) -> list[str]:
        """Return a line with its remedy for each certificate that ends within a month. Raises ToolError."""
        return [
            f"the certificate of {uri} ends at {certificate.not_valid_after_utc:%F}: {remedy}"
            for uri, certificate, remedy in self._store.ending()
        ]

    def writer(self, sender: bytes, target: bytes) -> "Writer | None":
        """Return what encrypts a message, and signs it if we have a key; None for one that goes in clear.

        sender, target: URIs; sender is b"" for who isn't known yet, and has no key. To who has no certificate here it
        goes in clear, and unsigned: most phones can't read S/MIME. Raises UsageError, with the remedy, where the policy
        forbids that, ToolError for files that can't be read.
        """
        from sipmote.smime.writer import Writer

        theirs = os.fsdecode(target)
        policy = self._store.policy(theirs)[0]
        if policy == "ignore":
            return None
        certificate = self._store.certificate(theirs)
        if certificate is not None:
            end = certificate.not_valid_after_utc
            if end < datetime.now(UTC):
                raise UsageError(
                    f"the certificate of {theirs} ended at {end:%F}: get the new one and sipmote keys trust FILE; for "
                    "a board, sipmote provision --protect"
                )
            return Writer(self._store.own(os.fsdecode(sender)) if sender else None, certificate, False)
        shared = self._store.shared(theirs)
        if shared is None and policy == "require":
            raise UsageError(
                f"there is no key of {theirs}, to whom nothing goes in clear: sipmote keys trust FILE, or sipmote keys "
                f"policy {theirs} --send prefer"
            )
        return None if shared is None else Writer(None, shared, False)


def _without_password(uri: str) -> str:
    """Return a URI by which a policy is found: who writes a password behind his name is no other for that."""
    try:
        parsed = parse_uri(os.fsencode(uri))
    except ParseError:
        return uri
    user = (parsed.user or b"").partition(b":")[0]
    return os.fsdecode(b"sip:%s@%s" % (user, bracketed(parsed.host))) if user else uri


def guard() -> Guard | None:
    """Return the guard of who has a store of keys, None for others: they load no ciphers."""
    if not (data_folder() / "keys").is_dir():
        return None
    from sipmote.smime.store import KeyStore

    return Guard(KeyStore())


def kept_reader() -> "StoreReader | None":
    """Return what reads S/MIME by the store of keys of who has one, None for others."""
    if not (data_folder() / "keys").is_dir():
        return None
    from sipmote.smime.reader import StoreReader
    from sipmote.smime.store import KeyStore

    return StoreReader(KeyStore())
