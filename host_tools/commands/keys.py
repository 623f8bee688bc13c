"""`sipmote keys`: the keys and certificates that messages are signed and encrypted with."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sipmote.agent.errors import UsageError
from sipmote.console import Lines, Output, ask_person
from sipmote.errors import ToolError
from sipmote.files import write_whole
from sipmote.people import named, person
from sipmote.smime.keys import (
    allows_mail,
    check_kind,
    load_certificate,
    may_receive,
    may_sign,
    names,
    read_certificates,
    read_identity,
)
from sipmote.smime.store import DAYS, EVERYBODY, POLICIES, SOON, TAKEN, KeyStore, fingerprint

_MOST_DAYS = 36500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote keys`."""
    parser.description = (
        "Keep keys and certificates for messages that are signed or encrypted, in the folder keys in the data folder. "
        "create and rotate make a key for one of our URIs, import takes one that somebody has certified (PEM, the key "
        "and its certificate), export writes a certificate for others, trust takes theirs, share makes a key that two "
        "have, policy says what is to be protected. Read the fingerprint to each other, on the phone say, before a "
        "certificate is trusted."
    )
    parser.add_argument("action", nargs="?", choices=tuple(_ACTIONS), default="show", help="default: show")
    parser.add_argument("what", nargs="?", metavar="URI", help="or a name; FILE for import, trust, show; policy: or *")
    parser.add_argument("file", nargs="?", metavar="FILE", help="for export, to write the certificate to")
    parser.add_argument("--days", type=_days, default=DAYS, help=f"for create and rotate: valid for (default {DAYS})")
    parser.add_argument("--yes", action="store_true", help="for trust and share: don't ask")
    parser.add_argument("--send", choices=POLICIES, help="for policy: what goes to them is protected")
    parser.add_argument("--take", choices=TAKEN, help="for policy: what comes from them has to be signed by them")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= _MOST_DAYS and len(text) < 6):
        raise argparse.ArgumentTypeError(f"{text}: a number of days, 1 to {_MOST_DAYS}, was expected")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Do one thing with the keys."""
    if args.file is not None and args.action != "export":
        raise ToolError(f"{args.action} takes one argument: {args.file} is one too many")
    if (args.send or args.take) and args.action != "policy":
        raise ToolError(f"--send and --take are for sipmote keys policy, not for {args.action}")
    if args.what is None and args.action not in ("show", "policy"):
        thing = "FILE" if args.action in ("import", "trust") else "URI"
        raise ToolError(f"{args.action} wants a {thing}: sipmote keys {args.action} {thing}")
    _ACTIONS[args.action](args, KeyStore(), Output(args.json))
    return 0


@dataclass(frozen=True)
class _Row:
    """A line of the table. kind: ours, trusted, authority, shared or, of a file, shown."""

    uri: str
    kind: str
    certificate: x509.Certificate | None = None

    def say(self, output: Output, event: str = "key") -> None:
        """Tell both sides of it."""
        told: dict[str, str | None] = {"event": event, "uri": self.uri, "kind": self.kind}
        if self.certificate is None:
            output.say(told, (self.uri, "bold"), f"  {self.kind}")
            return
        end = self.certificate.not_valid_after_utc
        warning = self._warning()
        told.update(fingerprint=fingerprint(self.certificate), valid_until=f"{end:%Y-%m-%dT%H:%M:%SZ}", warning=warning)
        line = f"  {self.kind}  {fingerprint(self.certificate)}  until {end:%Y-%m-%d}"
        output.say(told, (self.uri, "bold"), line, (f"  {warning}" if warning else "", "yellow"))

    def _warning(self) -> str | None:
        assert self.certificate is not None
        now, end = datetime.now(UTC), self.certificate.not_valid_after_utc
        remedy = {
            "ours": f"sipmote keys rotate {self.uri}",
            "trusted": "ask for the new one, and sipmote keys trust FILE",
        }.get(self.kind, "ask for a newer one")
        if self.certificate.not_valid_before_utc > now:
            return "not valid yet: is this computer's clock right?"
        if end > now + SOON:
            return None
        return f"expired: {remedy}" if end <= now else f"expires within a month: {remedy}"


def _create(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    uri = _uri(args.what)
    _Row(uri, "ours", store.create(uri, args.days).certificate).say(output, "created")
    output.say(None, f"give it to others: sipmote keys export {uri} FILE, and read them the fingerprint")


def _import(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    identity = read_identity("keys import", args.what)
    certificate = identity.certificate
    if not names(certificate):
        raise ToolError(f"{args.what}: the certificate names no SIP URI: it needs a subjectAltName such as URI:sip:...")
    if not (may_sign(certificate) and may_receive(certificate) and allows_mail(certificate)):
        raise ToolError(f"{args.what}: the certificate is not for mail, signed and encrypted, by its key usage")
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        raise ToolError(f"{args.what}: the certificate is valid from {first:%F} to {last:%F}: get another")
    store.adopt(identity)
    _Row(names(certificate)[0], "ours", certificate).say(output, "imported")


def _rotate(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    uri = _uri(args.what)
    _Row(uri, "ours", store.rotate(uri, args.days).certificate).say(output, "rotated")
    output.say(None, "the key before still decrypts. Who sends to this URI, boards too, needs the new certificate:")
    output.say(None, f"  sipmote keys export {uri} FILE")


def _show(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    if args.what is not None and os.path.isfile(args.what):  # Path.is_file() raises for a name that is too long
        rows = [_Row(_whose(one), "shown", one) for one in _read(args.what)]
    else:
        rows = _rows(store)
        if args.what is not None:
            who = person(_uri(args.what))
            rows = [row for row in rows if person(row.uri) == who]
            if not rows:
                raise ToolError(f"there is no key of {args.what}: sipmote keys create URI, or sipmote keys trust FILE")
    for row in rows:
        row.say(output)
    if not rows:
        output.say(None, "there are no keys yet; `sipmote keys create sip:desk@example.org` makes one")


def _rows(store: KeyStore) -> list[_Row]:
    rows = [_Row(_whose(one.certificate), "ours", one.certificate) for one in store.owned()]
    for one in store.trusted():
        rows.append(_Row(_whose(one), "trusted" if names(one) else "authority", one))
    return rows + [_Row(uri, "shared") for uri in store.shares()]


def _trust(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    found = _read(args.what)
    for certificate in found:
        _check(args.what, certificate)
    for certificate in found:
        row = _Row(_whose(certificate), "trusted" if names(certificate) else "authority", certificate)
        before = _before(store, certificate)
        if before == certificate:
            row.say(output, "unchanged")
            continue
        if not args.yes:
            _ask_for(certificate, before)
        store.trust(certificate)
        row.say(output, "trusted" if before is None else "replaced")


def _before(store: KeyStore, certificate: x509.Certificate) -> x509.Certificate | None:
    """Return what a certificate would take the place of: that of the same URI, or of an authority itself."""
    if not names(certificate):
        return certificate if certificate in store.trusted() else None
    who = person(names(certificate)[0])
    return next((one for one in store.trusted() if names(one) and person(names(one)[0]) == who), None)


def _ask_for(certificate: x509.Certificate, before: x509.Certificate | None) -> None:
    """Ask whether it is to be trusted; raises ToolError for anything but yes."""
    whose = ", ".join(names(certificate)) or f"{_whose(certificate)}, an authority, and all that it vouches for"
    instead = "" if before is None else f", in place of {fingerprint(before)}"
    if ask_person(f"{whose}: {fingerprint(certificate)}{instead}; trust it? [y/N]").lower() not in ("y", "yes"):
        raise ToolError("not trusted: nothing was changed; --yes trusts without a question")


def _check(path: str, certificate: x509.Certificate) -> None:
    """Raise ToolError for a certificate that nobody could use."""
    if not names(certificate):
        if not _is_authority(certificate):
            raise ToolError(f"{path}: the certificate names no SIP URI, and is no authority's: ask for one that does")
    else:
        check_kind("keys trust", path, certificate)
    if certificate.not_valid_after_utc < datetime.now(UTC):
        raise ToolError(f"{path}: expired at {certificate.not_valid_after_utc:%Y-%m-%d}: ask for a newer one")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _export(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    uri = _uri(args.what)
    certificate = store.certificate(uri)
    if certificate is None:
        raise ToolError(f"there is no certificate of {uri}: sipmote keys create {uri} makes a key with one")
    pem = certificate.public_bytes(Encoding.PEM).decode()
    if args.file is None:
        output.say({"event": "certificate", "uri": uri, "pem": pem}, Lines(pem.rstrip("\n")))
        return
    if Path(args.file).exists():
        raise ToolError(f"{args.file} is there already: name another file, or take it away")
    write_whole(Path(args.file), pem)
    told = {"event": "exported", "uri": uri, "file": args.file, "fingerprint": fingerprint(certificate)}
    output.say(told, f"{args.file} has the certificate of {uri}: {fingerprint(certificate)}")


def _share(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    uri = _uri(args.what)
    if store.shared(uri) is not None and not args.yes:
        question = f"there is a key shared with {uri}, which has to get the new one, too. Make another? [y/N]"
        if ask_person(question).lower() not in ("y", "yes"):
            raise ToolError("nothing was changed; --yes makes another without a question")
    name = store.share(uri)[0].hex()
    output.say({"event": "shared", "uri": uri, "name": name}, f"a key named {name} is shared with {uri} from now on")


def _policy(args: argparse.Namespace, store: KeyStore, output: Output) -> None:
    uri = args.what if args.what in (None, EVERYBODY) else _uri(args.what)
    if args.send or args.take:
        if uri is None:
            raise ToolError("whose policy? sipmote keys policy URI --send require; * is everybody without one")
        store.set_policy(uri, args.send, args.take)
    for who in [uri] if uri else sorted({EVERYBODY, *store.policies()}):
        send, take = store.policy(who)
        output.say({"event": "policy", "uri": who, "send": send, "take": take}, (who, "bold"), f"  {send}  {take}")


def _uri(text: str) -> str:
    try:
        return named(text)
    except UsageError as error:
        raise ToolError(str(error)) from None


def _whose(certificate: x509.Certificate) -> str:
    found = names(certificate)
    return found[0] if found else certificate.subject.rfc4514_string()


def _read(path: str) -> list[x509.Certificate]:
    """Return the certificates of a file, PEM or DER; raises ToolError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from None
    one = None if b"-----BEGIN" in data else load_certificate(data)
    return [one] if one is not None else read_certificates("keys", path)


_ACTIONS: dict[str, Callable[[argparse.Namespace, KeyStore, Output], None]] = {
    "show": _show,
    "create": _create,
    "import": _import,
    "trust": _trust,
    "export": _export,
    "rotate": _rotate,
    "share": _share,
    "policy": _policy,
}
