"""Kamailio with configurations of our own: one that only asks for passwords, a registrar with a proxy and a store, and
an edge proxy before it (RFC 5626).

The password of each user is the user's name with "-secret" behind.
"""

import os
import re
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme

from tests.interop.peers import free_port, program, running, wait_until

_COMMON = """#!KAMAILIO
log_stderror=yes
debug=0
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "auth.so"
"""

# The user of the Request-URI chooses how it asks: "www" with 401, "proxy" with 407, "old" without qop, "both" with 407
# and then 401. alice is known in realm interop.test; in realm inner.test, that of the 401 behind a 407, steam is
# everybody's password.
_CHALLENGER = (
    _COMMON
    + """
#!ifdef ALGORITHM
modparam("auth", "algorithm", ALGORITHM)
#!endif
modparam("auth", "nonce_expire", EXPIRE)
modparam("auth", "nonce_count", COUNT)

request_route {
    if (method == "OPTIONS") {
        sl_send_reply("200", "OK");
        exit;
    }
    if ($rU == "proxy" || $rU == "both") {
        if ($au != "alice" || !pv_proxy_authenticate("interop.test", "alice-secret", "0")) {
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
        if ($au != "alice" || !pv_www_authenticate("interop.test", "alice-secret", "0")) {
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
)

_REGISTRAR = (
    _COMMON
    + """
alias="interop.test"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "kex.so"
modparam("registrar", "min_expires", 1)
modparam("registrar", "max_expires", EXPIRES)
modparam("registrar|nathelper", "received_avp", "$avp(received)")
modparam("usrloc", "nat_bflag", 1)
modparam("tm", "fr_timer", PATIENCE)
#!ifdef OUTBOUND
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 1)
modparam("registrar", "outbound_mode", 1)
modparam("registrar", "flow_timer", 1)
#!endif
#!ifdef SHA256
modparam("auth", "algorithm", "SHA-256")
#!endif
#!ifdef TLS
enable_tls=yes
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "FOLDER/server.pem")
modparam("tls", "private_key", "FOLDER/server.key")
#!endif
#!ifdef STORE
loadmodule "db_sqlite.so"
loadmodule "msilo.so"
modparam("msilo", "db_url", "sqlite:///FOLDER/store.db")
modparam("msilo", "outbound_proxy", "OURSELVES")
#!ifndef DATE
modparam("msilo", "add_date", 0)
#!endif
#!endif

request_route {
    force_rport();
    if (!mf_process_maxfwd_header("70")) {
        sl_send_reply("483", "Too Many Hops");
        exit;
    }
    if (method == "OPTIONS") {
        sl_send_reply("200", "OK");
        exit;
    }
    if (method == "REGISTER") {
        route(REGISTER);
        exit;
    }
    loose_route();
#!ifdef AUTH
    if (from_uri == myself && !($si == $Ri && $sp == $Rp)) {  # not what the store sends through ourselves
        $var(password) = $au + "-secret";
        if ($au != $fU || !pv_proxy_authenticate("interop.test", "$var(password)", "0")) {
            proxy_challenge("interop.test", "1");
            exit;
        }
        consume_credentials();
    }
#!endif
    $avp(wanted) = $ru;
    if (uri == myself && !lookup("location")) {
        route(KEEP);
        sl_send_reply("404", "Nobody Here");
        exit;
    }
    t_on_failure("MISSED");
    if (!t_relay()) {
        sl_reply_error();
    }
}

route[REGISTER] {
#!ifdef AUTH
    $var(password) = $au + "-secret";
    if ($au != $tU || !pv_www_authenticate("interop.test", "$var(password)", "0")) {
        www_challenge("interop.test", "1");
        exit;
    }
#!endif
#!ifdef NAT
    fix_nated_register();
    setbflag(1);
#!endif
    if (!save("location")) {
        exit;
    }
#!ifdef STORE
    if ($expires(max) != 0) {
        m_dump();
    }
#!endif
}

route[KEEP] {
#!ifdef STORE
    if (method == "MESSAGE" && t_newtran()) {
        if (m_store("$avp(wanted)")) {
            t_reply("202", "Accepted");
        } else {
            t_reply("503", "Store Failed");
        }
        exit;
    }
#!endif
    return;
}

failure_route[MISSED] {
#!ifdef STORE
    if (method == "MESSAGE" && t_check_status("408|430|480|503") && m_store("$avp(wanted)")) {
        t_reply("202", "Accepted");
    }
#!endif
    return;
}
"""
)
# What the registrar sends comes with the Route of our Path, which knows the flow to the user.
_EDGE = (
    _COMMON
    + """
loadmodule "stun.so"
loadmodule "outbound.so"
loadmodule "rr.so"
loadmodule "path.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
modparam("outbound", "flow_token_secret", "the same after a restart")

request_route {
    force_rport();
    if (!mf_process_maxfwd_header("70")) {
        sl_send_reply("483", "Too Many Hops");
        exit;
    }
    if (method == "OPTIONS" && uri == myself) {
        sl_send_reply("200", "OK");
        exit;
    }
    if (method == "REGISTER") {
        add_path();
    }
    if (is_present_hf("Route")) {
        if (!loose_route()) {
            sl_send_reply("403", "Not Our Route");
            exit;
        }
        if (!t_relay()) {
            sl_send_reply("430", "Flow Failed");
        }
        exit;
    }
    $du = "UPSTREAM";
    if (!t_relay()) {
        sl_reply_error();
    }
}
"""
)
_STORE = """
CREATE TABLE version (table_name TEXT UNIQUE, table_version INTEGER);
INSERT INTO version VALUES ('version', 1), ('silo', 8);
CREATE TABLE silo (
    id INTEGER PRIMARY KEY, src_addr TEXT, dst_addr TEXT, username TEXT, domain TEXT, inc_time INTEGER DEFAULT 0,
    exp_time INTEGER DEFAULT 0, snd_time INTEGER DEFAULT 0, ctype TEXT, body BLOB, extra_hdrs TEXT, callid TEXT,
    status INTEGER DEFAULT 0
);
"""
_OPTIONS = (
    b"OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"
    b"From: <sip:up@127.0.0.1>;tag=1\r\nTo: <sip:up@127.0.0.1>\r\nCall-ID: up\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def password_of(user: str) -> str:
    """Return a user's password."""
    return f"{user}-secret"


