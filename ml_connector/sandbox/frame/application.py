"""The HTTP face both systems share: faults, latency and counting around their routes."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote_plus

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ml_connector.sandbox.frame.clock import SandboxClock
from ml_connector.sandbox.frame.fault_plan import FaultPlan, FaultRule
from ml_connector.sandbox.frame.traffic import Traffic
from ml_connector.sandbox.frame.write_log import WriteLog

KindOf = Callable[[str, str], str]
"""(method, path without query) -> the kind a request is counted under."""

ErrorBody = Callable[[int, str | None, str | None], tuple[bytes, str]]
"""(status, code, message) -> (body, content type) in the system's own shape."""

GATEWAY_MESSAGE = "answered by the fault plan"


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class Frame:
    """What a system of the sandbox shares with its admin surface."""

    clock: SandboxClock = field(default_factory=SandboxClock)
    traffic: Traffic = field(default_factory=Traffic)
    faults: FaultPlan = field(default_factory=FaultPlan)
    writes: WriteLog = field(init=False)
    switches: dict[str, Any] = field(default_factory=dict)
    latency_seconds: float = 0.0
    expire_sessions: Callable[[], None] = _nothing
    """Set by the system: ends every session or token it has given out."""

    def __post_init__(self) -> None:
        self.writes = WriteLog(self.clock)

    def dump(self) -> dict[str, Any]:
        """The frame's own part of a snapshot (counters and faults are no part of it)."""
        return {
            "clock": self.clock.dump(),
            "writes": self.writes.dump(),
            "switches": dict(self.switches),
            "latency_seconds": self.latency_seconds,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Set the frame as a snapshot had it; counters restart and faults are dropped."""
        self.clock.restore(content["clock"])
        self.writes.restore(content["writes"])
        self.switches.clear()
        self.switches.update(content["switches"])
        self.latency_seconds = content["latency_seconds"]
        self.traffic.reset()
        self.faults.remove()


@dataclass(slots=True)
class Asked:
    """A request as the gate and the fault plan see it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    kind: str

    @property
    def target(self) -> str:
        """Path and query, decoded, as a fault rule searches them."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Gate(Protocol):
    """A system's own limiter; latency passes inside it."""

    async def enter(self, asked: Asked) -> Answer | None:
        """Wait for a place; an Answer refuses the request (then `leave` is not called)."""

    def leave(self, asked: Asked) -> None:
        """Give the place back."""


class SystemFace:
    """ASGI application around a system's routes: counts, limits, delays, and breaks."""

    def __init__(
        self,
        inner: ASGIApp,
        frame: Frame,
        kind_of: KindOf,
        error_body: ErrorBody,
        gate: Gate | None,
    ) -> None:
        self._inner = inner
        self._frame = frame
        self._kind_of = kind_of
        self._error_body = error_body
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        path: str = scope["path"]
        asked = Asked(
            method=scope["method"],
            path=path,
            query=unquote_plus(scope["query_string"].decode("latin-1")),
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            body=body,
            kind=self._kind_of(scope["method"], path),
        )
        status: int | str = "dropped"
        self._frame.traffic.begin(asked.kind)
        try:
            answer = await self._answer(scope, asked)
            if answer is None:
                await _reset_connection(send)
            else:
                status = answer.status
                await _send_answer(send, answer, head=asked.method == "HEAD")
        finally:
            self._frame.traffic.end(asked.kind, status)

    async def _answer(self, scope: Scope, asked: Asked) -> Answer | None:
        if self._gate is None:
            return await self._through_faults(scope, asked)
        refused = await self._gate.enter(asked)
        if refused is not None:
            return refused
        try:
            return await self._through_faults(scope, asked)
        finally:
            self._gate.leave(asked)

    async def _through_faults(self, scope: Scope, asked: Asked) -> Answer | None:
        """The answer, or None where the connection is to be cut."""
        frame = self._frame
        if frame.latency_seconds > 0:
            await asyncio.sleep(frame.latency_seconds)
        rule = frame.faults.find(asked.method, asked.target, asked.body, asked.kind)
        if rule is None:
            return await _run(self._inner, scope, asked.body)
        if rule.action == "drop":
            if rule.value("drop") == "after":
                await _run(self._inner, scope, asked.body)
            return None
        if rule.action == "status":
            if rule.value("after_commit"):
                await _run(self._inner, scope, asked.body)
            return self._faulty_answer(rule)
        if rule.action == "delay_seconds":
            await asyncio.sleep(float(rule.value("delay_seconds")))
        elif rule.action == "expire_session":
            frame.expire_sessions()
        elif rule.action == "switch":
            frame.switches.update(rule.value("switch"))
        answer = await _run(self._inner, scope, asked.body)
        if rule.action == "truncate":
            answer.body = answer.body[: int(rule.value("truncate"))]
        return answer

    def _faulty_answer(self, rule: FaultRule) -> Answer:
        status = int(rule.value("status"))
        text = rule.value("body_text")
        if text is not None:
            body, content_type = text.encode(), "text/html; charset=utf-8"
        else:
            message = rule.value("message", GATEWAY_MESSAGE)
            body, content_type = self._error_body(status, rule.value("code"), message)
        headers = [(b"content-type", str(rule.value("content_type", content_type)).encode())]
        if rule.value("retry_after") is not None:
            headers.append((b"retry-after", str(rule.value("retry_after")).encode()))
        for name, value in rule.value("headers", {}).items():
            headers.append((str(name).lower().encode(), str(value).encode()))
        return Answer(status, body, headers)


def build_application(
    routes: Sequence[BaseRoute],
    frame: Frame,
    kind_of: KindOf,
    error_body: ErrorBody,
    *,
    gate: Gate | None = None,
    exception_handlers: dict[Any, Callable[..., Awaitable[Any]]] | None = None,
) -> ASGIApp:
    """Put a system's routes behind the frame; endpoints are `async def` and never block."""
    inner = Starlette(routes=list(routes), exception_handlers=exception_handlers)
    inner.router.redirect_slashes = False
    return SystemFace(inner, frame, kind_of, error_body, gate)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole request body, None when the client went away."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _run(inner: ASGIApp, scope: Scope, body: bytes) -> Answer:
    """Run the system and keep its answer."""
    answer = Answer(500)
    parts: list[bytes] = []
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await inner(scope, receive, send)
    answer.body = b"".join(parts)
    return answer


async def _send_answer(send: Send, answer: Answer, *, head: bool) -> None:
    headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
    bodiless = answer.status in (204, 304)
    if not bodiless:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if bodiless or head else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _reset_connection(send: Send) -> None:
    """Cut the connection with a TCP reset, as a dying gateway does."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if cycle is None or transport is None:
        raise RuntimeError("this server does not let the sandbox cut a connection")
    connection = transport.get_extra_info("socket")
    if connection is not None:
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    cycle.disconnected = True
    await asyncio.sleep(0)
