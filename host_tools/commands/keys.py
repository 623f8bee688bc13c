"""`sipmote keys`: keys to sign and to decrypt with, and those of others."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sipmote.agent.errors import UsageError
from sipmote.console import Output, ask_person
from sipmote.errors import ToolError
from sipmote.files import write_whole
from sipmote.people import named, person
from sipmote.smime.keys import load_certificate, may_receive, names, read_certificates
from sipmote.smime.store import DAYS, EVERYBODY, POLICIES, SOON, KeyStore, fingerprint

_ACTIONS = ("show", "create", "trust", "export", "rotate", "share", "policy")
_DAY_S = 86400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote keys`."""
    parser.description = (
        "Keep keys for S/MIME (RFC 8591), in the folder keys of the data folder. show: all of them, or one; create "
        "URI: one of ours; trust FILE: somebody's certificate, once two people have compared its fingerprint; export "
        "URI [FILE]: our certificate, to give to others; rotate URI: another key in place of ours; share URI: a key of "
        "AES that two have, for small boards; policy URI: what has to be protected, * for all others."
    )
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="show", help="default: show")
    parser.add_argument("what", nargs="?", metavar="URI|FILE", help="a URI, a name that stands for one, or a file")
    parser.add_argument("file", nargs="?", metavar="FILE", help="for export (default: standard output)")
    parser.add_argument(
        "--days", type=int, default=DAYS, metavar="N", help="that a new certificate is valid (default: %(default)d)"
    )
    parser.add_argument("--yes", action="store_true", help="trust it without a question: its fingerprint was compared")
    what = "protected or not at all, if it can be, or never"
    parser.add_argument("--send", choices=POLICIES, help=f"policy for what goes there: {what}")
    parser.add_argument("--take", choices=POLICIES, help="policy for what comes from there")


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    if not 1 <= args.days <= 36500:
        raise ToolError(f"--days {args.days}: 1 to 36500 were expected")
    _Keys(args, Output(args.json)).run()
    return 0


