"""Runs portable test modules on MicroPython: `micropython tests/run_on_vm.py tests.agent.test_clock ...`.

Asks nothing of the unix port: on a board, call `run("tests.agent.test_clock")` at the REPL, one module at a time.
"""

import gc
import hashlib
import sys


def run(name):
    """Import a module and call its test_ functions; returns how many (passed, failed), a failed import counting one."""
    try:
        __import__(name)
        module = sys.modules[name]
        if not hasattr(hashlib, getattr(module, "NEEDS", "sha256")):
            print("SKIPPED", name, "for firmware without hashlib." + module.NEEDS)
            return 0, 0
    except Exception as error:
        return 0, _failed(name, error)
    passed = failed = 0
    for test in sorted(dir(module)):
        if test.startswith("test_"):
            gc.collect()
            try:
                getattr(module, test)()
                passed += 1
            except Exception as error:
                if type(error) is MemoryError and sys.platform != "linux":  # a chip's heap comes in small pieces
                    print("NO ROOM for", name + "." + test)
                else:
                    failed += _failed(name + "." + test, error)
    return passed, failed


def _failed(name, error):
    print("FAILED", name)
    sys.print_exception(error, sys.stdout)
    return 1


def main(names):
    """Run modules; returns the exit code: 0 when nothing failed."""
    passed = failed = 0
    for name in names:
        more_passed, more_failed = run(name)
        passed += more_passed
        failed += more_failed
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path[0] = ""  # not this file's folder: it has an `agent`, too
    sys.exit(main(sys.argv[1:]))
