"""Sockets, names and networks."""
