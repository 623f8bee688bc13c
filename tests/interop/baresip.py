"""baresip without sound or video: a user agent that takes text/plain, driven over its control port."""

import json
import re
import socket
from pathlib import Path
from typing import Any

from tests.interop.peers import DEADLINE_S, free_port, program, running, wait_until

_CONFIGURATION = """poll_method epoll
sip_listen 127.0.0.1:{port}
dns_server 127.0.0.1:9
module_path {modules}
module account.so
module contact.so
module ctrl_tcp.so
module_app menu.so
ctrl_tcp_listen 127.0.0.1:{control}
"""
_PLACES = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")


class Baresip:
    """bob@interop.test at a free port, with one contact and an outbound proxy. Skips without baresip, but in CI."""

    def __init__(self, folder: Path, contact: str, proxy: str, transport: str = "udp", password: str = "") -> None:
        """password: register with it; without one, don't."""
        self.port, control = free_port(), free_port()
        modules = next((place for place in _PLACES if Path(place).exists()), _PLACES[0])
        text = _CONFIGURATION.format(port=self.port, control=control, modules=modules)
        (folder / "config").write_text(text)
        register = f"auth_user=bob;auth_pass={password};regint=60" if password else "regint=0"
        account = f'<sip:bob@interop.test;transport={transport}>;outbound="{proxy}";{register}\n'
        (folder / "accounts").write_text(account)
        (folder / "contacts").write_text(f'"Peer" <{contact}>\n')
        self._log = folder / "baresip.log"
        command = [program("baresip", "baresip-core"), "-4", "-s", "-f", str(folder)]
        self._running = running(command, self._log)
        self._control = control

    def __enter__(self) -> "Baresip":
        self._running.__enter__()
        self.wait_for(r"is ready")
        return self

    def __exit__(self, *_: Any) -> None:
        self._running.__exit__(None, None, None)

    def log(self) -> str:
        """Return all that it said, SIP included, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(errors="replace"))

    def wait_for(self, pattern: str) -> None:
        """Wait until it has said something."""
        wait_until(lambda: re.search(pattern, self.log()), self.log)

    def send(self, text: str) -> None:
        """Send a message to the contact."""
        command = json.dumps({"command": "message", "params": text}).encode()
        with socket.create_connection(("127.0.0.1", self._control), DEADLINE_S) as control:
            control.sendall(b"%d:%s," % (len(command), command))
            control.settimeout(DEADLINE_S)
            assert b'"ok":true' in control.recv(4096)
