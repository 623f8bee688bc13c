"""What makes a MicroPython VM behave like a board: start order, the friendly and the raw REPL, soft reset.

Runs inside the VM, started by host_tools/virtual/pty_board.py with this folder as its only path. Follows MicroPython's
shared/runtime/pyexec.c and ports/esp32/main.c. Ctrl-C never comes as a byte: the host makes it a signal, and so a
KeyboardInterrupt. The terminal turns a newline into CR LF, for sys.stdout.buffer too, which a board leaves alone.
"""

import gc
import io
import os
import sys
import time  # noqa: F401  # ours, from this folder; loaded before the folder is out of reach

import machine
import vfs

import __main__

_CTRL_A = "\x01"
_CTRL_B = "\x02"
_CTRL_D = "\x04"
_CTRL_E = "\x05"
_WINDOW = 1024  # octets of raw paste the host may be ahead by: it is told twice this at first
_GLOBALS = __main__.__dict__

_stdin = sys.stdin.buffer
_byte = bytearray(1)


def start():
    """Become the board: its flash is the root of the file system, boot.py and main.py run, then the REPL, for ever."""
    raw = os.getenv("BOARD_RAW_REPL") == "1"
    shim = os.getcwd()
    in_rom = __import__("virtual_rom").plug_in(os.getenv("BOARD_ROMFS")) if os.getenv("BOARD_ROMFS") else []
    vfs.umount("/")
    vfs.mount(Flash(os.getenv("BOARD_FLASH")), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen"] + in_rom + ["/lib"]
    if os.getenv("BOARD_NETWORK") == "0":
        vfs.mount(vfs.VfsPosix(shim + "/no_network"), "/no_network")
        sys.path.insert(0, "/no_network")  # a file in the path goes before the VM's own `socket`
    gc.collect()
    try:
        try:
            sys.stdout.write("\x00")  # tells the host that all is set up and a Ctrl-C can be taken
            if _run_file("boot.py") and not raw:
                _run_file("main.py")
        except KeyboardInterrupt:
            pass  # before a program or after it
        while True:
            try:
                raw = _raw_repl() if raw else _friendly_repl()
            except KeyboardInterrupt:
                pass
    except SystemExit:
        machine.leave_for_reset(machine.SOFT_RESET_RAW if raw else machine.SOFT_RESET)


class Flash:
    """A folder as a file system: VfsPosix, which mixes up two absolute paths when it renames, and lists no sizes."""

    def __init__(self, folder):
        self._folder = folder
        self._vfs = vfs.VfsPosix(folder)
        self._whole = vfs.VfsPosix()  # paths are those of the host

    def __getattr__(self, name):
        return getattr(self._vfs, name)

    def rename(self, old, new):
        self._whole.rename(self._folder + self._absolute(old), self._folder + self._absolute(new))

    def ilistdir(self, path):
        for name, kind, inode in self._vfs.ilistdir(path):
            yield name, kind, inode, self._vfs.stat(path.rstrip("/") + "/" + name if path else name)[6]

    def _absolute(self, path):
        return path if path[0] == "/" else self._vfs.getcwd().rstrip("/") + "/" + path


def _run_file(name):
    """Run a file of the flash when there is one; False when it ended with an exception, which is then shown."""
    try:
        os.stat(name)
    except OSError:
        return True
    return _run(lambda: execfile(name, _GLOBALS))  # noqa: F821


def _run(program):
    """Call program; False when it raised. SystemExit passes: it resets the board."""
    try:
        program()
        return True
    except SystemExit:
        raise
    except BaseException as error:
        _print_traceback(error)
        return False


def _print_traceback(error):
    """Print a traceback without the frames of this file, which a board would not have."""
    text = io.StringIO()
    try:
        sys.print_exception(error, text)
        lines = text.getvalue().split("\n")
        print("\n".join([line for line in lines if "virtual_board.py" not in line]), end="")
    except MemoryError:
        sys.print_exception(error, sys.stdout)


def _read():
    """Return the next character from the terminal; ends with the host when it hangs up."""
    if _stdin.readinto(_byte) == 0:
        machine.leave(0)
    return chr(_byte[0])


# The raw REPL


def _raw_repl():
    """Answer a program such as mpremote; returns False for "back to the friendly REPL"."""
    print("raw REPL; CTRL-B to exit\n>", end="")
    code = bytearray()
    while True:
        try:
            key = _read()
            if key == _CTRL_B:
                print()
                return False
            if key == _CTRL_A and code == b"\x05A":
                _run_raw(_read_pasted())
                print(">", end="")
            elif key == _CTRL_A:
                print("raw REPL; CTRL-B to exit\n>", end="")
            elif key == _CTRL_D:
                print("OK", end="")
                if code == b"":
                    print()
                    raise SystemExit
                _run_raw(code)
                print(">", end="")
            else:
                code = _append(code)
                continue
        except KeyboardInterrupt:
            pass
        code = bytearray()


def _append(code):
    """Add the character just read to a program; None once the program is larger than the heap."""
    try:
        if code is not None:
            code.append(_byte[0])
        return code
    except MemoryError:
        return None


def _read_pasted():
    """Take a program with flow control: raw paste mode of MicroPython's REPL."""
    sys.stdout.write("R\x01%c%c\x01" % (_WINDOW & 0xFF, _WINDOW >> 8))
    code = bytearray()
    room = _WINDOW
    while _read() != _CTRL_D:
        code = _append(code)
        room -= 1
        if room == 0:
            sys.stdout.write("\x01")
            room = _WINDOW
    sys.stdout.write("\x04")
    return code


def _run_raw(code):
    """Run a program, end its output with one 0x04 and its traceback with another."""
    error = None
    try:
        if code is None:
            raise MemoryError("program too large")
        code = compile(bytes(code), "<stdin>", "exec")
        exec(code, _GLOBALS)
    except SystemExit:
        print("\x04\x04", end="")
        raise
    except BaseException as caught:
        error = caught
    print("\x04", end="")
    if error:
        _print_traceback(error)
    print("\x04", end="")


# The friendly REPL


def _friendly_repl():
    """Serve a person; returns True for "change to the raw REPL"."""
    _print_banner()
    while True:
        try:
            line = _read_line(">>> ")
            if line == _CTRL_A:
                print()
                return True
            if line == _CTRL_B:
                print()
                _print_banner()
            elif line == _CTRL_D:
                print()
                raise SystemExit
            elif line == _CTRL_E:
                print("\npaste mode; Ctrl-C to cancel, Ctrl-D to finish")
                _run_source(_read_paste(), "exec")
            elif line.strip():
                _run_source(_read_rest(line), "single")
        except KeyboardInterrupt:
            print()
        except MemoryError:
            print("\nMemoryError: line too long")


def _print_banner():
    print("%s; sipmote virtual board with unix VM" % sys.version.split("; ")[1])
    print('Type "help()" for more information.')


def _run_source(source, kind):
    _run(lambda: exec(compile(source, "<stdin>", kind), _GLOBALS))


def _read_line(prompt):
    """Read a line, echoing it; a control character on an empty line comes back as it is."""
    print(prompt, end="")
    line = ""
    while True:
        key = _read()
        if key == "\r" or key == "\n":
            print()
            return line
        if key in "\x08\x7f":
            if line:
                line = line[:-1]
                print("\x08 \x08", end="")
        elif key < " " and key != "\t":
            if not line and _CTRL_A <= key <= _CTRL_E:
                return key
        else:
            line += key
            print(key, end="")


def _read_rest(source):
    """Read the further lines of a compound statement, up to an empty one, or of an open bracket."""
    compound = source[0] == "@" or source.rstrip().endswith(":")
    while compound or sum([source.count(c) for c in "([{"]) > sum([source.count(c) for c in ")]}"]):
        line = _read_line("... ")
        if line == _CTRL_D or (compound and not line):
            break
        source += "\n" + line
    return source


def _read_paste():
    """Read text up to Ctrl-D, echoing it."""
    print("=== ", end="")
    text = ""
    while True:
        key = _read()
        if key == _CTRL_D:
            print()
            return text
        text += "\n" if key == "\r" else key
        print("\n=== " if key == "\r" else key, end="")


start()
