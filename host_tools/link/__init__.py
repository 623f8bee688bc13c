"""The serial line: ports, the raw REPL, and the frames of log records."""
