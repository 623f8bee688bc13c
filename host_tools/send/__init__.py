"""Sending one message, and saying what became of it."""
