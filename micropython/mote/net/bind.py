"""Opens a board's UDP socket. Freed when that is done."""

from mote.net.sockets import address_of, socket


def bind_udp(host: str, port: int) -> object:
    """Return a UDP socket at host (brackets allowed) and port that doesn't block, None without a network."""
    if socket is None:
        return None
    host = host.strip("[]")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address_of(host.encode(), port))
    sock.setblocking(False)
    return sock
