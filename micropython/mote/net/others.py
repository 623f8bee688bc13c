"""What a shell does beside UDP answers: requests, streams, names, too little memory. Loaded by the first of them."""

import sys
from gc import collect, threshold

from agent.compat import const
from agent.events import Transmit
from agent.notices import Dropped, Resolve
from mote.net.peer import host_port_of
from mote.net.sockets import now

_LOADING = const(512)  # octets: memory is collected so often while commands are loaded, and stays in one piece


class Others:
    """The part of a Shell that is loaded on demand."""

    def __init__(self, shell: object) -> None:
        self._shell = shell
        self._streams = None
        self._resolver = None
        self._listener = None

    def take(self, event: object) -> bool:
        """Do what an event asks for; False if it isn't for a shell.

        A function stands for the events that it returns: for what the core must be told even if memory is short now.
        """
        kind = type(event)
        if kind is Transmit:
            self.streams().write(event.flow, event.data)
        elif kind is Resolve:
            if self._resolver is None:
                from mote.net.resolver import Resolver

                self._resolver = Resolver(self._shell)
            self._resolver.resolve(event.uri)
        elif callable(event):
            self._shell.carry_out(event())
        else:
            return False
        return True

    def streams(self) -> object:
        """Return what has the TCP and TLS connections."""
        if self._streams is None:
            from mote.net.tcp import Streams

            self._streams = Streams(self._shell)
        return self._streams

    def listen(self, host: str, port: int) -> None:
        """Take the streams that peers open. Raises OSError."""
        from mote.net.listener import Listener

        self._listener = Listener(self.streams(), host, port)

    def bound(self) -> object:
        """Return a new UDP socket, for one that was closed. Raises OSError."""
        from mote.net.bind import bind_udp

        host, _, port = self._shell.settings.get("bind", "0.0.0.0:5060").rpartition(":")
        return bind_udp(host, int(port))

    def close(self) -> None:
        """Close all sockets."""
        for part in (self._streams, self._listener):
            if part is not None:
                part.close()

    def moved(self) -> None:
        """Our address has changed: streams from the old one are dead, and nobody will say so."""
        if self._streams is not None:
            self._streams.drop_all(b"our address has changed")

    def received(self, data: bytes, address: object) -> None:
        """Take a datagram that isn't the usual answer."""
        self.receive(data, (b"UDP",) + host_port_of(address))

    def receive(self, data: object, flow: tuple) -> None:
        """Give the core what came: a datagram, or an item of a stream's Framer."""
        if data[:4] != b"SIP/" if type(data) is bytes else data.method:
            collect()  # what a request loads will stay: not between rubbish
            if "mote.commands" not in sys.modules:
                before = threshold()
                threshold(_LOADING)
                try:
                    self._give(data, flow)
                finally:
                    threshold(before)
                return
        elif type(data) is not bytes and data.fault is None and data.status < 300 and "agent.more" not in sys.modules:
            data = data.data  # the usual answer is taken without it
        self._give(data, flow)

    def _give(self, data: object, flow: tuple) -> None:
        shell = self._shell
        for _ in range(2):
            try:
                shell.carry_out(shell.user_agent.receive(data, flow, now()))
                return
            except MemoryError:
                collect()
        shell.carry_out((Dropped("no memory for a message", flow),))  # over UDP the sender will repeat it