class _Keys:
    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        self._args = args
        self._output = output
        self._store = KeyStore()

    def run(self) -> None:
        action = self._args.action
        if self._args.file is not None and action != "export":
            raise ToolError(f"{self._args.file}: only export takes a file behind the URI")
        if (self._args.send or self._args.take) and action != "policy":
            raise ToolError("--send and --take are for sipmote keys policy")
        getattr(self, f"_{action}")()

    def _uri(self, is_anybody_right: bool = False) -> str:
        """Return the URI that is meant. Raises ToolError."""
        what = self._args.what
        if what is None:
            raise ToolError(f"sipmote keys {self._args.action} wants a URI, such as sip:desk@example.org")
        if what == EVERYBODY and is_anybody_right:
            return EVERYBODY
        try:
            return named(what)
        except UsageError as error:
            raise ToolError(str(error)) from None

    # Actions

    def _show(self) -> None:
        what = self._args.what
        if what is not None and Path(what).is_file():
            for one in read_certificates("keys show", what):
                self._tell("file", one)
            return
        wanted = None if what is None else person(self._uri())
        entries = [("ours", one.certificate) for one in self._store.owned()]
        entries += [("trusted", one) for one in self._store.trusted()]
        shown = [(kind, one) for kind, one in entries if wanted in (None, *map(person, names(one)))]
        for kind, one in shown:
            self._tell(kind, one)
        has_more = False
        for uri, (name, _) in sorted(self._store.all_shared().items()):
            if wanted in (None, person(uri)):
                event = {"event": "shared", "uri": uri, "name": name.hex()}
                self._output.say(
                    event, ("shared   ", "bold"), f"{uri}  a key of AES that both have, called {name.hex()}"
                )
                has_more = True
        for uri, entry in sorted(self._store.policies().items()):
            if wanted in (None, person(uri)):
                self._tell_policy(uri, entry)
                has_more = True
        if not (shown or has_more):
            whose = "" if what is None else f" of {what}"
            self._output.say(None, f"there is no key{whose}; sipmote keys create sip:you@example.org makes one")

    def _create(self) -> None:
        self._tell("ours", self._store.create(self._uri(), self._args.days).certificate)

    def _rotate(self) -> None:
        uri = self._uri()
        self._tell("ours", self._store.rotate(uri, self._args.days).certificate)
        self._output.say(
            None,
            "the key before still decrypts. Who encrypts to you needs the new certificate: sipmote keys export, and "
            "for boards sipmote provision --protect",
        )

    def _trust(self) -> None:
        path = self._args.what
        if path is None:
            raise ToolError("sipmote keys trust wants the file of a certificate, in PEM or DER")
        certificate = _certificate_in(path)
        before = next((self._store.certificate(uri) for uri in names(certificate)[:1]), None)
        if before == certificate:
            self._output.say({"event": "unchanged"}, "that one is trusted already")
            return
        self._tell("file", certificate)
        if before is not None:
            self._output.warn(f"it would take the place of another one: {fingerprint(before)}")
        if not self._args.yes:
            self._ask()
        self._store.trust(certificate)
        self._output.say({"event": "trusted", "uri": next(iter(names(certificate)), None)}, "it is trusted now")

    def _ask(self) -> None:
        question = "does its owner read the same fingerprint to you, by telephone or face to face? [y/N]"
        if ask_person(question).lower() not in ("y", "yes"):
            raise ToolError("it is not trusted: answer y, or add --yes")

    def _export(self) -> None:
        uri = self._uri()
        certificate = self._store.certificate(uri)
        if certificate is None:
            raise ToolError(f"there is no certificate of {uri}: sipmote keys create {uri} makes a key with one")
        text = certificate.public_bytes(serialization.Encoding.PEM).decode()
        if self._args.file is None:
            lines = text.rstrip("\n").split("\n")
            self._output.say({"event": "certificate", "uri": uri, "pem": text}, lines[0])
            for line in lines[1:]:
                self._output.say(None, line)
            return
        write_whole(Path(self._args.file), text)
        self._output.say({"event": "written", "uri": uri, "file": self._args.file}, f"written: {self._args.file}")

    def _share(self) -> None:
        uri = self._uri()
        if self._store.shared(uri) is not None and not self._args.yes:
            question = f"{uri} has a key to share already, which another one replaces at both ends: go on? [y/N]"
            if ask_person(question).lower() not in ("y", "yes"):
                raise ToolError("nothing was changed: answer y, or add --yes")
        name, _ = self._store.share(uri)
        self._output.say(
            {"event": "shared", "uri": uri, "name": name.hex()},
            f"a key to share with {uri} is made, called {name.hex()}; sipmote provision --protect shared hands it over",
        )

    def _policy(self) -> None:
        uri = self._uri(is_anybody_right=True)
        if self._args.send or self._args.take:
            self._store.set_policy(uri, self._args.send, self._args.take)
        send, take = self._store.policy(uri)
        self._tell_policy(uri, {"send": send, "take": take})

    # Lines

    def _tell_policy(self, uri: str, entry: dict[str, str]) -> None:
        parts = [f"{key} {entry[key]}" for key in ("send", "take") if key in entry]
        event: dict[str, Any] = {"event": "policy", "uri": uri}
        event |= {key: entry[key] for key in ("send", "take") if key in entry}
        self._output.say(event, ("policy   ", "bold"), f"{uri}  {', '.join(parts)}")

    def _tell(self, kind: str, certificate: x509.Certificate) -> None:
        found = names(certificate)
        who = found[0] if found else certificate.subject.rfc4514_string()
        digits = fingerprint(certificate)
        last = certificate.not_valid_after_utc
        days = (last - datetime.now(UTC)).total_seconds() / _DAY_S
        event: dict[str, Any] = {
            "event": "key",
            "kind": kind,
            "uri": found[0] if found else None,
            "who": who,
            "fingerprint": digits,
            "valid_until": f"{last:%Y-%m-%dT%H:%M:%SZ}",
            "decrypts": may_receive(certificate),
        }
        state = f"until {last:%Y-%m-%d}" if days > 0 else f"EXPIRED {last:%Y-%m-%d}"
        self._output.say(event, (f"{kind:9}", "bold"), f"{who}  {digits}  {state}")
        if days < SOON.days:
            remedy = (
                "sipmote keys rotate" if kind == "ours" else "ask its owner for a new one; a board: sipmote provision"
            )
            text = f"{who} {'has expired' if days <= 0 else f'expires in {days:.0f} days'}: {remedy}"
            self._output.warn(text, {"event": "warning", "text": text})


def _certificate_in(path: str) -> x509.Certificate:
    """Return the first certificate in a file, PEM or DER. Raises ToolError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from None
    found = load_certificate(data) if data[:1] == b"\x30" else read_certificates("keys trust", path)[0]
    if found is None:
        raise ToolError(f"{path}: a certificate in PEM or DER was expected in it")
    return found
