"""The keys of a board that protects what it sends and takes (S/MIME): made there, certified here, and those of others.

The board's private key never leaves it. All is there before the configuration asks for it, and nothing that is in use
is changed in part: run it again after whatever happens.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sipmote.agent.cms.tables import GENERATOR, make_table
from sipmote.agent.cpim.identity import CPIM, identify
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import UsageError
from sipmote.agent.request import BUDGET
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.board.config import Config
from sipmote.board.stored import run_lean
from sipmote.board.survey import TOOLS, answers, the_answer
from sipmote.errors import ToolError
from sipmote.link.repl import Board
from sipmote.people import logins, person
from sipmote.smime.keys import Identity, identifiers, load_certificate
from sipmote.smime.store import KeyStore
from sipmote.smime.writer import Writer

_CHUNK = 1024  # octets a script
_CURVE = ec.SECP256R1()
_LONG = 300  # octets of a text whose every length takes as much room as any's
_LOOK = """
try:
 for e in os.ilistdir('/smime'):
  with open('/smime/'+e[0],'rb') as f:
   if e[0]!='own':
    say(e[0],hexlify(hashlib.sha256(f.read()).digest()).decode())
except OSError:
 pass
"""
_FOLDER = """
try:
 os.mkdir('/smime')
except OSError:
 pass
"""
_OWN = """
import json
i=c=''
try:
 with open('/smime/own') as f:
  i=json.load(f)['id']
 with open('/smime/certificate','rb') as f:
  c=hexlify(f.read()).decode()
except (OSError,KeyError,ValueError):
 pass
say(i,c)
"""
_CAN = """
try:
 import cryptolib
 os.urandom(1)
 import mote.new_key
 say('')
except (ImportError,AttributeError) as e:
 say(str(e))
"""
_MAKE = """
import sys
sys.modules.pop('mote.new_key',None)
from mote.new_key import make
say(make(%r))
"""
_NAME = """
from mote.new_key import name
name(%r)
say(0)
"""
_END = """
f.close()
with open(%r,'rb') as f:
 d=hexlify(hashlib.sha256(f.read()).digest()).decode()
if d==%r:
 os.rename(%r,%r)
say(d)
"""
_TIDY = """
import json
try:
 with open('/smime/seen') as f:
  json.load(f)
except OSError:
 pass
except ValueError:
 os.remove('/smime/seen')
for e in os.ilistdir('/smime'):
 if e[0] not in %r:
  os.remove('/smime/'+e[0])
if hasattr(os,'sync'):
 os.sync()
