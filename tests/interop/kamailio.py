"""A Kamailio of our own that asks for passwords and then says 200: no database, on a free port of loopback.

The user of the Request-URI chooses how it asks: "www" with 401, "proxy" with 407, "old" without qop, "both" with 407
and then 401. In realm interop.test there is alice with the password wonder; in realm inner.test, that of the 401 behind
a 407, steam is everybody's.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEADLINE_S = 20
_ROOT = Path(__file__).resolve().parents[2]
_PLACES = [_ROOT.parent / "shared" / "interop", _ROOT.parent.parent / "shared" / "interop"]
_CONFIGURATION = """#!KAMAILIO
log_stderror=yes
debug=0
children=1
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
listen=udp:127.0.0.1:PORT
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "auth.so"
ALGORITHM
modparam("auth", "nonce_expire", EXPIRE)
modparam("auth", "nonce_count", COUNT)

request_route {
    if (method == "OPTIONS") {
        sl_send_reply("200", "OK");
        exit;
    }
    if ($rU == "proxy" || $rU == "both") {
        if ($au != "alice" || !pv_proxy_authenticate("interop.test", "wonder", "0")) {
            proxy_challenge("interop.test", "1");
            exit;
        }
    }
    if ($rU == "both") {
        if (!pv_www_authenticate("inner.test", "steam", "0")) {
            www_challenge("inner.test", "1");
            exit;
        }
    }
    if ($rU == "www" || $rU == "old") {
        if ($au != "alice" || !pv_www_authenticate("interop.test", "wonder", "0")) {
            if ($rU == "old") {
                www_challenge("interop.test", "0");
            } else {
                www_challenge("interop.test", "1");
            }
            exit;
        }
    }
    sl_send_reply("200", "OK");
}
"""
_OPTIONS = (
    b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"
    b"From: <sip:up@127.0.0.1>;tag=1\r\nTo: <sip:up@127.0.0.1>\r\nCall-ID: up\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def free_port() -> int:
    """Return a port that nobody has at the moment, for UDP and TCP, nor the next one for TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
            try:
                for number in (port, port + 1):
                    socket.create_server(("127.0.0.1", number)).close()
                return port
            except (OSError, OverflowError):
                pass


@contextmanager
def registrar(folder: Path, options: str) -> Iterator[int]:
    """The registrar, proxy and store of ../shared/interop with these options; gives its port, TLS is on the next one.

    Skips where there is none, but in CI.
    """
    script = next((place / "kamailio" / "kamailio.sh" for place in _PLACES if place.exists()), None)
    if script is None or not shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin:/usr/bin"):
        assert not os.environ.get("CI"), "Kamailio and ../shared/interop were expected"
        pytest.skip("no Kamailio or no ../shared/interop here")
    for attempt in range(3):  # somebody may take the port before Kamailio does
        port = free_port()
        environment = {**os.environ, "SIP_PORT": str(port), "TLS_PORT": str(port + 1), "RUN_DIR": str(folder)}
        command = {"env": {**environment, "OPTS": options}, "capture_output": True, "text": True, "timeout": 60}
        started = subprocess.run(["sh", str(script), "start"], **command)  # type: ignore[call-overload]
        if started.returncode == 0:
            break
        assert attempt < 2, started.stdout + started.stderr
    try:
        yield port
    finally:
        subprocess.run(["sh", str(script), "stop"], check=True, **command)  # type: ignore[call-overload]


@contextmanager
def kamailio(folder: Path, algorithm: str | None, expire_s: int = 300, count: bool = True) -> Iterator[int]:
    """Run one; gives its port. algorithm: of its challenges, None to name none. Skips without Kamailio, but in CI.

    count: does it ask for nonce counts that rise?
    """
    program = shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin")
    if not program:
        assert not os.environ.get("CI"), "install kamailio"
        pytest.skip("no kamailio here")
    port = free_port()
    named = f'modparam("auth", "algorithm", "{algorithm}")' if algorithm else ""
    text = _CONFIGURATION.replace("PORT", str(port)).replace("ALGORITHM", named)
    text = text.replace("EXPIRE", str(expire_s)).replace("COUNT", "1" if count else "0")
    (folder / "kamailio.cfg").write_text(text)
    log = folder / "kamailio.log"
    with log.open("wb") as file:
        command = [program, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-Y", str(folder), "-w", str(folder)]
        process = subprocess.Popen([*command, "-m", "16", "-M", "4"], stdout=file, stderr=file)  # MB of memory
    try:
        _await(process, port, log)
        yield port
    finally:
        process.terminate()  # the first process; it ends the others
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.connect(("127.0.0.1", port))
        while True:
            try:
                sock.send(_OPTIONS)
                sock.recv(4096)
                return
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.05)
