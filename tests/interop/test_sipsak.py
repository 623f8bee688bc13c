"""R3428-7.1, R3261-8.2-1: sipsak pings with OPTIONS, and sends what a file has in it, right or wrong."""

import subprocess
from pathlib import Path

from tests.demo.main_job import BOILER
from tests.interop.peers import free_port, program, wait_until
from tests.interop.test_kamailio import board
from tests.tools import Tool

_MESSAGE = """MESSAGE sip:URI SIP/2.0
Max-Forwards: 70
From: <sip:desk@interop.test>;tag=s1
To: <sip:carol@interop.test>
Call-ID: sipsak-$replace$
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: 6

status"""
_FILES = {  # what is put in place of what, and the answer to it
    ("status", "status"): "200 ",
    ("Content-Type", "c "): "200 ",
    ("From: <sip:desk@interop.test>", "From:\n  Front Desk\n\t<sip:desk@interop.test>"): "200 ",
    ("SIP/2.0", "SIP/3.0"): "505 ",
    ("CSeq: 1 MESSAGE", "CSeq: 1 OPTIONS"): "400 ",
    ("CSeq: 1 MESSAGE", "CSeq: 99999999999 MESSAGE"): "400 ",
    ("To: <sip:carol", "To: <sip:carol>;tag=1;tag=2;x=<"): "400 ",
    ("Content-Length: 6", "Content-Length: 7000"): "400 ",
    ("Content-Length: 6", "Content-Length: six"): "400 ",
    ("Content-Type: text/plain", "Content-Type: image/png"): "415 ",
    ("Content-Type: text/plain", "Content-Encoding: gzip\nContent-Type: text/plain"): "415 ",
    ("Max-Forwards: 70", "Require: teleport\nMax-Forwards: 70"): "420 ",
    ("MESSAGE sip:URI", "MESSAGE gopher:URI"): "416 ",
}


def sipsak(*arguments: str) -> tuple[int, str]:
    """Run it to its end; returns the exit code, 0 for an answer 2xx, and what it said."""
    command = [program("sipsak", "sipsak"), "-v", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=40)
    return done.returncode, done.stdout + done.stderr


def answers(folder: Path, port: int) -> dict[tuple[str, str], str]:
    """Send each of _FILES to carol at a port; returns how its answer begins."""
    found = {}
    for number, change in enumerate(_FILES):
        file = folder / f"{number}.sip"
        file.write_text(_MESSAGE.replace(*change, 1).replace("URI", f"carol@127.0.0.1:{port}"))
        code, said = sipsak("-f", str(file), "-G", "-g", str(number), "-s", f"sip:carol@127.0.0.1:{port}")
        found[change] = said.partition("SIP/2.0 ")[2][:4]
        assert (code == 0) == (found[change] == "200 "), said
    return found


def test_the_inbox_is_pinged_and_takes_from_files_what_is_right(tmp_path: Path) -> None:
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--bind", "tcp:127.0.0.1:0", "--db", ":memory:") as inbox:
        port = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
        for options in ([], ["-E", "tcp"]):
            code, said = sipsak("-s", f"sip:carol@127.0.0.1:{port}", *options)
            assert code == 0 and "\nAllow: MESSAGE, OPTIONS" in said and "\nAccept: text/plain, " in said
        packed = ("Content-Type: text/plain", "Content-Encoding: gzip\nContent-Type: text/plain")  # it reads that, and
        assert answers(tmp_path, port) == {**_FILES, packed: "400 "}  # finds that it isn't
        code, _ = sipsak(
            "-f", str(tmp_path / "0.sip"), "-G", "-g", "tcp", "-s", f"sip:carol@127.0.0.1:{port}", "-E", "tcp"
        )
        assert code == 0 and inbox.wait_for(call_id="sipsak-tcp")["transport"] == "tcp"
        assert [line["body"] for line in inbox.lines if line["event"] == "message"] == ["status"] * 4


def test_a_board_is_pinged_and_obeys_files_that_are_right(tmp_path: Path) -> None:
    port = free_port()
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:") as inbox:
        here = inbox.wait_for(event="ready")["bind"][0].removeprefix("udp:")
        who = {"aor": "sip:carol@interop.test", "to": "sip:desk@interop.test", "proxy": f"sip:{here}"}
        with board(tmp_path, BOILER, **who, bind=f"127.0.0.1:{port}"):
            inbox.wait_for(event="message")  # it is up
            code, said = sipsak("-s", f"sip:carol@127.0.0.1:{port}")
            assert code == 0 and "\nAllow: MESSAGE, OPTIONS" in said and "\nAccept: text/plain" in said
            assert answers(tmp_path, port) == _FILES
            wait_until(lambda: len([1 for line in inbox.lines if line.get("body", "").startswith("ok, up")]) == 3)
