"""Who is at the other end of a socket."""

from mote.net.sockets import socket


def host_port_of(address: object) -> tuple:
    """Return (host, port) of an address as this port's sockets give it: a tuple, or a packed sockaddr (unix)."""
    if type(address) is tuple:
        return address[0].encode(), address[1]
    _, packed, port = socket.sockaddr(address)[:3]
    if len(packed) == 4:
        return b"%d.%d.%d.%d" % tuple(packed), port
    return socket.inet_ntop(socket.AF_INET6, packed).encode(), port
