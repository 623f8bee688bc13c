"""What all tests share."""

import signal


def pytest_configure() -> None:
    """Have what a test starts hear Ctrl-C, though who started us may ignore it, as a shell's background does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
