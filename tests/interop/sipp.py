"""SIPp, with scenarios made from a few words: a server that answers, or clients that send."""

import csv
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.peers import DEADLINE_S, free_port, is_listening, program, running, wait_until

_BEHAVIOUR = ["-nostdin", "-default_behaviors", "all,-bye"]
_HEAD = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="sipmote">\n'
_STAY = '<timewait milliseconds="4000"/>\n</scenario>\n'  # copies of the last request are answered from memory
REQUEST = '<recv request="MESSAGE"/>\n'
MESSAGE = """MESSAGE sip:desk@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:pump@interop.test>;tag=[pid]-[call_number]
To: <sip:desk@interop.test>
Call-ID: [call_id]
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: [len]

pump [pid]-[call_number] runs dry"""


def answer(status: str, *fields: str) -> str:
    """A step: answer the last request with a status, e.g. "202 Accepted"."""
    lines = [f"SIP/2.0 {status}", "[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]-[call_number]"]
    lines += ["[last_Call-ID:]", "[last_CSeq:]", *fields, "Content-Length: 0", "", ""]
    return "<send><![CDATA[\n" + "\n".join(lines) + "]]></send>\n"


def pause(ms: int) -> str:
    """A step: do nothing."""
    return f'<pause milliseconds="{ms}"/>\n'


def challenge(user: str, password: str) -> str:
    """Steps: ask for a password (MD5), and take or refuse the next request by it."""
    asked = 'WWW-Authenticate: Digest realm="sipp", nonce="[call_number]f3", qop="auth", algorithm=MD5'
    verified = f'<action><verifyauth assign_to="right" username="{user}" password="{password}"/></action>'
    return (
        f'{REQUEST}{answer("401 Unauthorized", asked)}<recv request="MESSAGE">{verified}</recv>\n'
        f'<nop next="1" test="right"/>\n{answer("403 Wrong")}<nop next="2"/>\n<label id="1"/>\n'
        f'{answer("200 OK")}<label id="2"/>\n'
    )


EACH_COPY = '<label id="1"/>\n' + REQUEST + answer("200 OK").replace("<send>", '<send next="1">')


def losing(percent: int) -> list[str]:
    """Options of a server that loses datagrams both ways; to be used with EACH_COPY.

    What SIPp itself keeps for copies is empty if the first answer was lost: it would be deaf from then on.
    """
    return ["-nr", "-lost", str(percent)]


@contextmanager
def server(folder: Path, *steps: str, transport: str = "udp", options: Sequence[str] = ()) -> Iterator[int]:
    """Run a server for a scenario of these steps; gives its port. options: further ones of SIPp's."""
    port = free_port()
    scenario = folder / f"server-{port}.xml"
    scenario.write_text(_HEAD + "".join(steps) + _STAY)
    log = folder / f"server-{port}.log"
    command = [program("sipp", "sip-tester"), "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), *_BEHAVIOUR]
    command += ["-t", "u1" if transport == "udp" else "t1", *options]
    with running(command, log, cwd=folder) as process:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return is_listening(port, transport)

        wait_until(up, log.read_text)
        yield port


class Clients:
    """SIPp that sends `count` messages to a port, `rate` a second; wait() gives its figures."""

    def __init__(
        self, folder: Path, port: int, count: int, rate: int, transport: str = "udp", options: Sequence[str] = ()
    ) -> None:
        local = free_port()
        self._figures = folder / f"clients-{local}.csv"
        scenario = folder / f"clients-{local}.xml"
        send = f'<send retrans="500"><![CDATA[\n{MESSAGE}]]></send>\n'
        scenario.write_text(f'{_HEAD}{send}<recv response="200" rtd="true"/>\n</scenario>\n')
        command = [program("sipp", "sip-tester"), f"127.0.0.1:{port}", "-sf", str(scenario), "-i", "127.0.0.1"]
        command += ["-p", str(local), "-t", "u1" if transport == "udp" else "t1", "-m", str(count), "-r", str(rate)]
        command += ["-trace_stat", "-stf", str(self._figures), "-fd", "1", *_BEHAVIOUR, *options]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE_S)

    def wait(self, seconds: float = 90) -> dict[str, int]:
        """Wait for the end; returns how many were answered ("ok"), how many not ("failed"), and "retransmissions"."""
        self._process.wait(seconds)
        with self._figures.open() as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        names = {"ok": "SuccessfulCall(C)", "failed": "FailedCall(C)", "retransmissions": "Retransmissions(C)"}
        return {name: int(last[column]) for name, column in names.items()}
