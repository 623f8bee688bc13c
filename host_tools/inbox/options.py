"""What an inbox is to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipmote.inbox.desk import MakePage
from sipmote.inbox.escalation import Escalation
from sipmote.inbox.retention import FOR_EVER, Keep
from sipmote.sip.places import Bind, Wire, Zones
from sipmote.sip.tls import Tls

if TYPE_CHECKING:  # loaded for who asks for S/MIME
    from sipmote.smime.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an inbox is to be.

    aor, proxy: URIs, None without. accept: content types. strict: refuse flaws that nothing depends on. domains: hosts
    that messages have to be for, none for any. users: the file of those who may send, None for everybody; realm: which
    of them, None for those of the only one. reader: for S/MIME, None to leave it as it is; with it, require_signed asks
    for good signatures, require_authenticated for encryption that nobody can change, and late_bringers are addresses
    that may bring signed messages late. command: to run for each message. relay_to: a URI, None where messages end
    here; relay_expired: of relay.POLICIES; gateways: users who may send in others' names. ports: of boards whose
    messages are passed on (bridge.py). keep: how long. prompts: a person talks at a terminal, and not a
    program that writes lines.
    webhooks: URLs, webhook_secret: what signs what goes there. page: makes one; escalation: of what nobody sees to;
    registrar: the URL of a Kamailio's database of bindings. trusted_proxies: addresses of servers that say who sends.
    """

    aor: bytes | None
    proxy: bytes | None
    binds: Sequence[Bind]
    accept: tuple[bytes, ...]
    strict: bool = False
    domains: tuple[bytes, ...] = ()
    credentials: tuple[tuple[bytes, bytes, bytes], ...]
    realm: str | None = None
    users: str | None = None
    tls: Tls
    dns: tuple[str, int] | None
    reader: "Reader | None" = None
    require_signed: bool = False
    require_authenticated: bool = False
    late_bringers: tuple[str, ...] = ()
    command: str | None = None
    relay_to: str | None = None
    relay_expired: str = "drop"
    gateways: Sequence[str] = ()
    notifies: bool = False
    registers: bool
    wires: Sequence[Wire]
    zones: Zones
    reads_stdin: bool = False
    prompts: bool = False
    ports: Sequence[str] = ()
    keep: Keep = FOR_EVER
    webhooks: Sequence[str] = ()
    webhook_secret: bytes | None = None
    page: MakePage | None = None
    escalation: Escalation | None = None
    registrar: str | None = None
    trusted_proxies: tuple[str, ...] = ()

    @property
    def relays(self) -> bool:
        """Are messages passed on?"""
        return bool(self.relay_to or self.ports)
