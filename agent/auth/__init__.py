"""Digest access authentication: what both ends compute, the client, the server."""