"""
_KEPT = ("own", "seen", "shown", "g", "peers", "certificate")
_AGAIN = "sipmote provision --protect gives it what it lacks"
_Peer = tuple[str, x509.Certificate | tuple[bytes, bytes]]  # URI, and its certificate or name and key of what is shared


class Protecting:
    """Gives a stopped board its keys, and those of who it writes to and takes commands from."""

    def __init__(self, board: Board, store: KeyStore) -> None:
        self._board = board
        self._store = store

    def run(self, config: Config, mode: str, anew: bool) -> str:
        """Have the board ready for the setting protect; returns what was done. anew: it makes another key.

        config: with aor and to. Raises ToolError.
        """
        peers = self._peers(config, mode, makes=True)  # before the board is touched
        self._check_firmware()
        there = dict(answers(self._board.run(TOOLS + _FOLDER + _LOOK)))
        files: dict[str, bytes] = {"g": make_table(*GENERATOR)}
        certificate = None
        if mode != "shared":
            self._write("g", files["g"], there)
            certificate = self._certify(config["aor"], anew)
            files["certificate"] = certificate.public_bytes(serialization.Encoding.DER)
        entries = []
        for uri, found in peers:
            entry, tables = _entry(uri, found)
            entries.append(entry)
            files |= tables
        files["peers"] = _encoded(entries)
        for name, data in files.items():  # who is named last
            self._write(name, data, there)
        if certificate is not None:
            run_lean(self._board, _NAME % ([one.hex() for one in identifiers(certificate)],))
        self._board.run(TOOLS + _TIDY % (sorted({*_KEPT, *files}),))
        fits = f"an alert of up to {room(config, mode, certificate, peers)} octets fits"
        return f"{mode}, with keys for {', '.join(uri for uri, _ in peers) or 'nobody'}; {fits}"

    def check(self, config: Config) -> str:
        """Return which keys the board has for its settings protect and require; nothing is changed.

        Raises ToolError, with the remedy, for what is wrong with them.
        """
        mode = config.get("protect") or ("shared" if config.get("require") == "shared" else "sign")
        self._check_firmware()
        there = dict(answers(self._board.run(TOOLS + _LOOK)))
        if "peers" not in there:
            raise ToolError(f"there are none on the board: {_AGAIN}")
        entries = []
        for uri, found in self._peers(config, mode, makes=False):
            entry, tables = _entry(uri, found)
            entries.append(entry)
            if any(there.get(name) != _digest(data) for name, data in tables.items()):
                raise ToolError(f"the board has another key of {uri} than sipmote keys has, or none: {_AGAIN}")
        others = f"keys for {len(entries)}"
        if there["peers"] != _digest(_encoded(entries)):
            raise ToolError(f"/smime/peers isn't what sipmote keys has for to and allow: {_AGAIN}")
        if mode == "shared":
            return others
        if there.get("g") != _digest(make_table(*GENERATOR)):
            raise ToolError(f"/smime/g is missing or damaged: {_AGAIN}")
        return f"its own, certified until {self._certified(config['aor']):%F}, and {others}"

    def _certified(self, aor: str) -> datetime:
        """Return the end of the certificate of a board's own key. Raises ToolError where something is wrong with it."""
        called, octets = the_answer(run_lean(self._board, _OWN), 2)
        certificate = load_certificate(bytes.fromhex(octets))
        if certificate is None or identifiers(certificate)[0].hex() != called:
            raise ToolError(f"the board has no key of its own with its certificate: {_AGAIN}")
        if certificate != self._store.certificate(aor):
            raise ToolError(f"the board's certificate isn't the one that sipmote keys has for {aor}: {_AGAIN}")
        if self._store.is_old(certificate):
            raise ToolError(f"its certificate ends at {certificate.not_valid_after_utc:%F}: {_AGAIN}")
        return certificate.not_valid_after_utc

    def _check_firmware(self) -> None:
        (lacks,) = the_answer(run_lean(self._board, _CAN), 1)
        if lacks:
            raise ToolError(f"the board's firmware or packages lack what protection needs ({lacks}): sipmote deploy")

    def _peers(self, config: Config, mode: str, makes: bool) -> list[_Peer]:
        """Return whom the board writes to or obeys, each with a certificate or a shared key. Raises ToolError.

        makes: a shared key where there is none.
        """
        recipients = _listed(config["to"])
        found: dict[str, _Peer] = {}
        for uri in (*recipients, *_listed(config.get("allow", ()))):
            if mode == "shared":
                key = self._store.shared(uri) or (self._store.share(uri) if makes else None)
                if key is None:
                    raise ToolError(f"no key is shared with {uri} here: {_AGAIN}")
                found.setdefault(person(uri), (uri, key))
                continue
            certificate = self._store.certificate(uri)
            if certificate is not None:
                found.setdefault(person(uri), (uri, certificate))
            elif "encrypt" in mode and uri in recipients:
                raise ToolError(
                    f"there is no certificate of {uri} to encrypt to: sipmote keys create {uri} if that is your own "
                    "inbox, else sipmote keys trust FILE"
                )
        return list(found.values())

    def _certify(self, aor: str, anew: bool) -> x509.Certificate:
        """Have the board make its key, if it has none, and return the certificate of it."""
        (point,) = the_answer(run_lean(self._board, _MAKE % (anew,)), 1)
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, bytes.fromhex(point))
        except ValueError:
            raise ToolError("the board's key is no point of its curve: add --new-key, for another") from None
        before = self._store.certificate(aor)
        if before is not None and before.public_key() == public and not self._store.is_old(before):
            return before
        return self._store.issue(aor, public)

    def _write(self, name: str, data: bytes, there: dict[str, str]) -> None:
        """Put a file into /smime, whole or not at all, unless it is there."""
        digest = _digest(data)
        if there.get(name) == digest:
            return
        path = f"/smime/{name}"
        new = path + ".new"
        run_lean(self._board, f"f=open({new!r},'wb')\n")
        for at in range(0, len(data), _CHUNK):
            self._board.run(f"f.write(a2b_base64({base64.b64encode(data[at : at + _CHUNK])!r}))\n")
        if answers(self._board.run(_END % (new, digest, new, path))) != [(digest,)]:
            raise ToolError(f"{path} did not arrive as it was sent: check the cable and try again")
        there[name] = digest


