"""Serving the receiver: behind a reverse proxy in plain HTTP, or with TLS of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ml_connector.errors import ConfigurationError
from ml_connector.receiver.patience import PatientProtocol

MOST_CONNECTIONS = 500
"""More are answered 503, upon which BC tries again later."""


@dataclass(frozen=True)
class Listening:
    """Where to listen, and with which certificate."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def url(self, listener: socket.socket) -> str:
        """Return the address of an open listener."""
        scheme = "https" if self.certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{listener.getsockname()[1]}"


def open_listener(where: Listening) -> socket.socket:
    """Return the listening socket; port 0 takes a free one. Raises: ConfigurationError."""
    try:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((where.host, where.port))
    except OSError as error:
        raise ConfigurationError(
            f"The receiver cannot listen on {where.host}:{where.port}: {error.strerror}.",
            code="address_in_use",
            remedy="Choose another --host or --port, or stop what listens there.",
        ) from error
    listener.listen(512)
    listener.setblocking(False)
    return listener


def check_certificate(where: Listening) -> None:
    """Make sure that certificate and key go together. Raises: ConfigurationError."""
    if where.certificate is None and where.key is None:
        return
    if where.certificate is None or where.key is None:
        raise ConfigurationError(
            "--certificate and --key belong together.",
            code="certificate",
            remedy="Give both, or neither behind a reverse proxy that speaks TLS.",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(where.certificate, where.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The certificate {where.certificate} cannot be used with its key.",
            code="certificate",
            remedy="Give the chain and the private key as PEM files, the key without a password.",
        ) from error


async def serve(
    application: ASGIApp, where: Listening, listener: socket.socket, ready: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT, finishing what is under way; *ready* is called once up."""
    config = uvicorn.Config(
        application,
        http=PatientProtocol,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        limit_concurrency=MOST_CONNECTIONS,
        ws="none",
        ssl_certfile=where.certificate,
        ssl_keyfile=where.key,
    )
    server = _Server(config, ready)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, server.stop)
    try:
        await server.serve([listener])
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """A server that leaves signals to its process and tells when it is up."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready()

    def stop(self) -> None:
        """End after what is under way."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal handlers."""
        yield
