"""The shell around agent.user_agent.UserAgent on CPython: octets, names and time for `inbox` and `send`.

One asyncio loop. What comes in during one turn of it reaches the application as one batch, to be stored in one commit
and then answered.

The flow of a datagram is (b"UDP", host, port, local socket), for IPv6 with flow label and scope behind, so that an
answer leaves from where its request came to. The flow of a stream is (b"TCP" or b"TLS", host, port), for TLS with the
name behind that the certificate has to be for. A flow that the core made has no socket: one is chosen that leads there.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from sipmote.agent.errors import ParseError
from sipmote.agent.events import Outcome, Transmit
from sipmote.agent.notices import Dropped, Resolve
from sipmote.agent.qualities import NTP
from sipmote.agent.registration import FlowLost
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import Uri, bracketed, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.sip.clock import now_ms
from sipmote.sip.places import Bind, Flow, Wire, Zones, is_hidden, same_host
from sipmote.sip.rations import Rations
from sipmote.sip.reasons import reason_of
from sipmote.sip.resolver import Resolver
from sipmote.sip.streams import Streams
from sipmote.sip.tls import Tls
from sipmote.sip.udp import UdpSockets

Event = Any  # one of the classes of agent.events, agent.notices, agent.uas and agent.registration
# A final status, the phrase where the usual one (b"") won't do, and perhaps header lines of a refusal.
Answer = tuple[int, bytes] | tuple[int, bytes, bytes]

IDLE_S = 180.0  # a stream that brings no whole message or ping for so long is closed; well above 64*T1 = 32 s


class Application(Protocol):
    """What the owner of a Shell does with what happens."""

    def messages_received(self, batch: Sequence[MessageReceived]) -> Sequence[Answer | None]:
        """Take care of these messages, then return what to answer to each; None: it calls Shell.answer() later."""

    def happened(self, event: Event, trouble: str) -> None:
        """Outcome, Provisional, Dropped, Registered or RegistrationLost has happened.

        trouble: why a flow failed, if that is what the event comes from; "" when the peer or a timer spoke.
        """


class Carrier(Protocol):
    """What carries the datagrams or messages of a transport."""

    def send(self, data: bytes, flow: Flow) -> None:
        """Send this on a flow; one that fails is told to Shell.failed()."""

    def sent_by(self, flow: Flow) -> tuple[str, bytes]:
        """Return (host, sent-by) of ours as the end of a flow sees us; raises OSError where it can't be reached."""