def room(config: Config, mode: str, own: x509.Certificate | None, peers: Iterable[_Peer]) -> int:
    """Return how many octets an alert's text may have, in the 1300 of RFC 3428 section 8.

    mode: the setting protect. own: the board's certificate, None without one. peers: with their keys; the one counts to
    whom there is the least. With a password there has to be room for the answer to a challenge. Raises ToolError where
    no text fits.
    """
    aor = config["aor"].encode()
    login = (config.get("user") or logins(config["aor"])[0]).encode()
    credentials = ((b"", login, b"x"),) if config.get("password") else ()
    board = UserAgent(aor, b"255.255.255.255:65535", os.urandom, credentials=credentials)
    keys = dict(peers)
    signer = None if own is None or not mode.startswith("sign") else Identity(ec.generate_private_key(_CURVE), own)
    rooms = []
    for uri in _listed(config["to"]):
        writer = Writer(signer, None if mode == "sign" else keys.get(uri), False)
        to = parse_uri(uri.encode()).address_of_record()
        content = build_cpim(aor, to, b"x" * _LONG, unix=0, extra=identify(b"0" * 20))
        kind, body = writer.protect(CPIM, content, to_measure=True)
        around = len(body) - _LONG
        try:
            bodies, _ = board.fit(uri.encode(), b"x" * BUDGET, "truncate", around, content_type=kind, date=1)
        except UsageError:
            beside = " beside what a server's challenge takes" if credentials else ""
            raise ToolError(
                f"no alert of the board fits into {BUDGET} octets{beside}, protect={mode}: take sign, encrypt or shared"
            ) from None
        rooms.append(len(bodies[0]))
    return min(rooms)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _encoded(entries: list[dict[str, object]]) -> bytes:
    """Return what is in /smime/peers."""
    return json.dumps(entries, separators=(",", ":")).encode()


def _listed(uris: str | Iterable[str]) -> list[str]:
    return [uris] if isinstance(uris, str) else list(uris)


def _entry(uri: str, key: x509.Certificate | tuple[bytes, bytes]) -> tuple[dict[str, object], dict[str, bytes]]:
    """Return what /smime/peers has of somebody, and the files that it names."""
    if isinstance(key, tuple):
        return {"uri": uri, "name": key[0].hex(), "key": key[1].hex()}, {}
    ids = [one.hex() for one in identifiers(key)]
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        return {"uri": uri, "ids": ids, "modulus": modulus.hex(), "exponent": numbers.e}, {}
    assert isinstance(public, ec.EllipticCurvePublicKey)
    point = public.public_numbers()
    table = make_table(point.x, point.y)
    name = _digest(table)[:12]
    return {"uri": uri, "id": ids[0], "ids": ids, "table": name}, {name: table}
