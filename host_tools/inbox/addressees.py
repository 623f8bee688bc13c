"""Whom a message is for: us, or somebody whose message has been carried to us."""

from collections.abc import Iterable

from sipmote.agent.cpim.reader import CORE, Cpim, parse_address
from sipmote.agent.errors import ParseError
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uri import parse_uri
from sipmote.people import person
from sipmote.sip.places import Hosts


class Addressees:
    """Knows whom To may name: our address-of-record, anybody in our domains, and the contact that a request came to.

    What was signed for one person can be sent on to another as if it had been for him: such a message, and message/cpim
    that names nobody of us, is marked. Plain text has no name to rely on. An inbox that was told neither address nor
    domain is who a request is sent to.
    """

    def __init__(self, aor: bytes | None, domains: Iterable[bytes]) -> None:
        """aor: our URI, None where we have none of our own. domains: hosts in normal form."""
        self._person = None if aor is None else person(aor.decode())
        self._domains = Hosts(domains)

    def others(self, request_uri: bytes, to: str, cpim: Cpim | None) -> tuple[str, ...]:
        """Return whom a message is for if none of them is us: To of its request, or To and cc of its message/cpim."""
        contact = self._contact(request_uri)
        if to != contact and not self._is_ours(to, contact):
            return (to,)
        inside = [] if cpim is None else _addresses(cpim)
        return () if any(self._is_ours(uri, contact) for uri in inside) else tuple(inside)

    def _contact(self, request_uri: bytes) -> str:
        """Return the URI that a request came to, "" where that says nothing: anybody can write a name there."""
        uri = request_uri.decode(errors="replace")
        if self._person is None and not self._domains:
            return uri
        if self._person is not None and _user(person(uri)) != _user(self._person):
            return ""  # an address alone is anybody's at it
        host = parse_uri(request_uri).host
        return uri if host == b"localhost" or is_address(host) else ""

    def _is_ours(self, uri: str, contact: str) -> bool:
        who = person(uri)
        if who == self._person or (contact and who == person(contact)):
            return True
        try:
            return bool(self._domains) and parse_uri(uri.encode()).host in self._domains
        except ParseError:
            return False


def _user(who: str) -> str:
    """Return the user of what person() returns."""
    return who.rpartition("@")[0]


def _addresses(cpim: Cpim) -> list[str]:
    found = [header[3] for header in cpim.headers if header[0] == CORE and header[1] in (b"To", b"cc")]
    return [parse_address(value)[1].decode("utf-8", "backslashreplace") for value in found]
