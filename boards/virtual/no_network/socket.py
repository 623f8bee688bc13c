"""Stands in for the VM's `socket` when the board's firmware has none (--no-network)."""

raise ImportError("no module named 'socket'")
