"""The whole door of the core, with what agent.more has of it. See user_agent.py for what the settings mean."""

from collections.abc import Callable, Container
from typing import Any

from .message import Message
from .registration import Registration
from .uac import Uac
from .uas import MessageReceived
from .wall_clock import WallClock

class UserAgent:
    """A SIP user agent for MESSAGE alone: UAC and UAS in one."""

    uac: Uac
    def __init__(
        self,
        aor: bytes,
        sent_by: bytes,
        random_bytes: Callable[[int], bytes],
        *,
        proxy: bytes | None = ...,
        transport: bytes = ...,
        target: bytes | None = ...,
        accept: tuple[bytes, ...] = ...,
        users: tuple[bytes, ...] | None = ...,
        hosts: Container[bytes] | None = ...,
        keep: int = ...,
        clock: WallClock | None = ...,
        credentials: tuple[tuple[bytes, bytes, bytes], ...] = ...,
        authenticator: Any = ...,
        reader: Callable[[bytes], Message] | None = ...,
        resolve_im: Callable[[bytes], bytes | None] | None = ...,
        strict: bool = ...,
        inflate: Callable[[bytes, bytes], bytes] | None = ...,
    ) -> None: ...
    @property
    def aor(self) -> bytes: ...
    @property
    def clock(self) -> WallClock | None: ...
    @property
    def registration(self) -> Registration | None: ...
    def new_call_id(self) -> bytes: ...
    def send(
        self,
        call_id: bytes,
        target: bytes,
        body: bytes,
        now: int,
        *,
        flow: tuple[Any, ...] | list[tuple[Any, ...]] | None = ...,
        sender: bytes | None = ...,
        content_type: bytes = ...,
        subject: bytes | None = ...,
        expires: int | None = ...,
        compact: bool = ...,
        fallback: tuple[bytes, bytes] | None = ...,
        display: bytes | None = ...,
        fields: bytes = ...,
        date: int | None = ...,
        max_forwards: int = ...,
    ) -> list[Any] | tuple[Any, ...]: ...
    def fit(
        self,
        target: bytes,
        body: bytes,
        policy: str,
        reserve: int = ...,
        joins: Callable[[bytes, int], bool] | None = ...,
        **options: Any,
    ) -> tuple[list[bytes], bool]: ...
    def receive(self, data: bytes | Message, flow: tuple[Any, ...], now: int) -> list[Any] | tuple[Any, ...]: ...
    def respond(
        self, received: MessageReceived, status: int, now: int, reason: bytes = ..., fields: bytes = ...
    ) -> list[Any]: ...
    def forget(self, received: MessageReceived) -> None: ...
    def reply(
        self,
        received: MessageReceived,
        call_id: bytes,
        body: bytes,
        now: int,
        compact: bool = ...,
        *,
        content_type: bytes = ...,
    ) -> list[Any] | tuple[Any, ...]: ...
    def replies(self) -> int: ...
    def resolved(self, uri: bytes, flows: list[tuple[Any, ...]], now: int, reason: bytes = ...) -> list[Any]: ...
    def failed(self, flow: tuple[Any, ...], now: int, reason: bytes = ...) -> list[Any]: ...
    def register(
        self, now: int, registrar: bytes | None = ..., expires: int = ..., instance: bytes = ..., contact: bytes = ...
    ) -> list[Any]: ...
    def unregister(self, now: int) -> list[Any]: ...
    def wake(self, now: int) -> list[Any]: ...
    def wait_ms(self, now: int) -> int | None: ...
    def move_to(self, sent_by: bytes) -> None: ...
    def has_refused(self, target: bytes, content_type: bytes) -> bool: ...
    def live_first(self, flows: list[tuple[Any, ...]], now: int) -> list[tuple[Any, ...]]: ...