@contextmanager
def challenger(folder: Path, algorithm: str | None, expire_s: int = 300, count: bool = True) -> Iterator[int]:
    """Run one that asks for passwords and then says 200; gives its UDP port. Skips without Kamailio, but in CI.

    algorithm: of its challenges, None to name none. count: does it ask for nonce counts that rise?
    """
    port = free_port()
    text = _CHALLENGER.replace("EXPIRE", str(expire_s)).replace("COUNT", str(int(count)))
    options = [f'ALGORITHM="{algorithm}"'] if algorithm else []
    with _kamailio(folder, text, [f"udp:127.0.0.1:{port}"], options):
        yield port


class Registrar:
    """A registrar and proxy for interop.test. Skips without Kamailio, but in CI."""

    def __init__(
        self, folder: Path, *options: str, expires: int = 3600, host: str = "127.0.0.1", patience_ms: int = 5000
    ) -> None:
        """options: AUTH, SHA256, STORE, DATE (put before stored texts), NAT (helps those behind one), TLS, OUTBOUND.

        expires: the seconds that it grants at most. patience_ms: with a contact that doesn't answer.
        """
        self._folder = folder
        self._options = options
        self._expires = expires
        self._patience_ms = patience_ms
        self._ends: ExitStack
        self._at = f"[{host}]" if ":" in host else host
        self.port = free_port(host)
        self.tls_port = free_port(host)
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.certificate = authority.issue_cert("interop.test", host)
        self.certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
        self.certificate.private_key_pem.write_to_path(folder / "server.key")
        (folder / "store.db").unlink(missing_ok=True)
        with sqlite3.connect(folder / "store.db") as store:
            store.executescript(_STORE)
        store.close()

    def __enter__(self) -> "Registrar":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def uri(self, transport: str = "udp") -> str:
        """Return the URI of this proxy."""
        if transport == "tls":
            return f"sips:{self._at}:{self.tls_port}"
        return f"sip:{self._at}:{self.port};transport={transport}"

    def start(self) -> None:
        """Run it, at self.port; it knows no bindings yet, but the messages that it has stored."""
        text = _REGISTRAR.replace("FOLDER", str(self._folder)).replace("EXPIRES", str(self._expires))
        listen = [f"udp:{self._at}:{self.port}", f"tcp:{self._at}:{self.port}"]
        if "TLS" in self._options:
            listen.append(f"tls:{self._at}:{self.tls_port}")
        self._ends = ExitStack()
        text = text.replace("OURSELVES", self.uri()).replace("PATIENCE", str(self._patience_ms))
        self._ends.enter_context(_kamailio(self._folder, text, listen, self._options))

    def stop(self) -> None:
        """End it."""
        self._ends.close()


class Edge:
    """An edge proxy, whose users are reached on the flows that they registered on. Skips as Registrar does."""

    def __init__(self, folder: Path, registrar: Registrar) -> None:
        self._folder = folder / "edge"
        self._folder.mkdir()
        self._text = _EDGE.replace("UPSTREAM", registrar.uri())
        self._ends: ExitStack
        self.port = free_port()

    def __enter__(self) -> "Edge":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def uri(self, transport: str = "udp") -> str:
        """Return the URI of this proxy."""
        return f"sip:127.0.0.1:{self.port};transport={transport}"

    def start(self) -> None:
        """Run it."""
        self._ends = ExitStack()
        listen = [f"{transport}:127.0.0.1:{self.port}" for transport in ("udp", "tcp")]
        self._ends.enter_context(_kamailio(self._folder, self._text, listen, ()))

    def stop(self) -> None:
        """End it."""
        self._ends.close()


@contextmanager
def _kamailio(folder: Path, text: str, listen: Sequence[str], options: Sequence[str]) -> Iterator[None]:
    """Run one until it is up; the first place to listen at is UDP's."""
    configuration, log = folder / "kamailio.cfg", folder / "kamailio.log"
    configuration.write_text(text)
    command = [program("kamailio", "kamailio"), "-f", str(configuration), "-DD", "-E", "-m", "16", "-M", "4"]
    command += ["-Y", str(folder), "-w", str(folder)]
    command += [word for place in listen for word in ("-l", place)] + [
        word for name in options for word in ("-A", name)
    ]
    host, _, port = listen[0].removeprefix("udp:").rpartition(":")
    family = socket.AF_INET6 if "[" in host else socket.AF_INET
    with running(command, log) as process, socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        sock.connect((host.strip("[]"), int(port)))

        def answers() -> bool:
            if process.poll() is not None:
                missing = re.search(r"could not find module <\w+>", log.read_text())
                assert missing and not os.environ.get("CI"), log.read_text()[-2000:]
                pytest.skip(f"{missing[0]} of Kamailio (Debian: kamailio-*-modules)")
            try:
                sock.send(_OPTIONS % (host.encode(), host.encode()))
                return bool(sock.recv(4096))
            except OSError:
                return False

        wait_until(answers, lambda: log.read_text()[-2000:])
        yield
