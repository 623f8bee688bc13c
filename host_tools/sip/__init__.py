"""The shell around the core: sockets, names, TLS and time."""
