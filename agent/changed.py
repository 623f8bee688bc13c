"""Copies of requests: what is done about a refusal leaves the request that was refused as it is."""

from .request import Request


def changed(request: Request, **changes: object) -> Request:
    """Return a copy of request with these attributes."""
    copy = object.__new__(type(request))
    for name in request.__dict__:
        setattr(copy, name, getattr(request, name))
    for name in changes:
        setattr(copy, name, changes[name])
    return copy
