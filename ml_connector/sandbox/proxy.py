"""A loopback CONNECT proxy that leads the vendors' host names to the sandbox.

Clients with built-in host names reach the sandbox through it unchanged; their TLS ends in the
sandbox, whose certificate carries those names. Every other host is refused.
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ml_connector.sandbox.frame.child import LOOPBACK

_REQUEST = re.compile(rb"^CONNECT ([A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\]):(\d{1,5}) HTTP/1\.[01]$")
_HEAD_LIMIT = 16_384


@dataclass(frozen=True, slots=True)
class Way:
    """Host names (a regular expression) and the loopback port they are led to."""

    hosts: re.Pattern[str]
    port: int


def ways(salesforce: int, business_central: int, pubsub: int | None) -> list[Way]:
    """The vendors' names and where they lead."""
    found = [
        Way(re.compile(r"(?!api\.pubsub\.)(.+\.)?salesforce\.com"), salesforce),
        Way(re.compile(r"api\.businesscentral\.dynamics\.com"), business_central),
        Way(
            re.compile(r"login\.(microsoftonline\.com|microsoft\.com|windows\.net)"),
            business_central,
        ),
    ]
    if pubsub is not None:
        found.insert(0, Way(re.compile(r"api(\.[a-z]+)?\.pubsub\.salesforce\.com"), pubsub))
    return found


class ConnectProxy:
    """Serves CONNECT until it is stopped."""

    def __init__(self, targets: Sequence[Way]) -> None:
        self._targets = tuple(targets)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on loopback and return the port."""
        self._server = await asyncio.start_server(
            self._serve, LOOPBACK, port, limit=_HEAD_LIMIT, backlog=512
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._lead(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked = _REQUEST.match(head.split(b"\r\n", 1)[0])
        if asked is None:
            await _refuse(writer, b"405 Method Not Allowed")
            return
        port = self._port_for(asked.group(1).decode().lower())
        if port is None:
            await _refuse(writer, b"403 Forbidden")
            return
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)
        self._open.add(far_writer)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open.discard(far_writer)
            far_writer.close()

    def _port_for(self, host: str) -> int | None:
        for way in self._targets:
            if way.hosts.fullmatch(host):
                return way.port
        return None


async def _refuse(writer: asyncio.StreamWriter, status: bytes) -> None:
    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction; its end closes the other side."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()
