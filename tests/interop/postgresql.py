"""PostgreSQL on loopback: one cluster for each process that tests, in a temporary folder, with fsync as it is."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.interop.peers import DEADLINE_S, free_port

USER, PASSWORD = "sipmote", "p@ss:w/rd?"
ENCODED = "p%40ss%3Aw%2Frd%3F"


def _bin() -> Path:
    """Return the folder of the programs; where they are missing the test is skipped, or fails when CI is set."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if not initdb:
        assert not os.environ.get("CI"), "install postgresql"
        pytest.skip("no initdb here (Debian: postgresql)")
    return Path(initdb).parent


class Cluster:
    """A server of ours. It refuses to run as root: then the user that its package has made runs it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder / "cluster"
        self._log = folder / "log"
        self._bin = _bin()
        self._user: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            try:
                person = pwd.getpwnam("postgres")
            except KeyError:
                assert not os.environ.get("CI"), "install postgresql"
                pytest.skip("PostgreSQL doesn't run as root, and there is no user postgres")
            self._user = {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
            os.chown(folder, person.pw_uid, person.pw_gid)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        command = [self._bin / "initdb", "-D", self._folder, "-U", USER, "-A", "scram-sha-256", "-E", "UTF8"]
        command += ["--no-locale", "--no-sync", f"--pwfile={folder / 'password'}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **self._user)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is up."""
        command = [self._bin / "postgres", "-D", self._folder, "-p", str(self.port), "-k", ""]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "lc_messages=C"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._log.parent, stdout=log, stderr=log, **self._user)
        end = time.monotonic() + 3 * DEADLINE_S  # what had crashed reads its log first, on a disk that does much else
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end and self._process.poll() is None, self._log.read_text()
                time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks all connections, SIGQUIT is as if it had crashed."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(DEADLINE_S)
            self._process = None

    def url(self, database: str, password: str = ENCODED, port: int = 0) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(database), autocommit=True)

    def database(self) -> str:
        """Make an empty database, and return its name."""
        name = f"test{secrets.token_hex(6)}"
        with contextlib.closing(self.connect("postgres")) as db:
            db.execute(f"CREATE DATABASE {name}")
        return name


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Not in a folder of pytest: each run that begins closes that to other users, while this one lasts."""
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder:
        started = Cluster(Path(folder))
        try:
            yield started
        finally:
            started.stop()
