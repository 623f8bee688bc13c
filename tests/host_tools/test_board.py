"""The virtual board, as mpremote, a person at a terminal and a service manager see it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.vm import DEADLINE_S, ROOT, board, command, terminal

PROMPT = b">>> "


def _is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _await_death(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while _is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        os.sched_yield()


@pytest.mark.parametrize("bits", [32, 64])
def test_mpremote_runs_programs_and_handles_files(tmp_path: Path, bits: int) -> None:
    source = tmp_path / "source" / "pkg"
    source.mkdir(parents=True)
    (source / "hello.py").write_text("print('hello from', __name__)\n")
    (source / "data.bin").write_bytes(bytes(range(256)) * 40)
    with board("--dir", str(tmp_path / "flash"), bits=bits) as virtual:
        assert virtual.mpremote("eval", "1 + 1") == "2\n"
        assert "ZeroDivisionError" in virtual.mpremote("exec", "1/0", check=False)
        virtual.mpremote("fs", "mkdir", ":lib", "+", "fs", "cp", "-r", str(source), ":/lib/")
        assert virtual.mpremote("exec", "import pkg.hello") == "hello from pkg.hello\n"
        assert virtual.mpremote("run", str(source / "hello.py")) == "hello from __main__\n"
        assert virtual.mpremote("fs", "cat", ":/lib/pkg/hello.py") == "print('hello from', __name__)\n"
        listing = virtual.mpremote("fs", "ls", "lib/pkg").split()
        assert "10240" in listing
        assert "data.bin" in listing
        virtual.mpremote("fs", "cp", ":/lib/pkg/data.bin", str(tmp_path / "back.bin"))
        assert (tmp_path / "back.bin").read_bytes() == (source / "data.bin").read_bytes()
        virtual.mpremote("fs", "rm", ":/lib/pkg/data.bin", "+", "fs", "rm", "-r", ":/lib/pkg")
        assert virtual.mpremote("exec", "import os; print(os.listdir('/lib'), os.getcwd())") == "[] /\n"


def test_file_is_renamed_by_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("text")
    with board("--dir", str(tmp_path)) as virtual:
        virtual.mpremote("exec", "import os; os.rename('/old', '/new')")
    assert (tmp_path / "new").read_text() == "text"


def test_soft_reset_from_mpremote_gives_a_fresh_heap_and_runs_boot_but_not_main(tmp_path: Path) -> None:
    (tmp_path / "boot.py").write_text("boot_ran = True\n")
    (tmp_path / "main.py").write_text("main_ran = True\n")
    with board("--dir", str(tmp_path)) as virtual:
        ran = "print([name in globals() for name in ('left', 'boot_ran', 'main_ran')])"
        virtual.mpremote("resume", "exec", "left = 1")
        assert virtual.mpremote("resume", "exec", ran) == "[True, True, True]\n"
        virtual.mpremote("soft-reset")
        assert virtual.mpremote("resume", "exec", ran) == "[False, True, False]\n"


def test_boot_runs_before_main_at_start_and_after_every_reset(tmp_path: Path) -> None:
    (tmp_path / "boot.py").write_text("print('boot')\n")
    (tmp_path / "main.py").write_text("print('main')\n")
    with board("--dir", str(tmp_path)) as virtual, terminal(virtual.port) as person:
        person.write(b"'pro' + 'mpt'\r")
        person.read_until(b"'prompt'\r\n" + PROMPT)
        person.write(b"\x04")
        assert b"MPY: soft reboot\r\nboot\r\nmain\r\nMicroPython v1." in person.read_until(PROMPT)
        person.write(b"import machine; machine.reset()\r")
        assert b"boot\r\nmain\r\nMicroPython v1." in person.read_until(PROMPT)
        person.write(b"machine\r")
        assert b"NameError" in person.read_until(PROMPT)


def test_uncaught_exception_of_main_is_shown_as_on_a_board_and_leaves_the_repl(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("while not open('/go').read():\n    pass\n1/0\n")
    (tmp_path / "go").write_text("")
    with board("--dir", str(tmp_path)) as virtual, terminal(virtual.port) as person:
        (tmp_path / "go").write_text("go")
        shown = person.read_until(PROMPT)
        assert shown.startswith(
            b"Traceback (most recent call last):\r\n"
            b'  File "main.py", line 3, in <module>\r\nZeroDivisionError: divide by zero\r\nMicroPython v1.'
        )
        person.write(b"1+1\r")
        assert person.read_until(PROMPT) == b"1+1\r\n2\r\n>>> "


def test_ctrl_c_ends_a_tight_loop_even_when_input_has_piled_up(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print('looping')\nwhile True:\n    pass\n")
    with board("--dir", str(tmp_path)) as virtual, terminal(virtual.port) as person:
        person.write(b"\x03")
        person.read_until(PROMPT)
        person.write(b"\x04")
        person.read_until(b"looping\r\n")
        for _ in range(50):
            person.write(b"# nobody reads this\r" * 10)
        person.write(b"\x03\x03")
        assert b"KeyboardInterrupt" in person.read_until(PROMPT)


def test_ctrl_c_at_any_moment_of_a_restart_leaves_the_repl_alive(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("while True:\n    pass\n")
    with board("--dir", str(tmp_path)) as virtual, terminal(virtual.port) as person:
        for _ in range(20):
            person.write(b"\x03")
            person.read_until(PROMPT)
            person.write(b"\x04")
            person.read_until(b"soft reboot")


def test_compound_statement_and_paste_are_typed_as_on_a_board() -> None:
    with board() as virtual, terminal(virtual.port) as person:
        person.write(b"for i in range(2):\r    print(i)\r\r")
        assert person.read_until(b"0\r\n1\r\n>>> ")
        person.write(b"\x05a = 7\rprint(a)\r\x04")
        assert b"\r\n7\r\n>>> " in person.read_until(b"7\r\n>>> ")


def test_program_too_large_for_the_heap_fails_and_leaves_the_board_alive() -> None:
    with board("--heap", "48k") as virtual:
        out_of_memory = virtual.mpremote("exec", "kept = bytearray(10**6)", check=False)
        assert "MemoryError" in out_of_memory
        assert "MemoryError" in virtual.mpremote("exec", "#" * 60000, check=False)
        assert virtual.mpremote("eval", "'alive'") == "alive\n"


def test_heap_in_which_the_vm_cannot_start_is_one_line_and_exit_code_1() -> None:
    command(32)
    done = subprocess.run(
        [sys.executable, "-m", "sipmote", "board", "start", "virtual", "--bits", "32", "--heap", "9k"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--heap" in done.stderr


def test_clock_starts_in_2000_and_can_be_set_and_survives_a_reset() -> None:
    with board("--no-clock", "--epoch", "2000") as virtual:
        year_and_time = "import time; print(time.gmtime()[0], time.time() < 100, time.localtime()[:5])"
        assert virtual.mpremote("exec", year_and_time) == "2000 True (2000, 1, 1, 0, 0)\n"
        set_clock = "import machine; machine.RTC().datetime((2031, 2, 3, 0, 4, 5, 6, 0))"
        virtual.mpremote("exec", set_clock)
        virtual.mpremote("soft-reset")
        assert virtual.mpremote("exec", "import time; print(time.gmtime()[:4])") == "(2031, 2, 3, 4)\n"
        there_and_back = "print(time.gmtime(time.mktime((2001, 2, 3, 4, 5, 6, 0, 0)))[:6])"
        assert virtual.mpremote("exec", f"import time; {there_and_back}") == "(2001, 2, 3, 4, 5, 6)\n"


def test_clock_agrees_with_the_host_otherwise() -> None:
    with board() as virtual:
        assert abs(int(virtual.mpremote("exec", "import time; print(time.time())")) - time.time()) < 60


def test_board_without_network_has_no_sockets() -> None:
    with board("--no-network") as virtual:
        assert "ImportError" in virtual.mpremote("exec", "import socket", check=False)
        assert virtual.mpremote("exec", "import asyncio; print('asyncio')") == "asyncio\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_whatever_ends_the_board(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "main.py").write_text("while True:\n    pass\n")
    with board("--dir", str(tmp_path)) as virtual:
        assert virtual.vm_pid and _is_alive(virtual.vm_pid)
        virtual.process.send_signal(number)
        code = virtual.process.wait(DEADLINE_S)
        assert code == (-number if number == signal.SIGKILL else 0)
        _await_death(virtual.vm_pid)


def test_board_ends_with_the_program_that_started_it() -> None:
    with board() as virtual:
        assert virtual.process.stdin
        virtual.process.stdin.close()
        assert virtual.process.wait(DEADLINE_S) == 0


def test_link_points_to_the_port_while_the_board_runs(tmp_path: Path) -> None:
    link = tmp_path / "port"
    with board("--link", str(link)) as virtual:
        assert os.readlink(link) == virtual.port
    assert not link.is_symlink()


def test_port_survives_clients_that_come_and_go(tmp_path: Path) -> None:
    with board() as virtual:
        for _ in range(3):
            with terminal(virtual.port) as person:
                person.write(b"\r")
                person.read_until(PROMPT)


_CHATTY = """
n = 0
while True:
    n += 1
    print("x" * 2000)
    with open("n", "w") as file:
        file.write(str(n))
"""


def test_a_port_that_is_open_and_not_read_does_not_stop_the_board(tmp_path: Path) -> None:
    """R0-P19: what nobody reads is lost, as behind a UART; once it is read again the board is heard again"""
    (tmp_path / "main.py").write_text(_CHATTY)
    with board("--dir", str(tmp_path)) as virtual:
        reader = os.open(virtual.port, os.O_RDWR | os.O_NOCTTY)
        try:
            began = _count(tmp_path)
            deadline = time.monotonic() + DEADLINE_S
            while _count(tmp_path) < began + 100:  # 200,000 octets: more than all buffers hold
                assert time.monotonic() < deadline, _count(tmp_path)
                os.sched_yield()
            heard = 0
            while heard < 100_000:
                assert select.select([reader], [], [], DEADLINE_S)[0], heard
                heard += len(os.read(reader, 4096))
        finally:
            os.close(reader)


def _count(flash: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return int((flash / "n").read_text() or 0)
    return 0
