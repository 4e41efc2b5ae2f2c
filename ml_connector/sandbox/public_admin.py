"""The sandbox's admin surface: each system's verbs under its name, and verbs for both."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ml_connector.sandbox.frame.child import LOOPBACK
from ml_connector.sandbox.frame.wire import decode, encode

SYSTEMS = ("salesforce", "business-central")
FORWARD_SECONDS = 120.0
_FOR_BOTH: dict[str, tuple[str, ...]] = {
    "/clock": ("GET", "POST"),
    "/traffic": ("GET",),
    "/traffic/reset": ("POST",),
    "/latency": ("GET", "POST"),
    "/faults": ("GET", "DELETE"),
    "/state": ("GET",),
    "/snapshot": ("POST",),
    "/restore": ("POST",),
}


def build_public_admin(
    salesforce_port: int, central_port: int
) -> tuple[ASGIApp, Callable[[], Awaitable[None]]]:
    """The application, and what closes its connections to the systems."""
    bases = {
        "salesforce": f"http://{LOOPBACK}:{salesforce_port}",
        "business-central": f"http://{LOOPBACK}:{central_port}",
    }
    client = httpx.AsyncClient(timeout=FORWARD_SECONDS, trust_env=False)

    async def ask(base: str, path: str, request: Request, body: bytes) -> httpx.Response:
        query = request.url.query
        target = f"{base}{path}" + (f"?{query}" if query else "")
        return await client.request(request.method, target, content=body)

    async def forward(request: Request) -> Response:
        system = request.path_params["system"]
        if system not in bases:
            return _json({"error": {"message": f"there are {list(bases)}"}}, 404)
        path = f"/{request.path_params['verb']}"
        answer = await ask(bases[system], path, request, await request.body())
        return Response(
            answer.content, answer.status_code, media_type=answer.headers.get("content-type")
        )

    async def both(request: Request) -> Response:
        body = await request.body()
        path = request.url.path
        if path == "/clock" and request.method == "POST":
            body = await same_instant(body)
        answers = await asyncio.gather(
            *(ask(bases[system], path, request, body) for system in SYSTEMS)
        )
        status = max(answer.status_code for answer in answers)
        joined: dict[str, Any] = {
            system: decode(answer.content) for system, answer in zip(SYSTEMS, answers, strict=True)
        }
        return _json(joined, status)

    async def same_instant(body: bytes) -> bytes:
        """A freeze without an instant stops both clocks at one instant."""
        wanted = decode(body) if body else {}
        if (
            isinstance(wanted, dict)
            and wanted.get("freeze")
            and not {"to", "by_seconds"} & set(wanted)
        ):
            now = decode((await client.get(f"{bases['salesforce']}/clock")).content)["now"]
            return encode({**wanted, "to": now})
        return body

    async def overview(_request: Request) -> Response:
        return _json({"systems": list(SYSTEMS), "both": sorted(_FOR_BOTH)})

    routes = [
        Route("/", overview, methods=["GET"]),
        *(Route(path, both, methods=list(methods)) for path, methods in _FOR_BOTH.items()),
        Route("/{system}/{verb:path}", forward, methods=["GET", "POST", "DELETE"]),
    ]
    return Starlette(routes=routes, exception_handlers={ClientDisconnect: _gone}), client.aclose


async def _gone(_request: Request, _error: Exception) -> Response:
    """Nobody waits for this answer: the client died while it sent its request."""
    return Response(status_code=400)


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")