class Shell:
    """Owns the sockets of one UserAgent and carries out what it says."""

    def __init__(
        self,
        user_agent: UserAgent,
        application: Application,
        tls: Tls | None = None,
        resolver: Resolver | None = None,
        first_hop: bytes | None = None,
        idle_s: float = IDLE_S,
        wires: Sequence[Wire] = (),
        zones: Zones | None = None,
        carriers: Mapping[bytes, Carrier] | None = None,
    ) -> None:
        """Make a shell with nothing open; call it within the running loop that is to serve it.

        first_hop: the URI that all requests go to, the user agent's proxy; None: each goes where its own URI leads.
        wires: who sees each message, in both directions. zones: of link-local addresses. carriers: of further
        transports.
        """
        self._ua = user_agent
        self._application = application
        self._resolver = resolver or Resolver()
        self._first_hop = first_hop
        self._sweep_s = idle_s / 10
        self._wires = wires
        self._loop = asyncio.get_running_loop()
        self._zones = dict(zones or {})
        self._udp = UdpSockets(self, self._zones)
        self._streams = Streams(self, tls, idle_s, self._zones)
        self._carriers: Mapping[bytes, Carrier] = {b"UDP": self._udp, **(carriers or {})}
        self.rations = Rations()
        self._looking_up: dict[bytes, asyncio.Task[None]] = {}  # by URI
        self._batch: list[MessageReceived] = []
        self._settling = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle
        self._sweep()

    # Opening and closing

    async def open(self, binds: Sequence[Bind]) -> list[Bind]:
        """Listen at binds; returns where we do, ports filled in. Port 0 gives UDP and TCP the same number if it can.

        Raises ToolError for a port that is in use or an address that isn't ours.
        """
        opened: dict[int, Bind] = {}  # by position in binds; streams first, for TCP's free ports are the scarcer
        for i, bind in sorted(enumerate(binds), key=lambda place: place[1].transport == b"UDP"):
            if bind.transport == b"TLS" and not self._streams.has_certificate:
                raise ToolError(f"can't listen at {bind} without a certificate: add --tls-cert FILE")
            pair = {b"UDP", b"TCP"}
            twins = [b.port for b in opened.values() if bind.port == 0 and {b.transport, bind.transport} == pair]
            twin = twins[0] if twins else 0
            try:
                opened[i] = await self._listen(bind, twin or bind.port)
            except OSError as error:
                if not twin:
                    raise ToolError(f"can't listen at {bind}: {reason_of(error)}; {_remedy(bind, error)}") from error
                opened[i] = await self._listen(bind, 0)
        return [opened[i] for i in range(len(binds))]

    def add_zones(self, zones: Zones) -> None:
        """Know more zones of link-local addresses."""
        self._zones.update(zones)

    async def _listen(self, bind: Bind, port: int) -> Bind:
        is_udp = bind.transport == b"UDP"
        kind = socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM
        found = await self._loop.getaddrinfo(bind.host, port, type=kind, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        if is_udp:
            ours = self._udp.open(family, address).getsockname()
        else:
            ours = await self._streams.listen(bind.transport, family, address)
        return Bind(bind.transport, *ours[:2])

    async def close(self) -> None:
        """Answer what has come, let written octets leave for a second, close everything."""
        self._settle()
        self._sweeper.cancel()
        for task in self._looking_up.values():
            task.cancel()
        await self._streams.close()
        self._udp.close()
        if self._timer:
            self._timer.cancel()

    # Inputs of the core

    def received(self, items: Iterable[Any], flow: Flow) -> None:
        """A flow has brought these: a datagram, or what a stream's framer has cut out."""
        now = now_ms()
        for item in items:
            octets = item if isinstance(item, bytes) else item.data
            for wire in self._wires:
                wire.came(octets, flow)
            events = self._ua.receive(item, flow, now)
            if octets.startswith(b"SIP/2.0 ") and not any(type(event) is Dropped for event in events):
                self.rations.prove(flow)
            self.carry_out(events)

    def failed(self, flow: Flow, text: str) -> None:
        """A flow has failed: end what is on it, and say why."""
        self._udp.forget(flow)
        for wire in self._wires:
            wire.failed(flow, text)
        self.carry_out(self._ua.failed(flow, now_ms()), text)

    async def send(
        self,
        call_id: bytes,
        target: bytes,
        body: bytes,
        flow: Flow | None = None,
        ration: int | None = None,
        **options: Any,
    ) -> None:
        """Send a message, as UserAgent.send() does, when the way to its first hop is known.

        ration: octets that may leave for it while its end has not shown that it is there, None for any number. Raises
        OSError when there is no way, AgentError for what can't be sent.
        """
        await self.reach_first(target, flow)
        if ration is not None:
            self.rations.give(call_id, ration)
        try:
            events = self._ua.send(call_id, target, body, now_ms(), flow=flow, **options)
        except BaseException:
            self.rations.end(call_id)
            raise
        self.carry_out(events)

    def _wake(self) -> None:
        self._timer = None
        self.carry_out(self._ua.wake(now_ms()))

    # Outputs of the core

    def carry_out(self, events: Iterable[Event], trouble: str = "") -> None:
        """Do what the core says, in order; messages wait for the end of this turn of the loop.

        trouble: what was wrong with a flow, if that is what these events come from.
        """
        for event in events:
            kind = type(event)
            if kind is Transmit:
                self._transmit(event.data, event.flow)
            elif kind is MessageReceived:
                self._batch.append(event)
                if event.user is not None and event.flow[0] != b"UDP":
                    self._streams.know(event.flow)
            elif kind is Resolve:
                self._look_up(event.uri)
            elif kind is FlowLost:
                self._streams.hang_up(event.flow)
            else:
                if kind is Outcome:
                    self.rations.end(event.call_id)
                self._application.happened(event, trouble)
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _transmit(self, data: bytes, flow: Flow) -> None:
        if self.rations.allow(data, flow):
            for wire in self._wires:
                wire.sent(data, flow)
            self._carrier(flow).send(data, flow)

    def _carrier(self, flow: Flow) -> Carrier:
        return self._carriers.get(flow[0], self._streams)

    def _settle(self) -> None:
        """End a turn: hand over the batch, answer it, set the timer."""
        self._settling = False
        batch, self._batch = self._batch, []
        if batch:
            for event, answer in zip(batch, self._application.messages_received(batch), strict=True):
                if answer is not None:
                    self.answer(event, answer)
        if self._timer:
            self._timer.cancel()
        wait_ms = self._ua.wait_ms(now_ms())
        self._timer = None if wait_ms is None else self._loop.call_later(wait_ms / 1000, self._wake)

    def answer(self, event: MessageReceived, answer: Answer) -> None:
        """Answer a message."""
        self.carry_out(self._ua.respond(event, answer[0], now_ms(), *answer[1:]))

    # Finding the way

    async def reach(self, uri: Uri) -> str:
        """Find out where a URI leads, and tell the core our address as seen from there; returns the host of it.

        Raises OSError for a name that can't be resolved and an address that can't be reached, ParseError for a URI
        that leads nowhere by its form.
        """
        return self._approach_first(await self._resolver.flows(uri))

    async def reach_first(self, target: bytes, flow: Flow | None = None) -> str:
        """Do the same for the first hop of a request for target: flow if there is one, else proxy, route or URI."""
        if flow is not None:
            return self._approach(flow)
        route = self._ua.uac.route
        return await self.reach(parse_uri(self._first_hop or (target if route is None else route.uri)))

    @property
    def is_guided(self) -> bool:
        """Do all requests go to a server of our own?"""
        return self._first_hop is not None or self._ua.uac.route is not None

    def is_of_our_host(self, uri: bytes) -> bool:
        """Is a URI one of the host that our address-of-record is of?"""
        return same_host(parse_uri(uri).host, parse_uri(self._ua.aor).host)

    async def way_back(self, sender: bytes, flow: Flow) -> Flow | None:
        """Return the flow of a new request to who sent us one on flow; None for where any request for his URI goes.

        That is where the proxy or a route leads, else the URI of his From. If that leads nowhere our registrar may know
        him. His flow is right only where the URI names its other end, or nothing else is left: it may be a server's
        that delivers and takes nothing, or a store's that would bring the answer back to us. Raises OSError where
        nothing leads to anybody else.
        """
        if self.is_guided:
            return None
        is_alive = flow[0] == b"UDP" or flow in self._streams.connections
        try:
            uri = parse_uri(sender)
            found = [end for end in await self._resolver.flows(uri) if not is_hidden(end[1], flow[1])]
            if not found:
                raise OSError("its address leads there through a NAT alone")
        except (OSError, ParseError) as error:
            if self._ua.registration is not None and self._ua.registration.bound:
                return (await self._resolver.flows(parse_uri(self._ua.aor)))[0]
            if not is_alive:
                raise OSError(f"{_text(sender)}: no connection leads there, and {reason_of(error)}") from None
            return flow
        is_any = uri.scheme != b"sips" and uri.param(b"transport") is None
        ends = [end for end in found if same_host(end[1], flow[1]) and (is_any or end[0] == flow[0])]
        if is_alive and any(uri.port is None or end[2] == flow[2] for end in ends):
            return flow
        if all(self._is_here(end) for end in found):
            raise OSError(f"{_text(sender)} leads to this inbox itself")
        return None

    def _is_here(self, flow: Flow) -> bool:
        """Does a flow lead to where we listen?"""
        try:
            return self._carrier(flow).sent_by(flow)[1] == b"%s:%d" % (bracketed(flow[1]), flow[2])
        except OSError:
            return False

    def _approach_first(self, flows: Sequence[Flow]) -> str:
        """Approach the flow that the core will take: the first one that is alive, and that we have a route to."""
        trouble = OSError("no address")
        for flow in self._ua.live_first(list(flows), now_ms()):
            try:
                return self._approach(flow)
            except OSError as error:
                trouble = error
        raise trouble

    def _approach(self, flow: Flow) -> str:
        """Tell the core our address as seen from the end of a flow it is about to send on; returns the host.

        Raises OSError for an address that can't be reached.
        """
        host, sent_by = self._carrier(flow).sent_by(flow)
        self._ua.move_to(sent_by)
        return host

    def _look_up(self, uri: bytes) -> None:
        """Find out where a URI leads, unless that is being done already."""
        if uri not in self._looking_up:
            self._looking_up[uri] = self._loop.create_task(self._resolve(uri))

    async def _resolve(self, uri: bytes) -> None:
        trouble = ""
        flows: list[Flow] = []
        try:
            flows = await self._resolver.flows(parse_uri(uri))
            self._approach_first(flows)
        except (OSError, ParseError) as error:
            flows, trouble = [], reason_of(error)
        del self._looking_up[uri]  # before the next message for that name goes out
        self.carry_out(self._ua.resolved(uri, flows, now_ms(), trouble.encode()), trouble)

    def _sweep(self) -> None:
        """Close idle streams and forget old routes, now and then; keep the core's calendar right."""
        if self._ua.clock is not None:
            self._ua.clock.set(int(time.time()), NTP, now_ms())
        self._streams.close_idle()
        self._udp.forget_old_routes()
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)


def _text(octets: bytes) -> str:
    return octets.decode(errors="replace")


def _remedy(bind: Bind, error: OSError) -> str:
    """Return what to do about a place where we can't listen, with one where we can."""
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        other = Bind(bind.transport, bind.host, 0)
        return f"stop the program that has it, or take another port, e.g. --bind {other} for any free one"
    everywhere = Bind(bind.transport, "::" if ":" in bind.host else "0.0.0.0", bind.port)
    return f"use an address of this machine, e.g. --bind {everywhere} for all of them"
