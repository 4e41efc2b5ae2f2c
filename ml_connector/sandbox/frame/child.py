"""How a system runs as a process of its own: arguments, listeners, and dying with its parent."""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from ml_connector.sandbox.frame.wire import decode, encode

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1


def child_parser(description: str) -> argparse.ArgumentParser:
    """The arguments every system takes; a system may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="TLS port; 0 takes a free one")
    parser.add_argument("--admin-port", type=int, default=0, help="admin port; 0 takes a free one")
    parser.add_argument("--cert", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--seed-file", type=Path, help="JSON: identity, switches and rows to load")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each answer")
    parser.add_argument(
        "--watch-stdin", action="store_true", help="end when standard input is closed"
    )
    return parser


@dataclass(slots=True)
class Listeners:
    """The two open sockets of a system; the ports are known before the system is built."""

    service: socket.socket
    admin: socket.socket

    @property
    def port(self) -> int:
        """The TLS port."""
        port: int = self.service.getsockname()[1]
        return port

    @property
    def admin_port(self) -> int:
        """The admin port."""
        port: int = self.admin.getsockname()[1]
        return port


def open_listeners(arguments: argparse.Namespace) -> Listeners:
    """Open both ports on loopback, and bind this process's life to its parent's."""
    die_with_parent(watch_stdin=arguments.watch_stdin)
    return Listeners(listen(arguments.port), listen(arguments.admin_port))


def listen(port: int) -> socket.socket:
    """A listening loopback socket; only with its protocol named does asyncio set TCP_NODELAY."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    listener.listen(512)
    listener.setblocking(False)
    return listener


def read_seed(path: Path | None) -> dict[str, Any]:
    """The seed file: `{"identity": {}, "switches": {}, "load": [{"entity", "rows"}]}`."""
    content: dict[str, Any] = {} if path is None else decode(path.read_bytes())
    return {"identity": {}, "switches": {}, "load": [], **content}


def serve(
    application: ASGIApp,
    admin: ASGIApp,
    listeners: Listeners,
    arguments: argparse.Namespace,
    announcement: dict[str, Any],
    *,
    companions: Sequence[Callable[[], Awaitable[None]]] = (),
) -> int:
    """Serve until SIGTERM or SIGINT; one JSON line on standard output says it is ready.

    `companions` are further servers on the same loop, each a coroutine that runs until cancelled.
    """
    gc.collect()
    gc.freeze()
    asyncio.run(_serve(application, admin, listeners, arguments, announcement, companions))
    return 0


async def _serve(
    application: ASGIApp,
    admin: ASGIApp,
    listeners: Listeners,
    arguments: argparse.Namespace,
    announcement: dict[str, Any],
    companions: Sequence[Callable[[], Awaitable[None]]],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = QuietServer(
        quiet_config(application, ssl_certfile=arguments.cert, ssl_keyfile=arguments.key)
    )
    surface = QuietServer(quiet_config(admin))
    tasks: list[asyncio.Future[None]] = [
        asyncio.ensure_future(service.serve([listeners.service])),
        asyncio.ensure_future(surface.serve([listeners.admin])),
        *(asyncio.ensure_future(companion()) for companion in companions),
    ]
    stopping = asyncio.ensure_future(stop.wait())
    both_up: asyncio.Future[None] = asyncio.ensure_future(_both_up(service, surface))
    first: list[asyncio.Future[None]] = [both_up, *tasks]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    both_up.cancel()
    line = {**announcement, "port": listeners.port, "admin_port": listeners.admin_port}
    sys.stdout.write(encode(line).decode() + "\n")
    sys.stdout.flush()
    watched: list[asyncio.Future[Any]] = [stopping, *tasks]
    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    service.should_exit = surface.should_exit = True
    for task in tasks[2:]:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    stopping.cancel()


async def _both_up(*servers: "QuietServer") -> None:
    for server in servers:
        await server.up.wait()


class QuietServer(uvicorn.Server):
    """A server that leaves signals to its process and tells when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Take no signal handlers."""
        yield


def quiet_config(application: ASGIApp, **settings: Any) -> uvicorn.Config:
    """Settings of a server that says nothing and adds nothing to an answer."""
    return uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        ws="none",
        **settings,
    )


def die_with_parent(*, watch_stdin: bool) -> None:
    """End this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if watch_stdin:
        threading.Thread(target=_end_with_stdin, name="parent-watch", daemon=True).start()


def _end_with_stdin() -> None:
    """Wait for the parent's end of the pipe to close, then go at once."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            continue
    os._exit(0)
