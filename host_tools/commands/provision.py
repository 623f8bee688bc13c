"""`sipmote provision`: boards told who they are and where their network is, and tried."""

import argparse
import contextlib
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from sipmote.board.config import PROTECTIONS, Config, parse_config
from sipmote.board.files import read_file
from sipmote.board.findings import FAILED, Finding, say, well
from sipmote.board.provision_fields import WHERE, Given, Prompts, from_csv, from_env_file, from_environment
from sipmote.board.provisioning import Provisioning
from sipmote.board.stored import shown
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.arguments import add_port, port_of
from sipmote.link.port import named_port, real_path, usb_ports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote provision`."""
    parser.description = (
        "Write Wi-Fi, SIP identity, recipients and commanders to a board, set its clock, and try it all there: a test "
        "alert goes to each recipient. What is to be written comes from prompts, from --from, and from the environment "
        "(SIPMOTE_AOR, SIPMOTE_TO, SIPMOTE_WIFI and SIPMOTE_WIFI_PASSWORD, ...), and is checked before a board is "
        "touched. Exit code 1 if anything failed; run it again as often as you like."
    )
    add_port(parser)
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help=".json: a whole mote.json; .env: NAME=VALUE lines; .csv: many boards, a row each, with a column port or "
        "serial (of USB) and one for each key (wifi_password, password, commander and commander_password, too)",
    )
    parser.add_argument(
        "--protect",
        choices=PROTECTIONS,
        help="give the board keys and have it protect what it sends, end to end by S/MIME: it makes its own key, which "
        "never leaves it, and gets a certificate of our authority; recipients' certificates are those of sipmote keys",
    )
    parser.add_argument("--new-key", action="store_true", help="with --protect: another key in place of its own")
    parser.add_argument("--no-try", action="store_true", help="write it and don't try it: no alert is sent")


@dataclass(frozen=True)
class _Job:
    """A board, by its port or its USB serial number, and what it is to be told."""

    port: str
    serial: str
    given: Given

    @property
    def name(self) -> str:
        return self.serial or self.port

    def device(self) -> str:
        """Return the port; raises ToolError for a board that isn't there."""
        if not self.serial:
            return named_port(self.port)
        devices = [port.device for port in usb_ports() if port.serial_number == self.serial]
        if len(devices) != 1:
            there = ", ".join(str(port.serial_number) for port in usb_ports()) or "none"
            count = "no board has" if not devices else f"{len(devices)} boards have"
            raise ToolError(f"{count} the serial number {self.serial} (there are: {there})")
        return devices[0]


def run(args: argparse.Namespace) -> int:
    """Read what is wanted, check it, and do it."""
    output = Output(args.json)
    given_here = {"protect": args.protect} if args.protect else {}
    if args.source and args.source.suffix.lower() == ".csv":
        if args.port:
            raise ToolError("--port: the CSV says which boards")
        return _Batch(_jobs(args.source, output, given_here), output, not args.no_try, args.new_key).run()
    given = _given(args.source, output, given_here)
    given.check()
    device = port_of(args)

    def tell(finding: Finding) -> None:
        if finding.about == "configuration":
            _say_settings(output, provisioning.config or {})
        say(output, finding, device)

    provisioning = Provisioning(device, given, output, tell, not args.no_try, args.new_key)
    provisioning.run()
    return 0 if well(provisioning.findings) else 1


def _say_settings(output: Output, config: Config) -> None:
    """Say what a board has been read back to have."""
    for key, value in sorted(config.items()):
        value = shown(key, value)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        output.say({"event": "setting", "key": key, "value": value}, (f"{key:16}", "bold"), text)


def _given(source: Path | None, output: Output, more: dict[str, str]) -> Given:
    """Return what one board is to be told. more: fields that come from arguments."""
    if source and source.suffix.lower() == ".json":
        _look_who_reads(source, output)
        return Given(more, parse_config(read_file(source), str(source)), str(source))
    if source:
        _look_who_reads(source, output)
        fields = from_environment({**from_env_file(source), **more})
    else:
        fields = from_environment(more)
        if sys.stdin.isatty():
            fields = Prompts(output, fields).ask()
    if not fields:
        raise ToolError("nothing to write: add --from FILE, or set SIPMOTE_AOR, SIPMOTE_TO and so on")
    return Given(fields, where=str(source or "the answers"))


def _jobs(source: Path, output: Output, more: dict[str, str]) -> list[_Job]:
    """Return what a CSV asks for, all of it checked. more: fields that come from arguments."""
    _look_who_reads(source, output)
    jobs = []
    for row in from_csv(source):
        port, serial = (row.pop(name, "") for name in WHERE)
        given = Given(from_environment({**row, **more}), where="its row")
        jobs.append(_Job(port, serial, given))
        try:
            given.check()
        except ToolError as error:
            raise ToolError(f"{source}, {jobs[-1].name}: {error}") from None
    if not jobs:
        raise ToolError(f"{source} has no row below its names")
    _check_twins(source, jobs)
    return jobs


def _check_twins(source: Path, jobs: list[_Job]) -> None:
    """Raise ToolError for two rows that are for one board, by two of its names, as far as it is there."""
    found: dict[str, str] = {}
    for job in jobs:
        with contextlib.suppress(ToolError):  # it may come; else its row fails
            device = real_path(job.device())
            if found.setdefault(device, job.name) != job.name:
                break
    else:
        return
    raise ToolError(f"{source}: {job.name} and {found[device]} are one board, {device}: leave one of the rows out")


def _look_who_reads(source: Path, output: Output) -> None:
    """Warn of a file with passwords that others may read; a pipe is read once, by who needs it."""
    if not source.is_file():
        return
    has_passwords = b"password" in read_file(source).lower()
    if has_passwords and os.name != "nt" and source.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        output.warn(f"{source} has passwords and others may read it: chmod 600 {source}")


class _Batch:
    """Many boards, one after the other. Each that went well is told at once, those that failed in the end."""

    def __init__(self, jobs: list[_Job], output: Output, tries: bool, new_keys: bool) -> None:
        self._jobs = jobs
        self._new_keys = new_keys
        self._output = output
        self._tries = tries
        self._failures: list[tuple[_Job, list[Finding]]] = []
        self._done = 0

    def run(self) -> int:
        """Do them all; returns the exit code. Ctrl-C ends it with the report so far."""
        try:
            for job in self._jobs:
                self._provision(job)
                self._done += 1
        finally:
            self._report()
        return 1 if self._failures else 0

    def _provision(self, job: _Job) -> None:
        try:
            provisioning = Provisioning(
                job.device(), job.given, self._output, lambda finding: None, self._tries, self._new_keys
            )
            provisioning.run()
            findings = provisioning.findings
        except ToolError as error:  # no such board
            findings = [Finding("board", FAILED, str(error))]
        if well(findings):
            self._say(job, findings)
        else:
            self._failures.append((job, findings))

    def _report(self) -> None:
        for job, findings in self._failures:
            self._say(job, findings)
        left = len(self._jobs) - self._done
        failed = len(self._failures)
        event = {"event": "batch", "boards": len(self._jobs), "ok": self._done - failed, "failed": failed, "left": left}
        rest = f", {left} not reached" if left else ""
        self._output.say(event, f"{self._done - failed} of {len(self._jobs)} boards well, {failed} failed{rest}")

    def _say(self, job: _Job, findings: list[Finding]) -> None:
        failed = [finding for finding in findings if finding.state == FAILED]
        told = [{"about": finding.about, "text": finding.text, "remedy": finding.remedy or None} for finding in failed]
        event = {"event": "provisioned", "board": job.name, "aor": job.given.fields.get("aor"), "ok": not failed}
        words = "; ".join(f"{one.about}: {one.text}" + (f" -> {one.remedy}" if one.remedy else "") for one in failed)
        state = ("failed    ", "bold red") if failed else ("ok        ", "green")
        self._output.say({**event, "failed": told}, state, f"{job.name}  {job.given.fields.get('aor', '')}  {words}")
