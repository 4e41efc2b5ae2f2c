"""The admin surface of one system: plain HTTP on its own loopback port."""

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ml_connector.sandbox.frame.application import Frame
from ml_connector.sandbox.frame.fault_plan import FaultRuleError
from ml_connector.sandbox.frame.wire import WireError, decode, encode


class AdminError(ValueError):
    """An admin verb that cannot be carried out; systems raise it from `act` and `records`."""


class System(Protocol):
    """What the admin surface needs from a system."""

    def act(self, name: str, **arguments: Any) -> Any:
        """Let a person of that system do something; the result goes out as JSON."""

    def load(self, entity: str, rows: list[dict[str, Any]]) -> None:
        """Take in valid rows of an entity without a trace in the logs."""

    def records(self, entity: str, where: dict[str, str]) -> list[dict[str, Any]]:
        """The stored rows of an entity whose fields have these values."""

    def state(self) -> dict[str, Any]:
        """A short overview: counts per entity, sizes of logs."""

    def snapshot(self) -> bytes:
        """The whole state, pickled."""

    def restore(self, blob: bytes) -> None:
        """Set the state as a snapshot had it."""


def build_admin(frame: Frame, system: System) -> ASGIApp:
    """The admin application of one system."""
    surface = _Admin(frame, system)
    return Starlette(
        routes=[
            Route("/traffic", surface.traffic, methods=["GET"]),
            Route("/traffic/reset", surface.reset_traffic, methods=["POST"]),
            Route("/writes", surface.writes, methods=["GET"]),
            Route("/faults", surface.faults, methods=["GET", "POST", "DELETE"]),
            Route("/clock", surface.clock, methods=["GET", "POST"]),
            Route("/latency", surface.latency, methods=["GET", "POST"]),
            Route("/switches", surface.switches, methods=["GET", "POST"]),
            Route("/expire-sessions", surface.expire_sessions, methods=["POST"]),
            Route("/snapshot", surface.snapshot, methods=["POST"]),
            Route("/restore", surface.restore, methods=["POST"]),
            Route("/act", surface.act, methods=["POST"]),
            Route("/load", surface.load, methods=["POST"]),
            Route("/state", surface.state, methods=["GET"]),
            Route("/records/{entity}", surface.records, methods=["GET"]),
        ],
        exception_handlers={
            AdminError: _refuse,
            FaultRuleError: _refuse,
            WireError: _refuse,
            TypeError: _refuse,
            ValueError: _refuse,
            KeyError: _refuse,
        },
    )


class _Admin:
    def __init__(self, frame: Frame, system: System) -> None:
        self._frame = frame
        self._system = system
        self._snapshots: dict[str, bytes] = {}

    async def traffic(self, _request: Request) -> Response:
        return _json(self._frame.traffic.snapshot())

    async def reset_traffic(self, _request: Request) -> Response:
        self._frame.traffic.reset()
        return _json(self._frame.traffic.snapshot())

    async def writes(self, request: Request) -> Response:
        since = int(request.query_params.get("since", "0"))
        log = self._frame.writes
        return _json({"last": log.last, "writes": log.entries(since)})

    async def faults(self, request: Request) -> Response:
        plan = self._frame.faults
        if request.method == "POST":
            body = await _body(request)
            for rule in body if isinstance(body, list) else [body]:
                plan.add(rule)
        elif request.method == "DELETE":
            plan.remove(request.query_params.get("id"))
        return _json({"rules": plan.listing(), "shortcuts": sorted(plan.shortcuts)})

    async def clock(self, request: Request) -> Response:
        clock = self._frame.clock
        if request.method == "POST":
            body = await _object(request)
            _only(body, {"by_seconds", "to", "freeze"})
            if body.get("freeze"):
                clock.freeze()
            if "by_seconds" in body:
                clock.move(by=timedelta(seconds=float(body["by_seconds"])))
            if "to" in body:
                clock.move(to=datetime.fromisoformat(body["to"]))
            if body.get("freeze") is False:
                clock.run()
        return _json({"now": clock.now(), "frozen": clock.frozen})

    async def latency(self, request: Request) -> Response:
        if request.method == "POST":
            body = await _object(request)
            _only(body, {"seconds"})
            self._frame.latency_seconds = max(0.0, float(body["seconds"]))
        return _json({"seconds": self._frame.latency_seconds})

    async def switches(self, request: Request) -> Response:
        switches = self._frame.switches
        if request.method == "POST":
            body = await _object(request)
            _only(body, set(switches))
            switches.update(body)
        return _json(switches)

    async def expire_sessions(self, _request: Request) -> Response:
        self._frame.expire_sessions()
        return _json({})

    async def snapshot(self, request: Request) -> Response:
        name = str((await _object(request)).get("name", "default"))
        content = {"frame": self._frame.dump(), "system": self._system.snapshot()}
        self._snapshots[name] = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
        return _json({"name": name, "bytes": len(self._snapshots[name])})

    async def restore(self, request: Request) -> Response:
        name = str((await _object(request)).get("name", "default"))
        if name not in self._snapshots:
            raise AdminError(f"there is no snapshot {name}")
        content = pickle.loads(self._snapshots[name])  # noqa: S301 - pickled by this process
        self._system.restore(content["system"])
        self._frame.restore(content["frame"])
        return _json({"name": name})

    async def act(self, request: Request) -> Response:
        body = await _object(request)
        name = body.pop("act", None)
        if not isinstance(name, str):
            raise AdminError('the body names what to do: {"act": "...", ...}')
        return _json(self._system.act(name, **body))

    async def load(self, request: Request) -> Response:
        body = await _object(request)
        _only(body, {"entity", "rows"})
        self._system.load(str(body["entity"]), list(body["rows"]))
        return _json({"loaded": len(body["rows"])})

    async def state(self, _request: Request) -> Response:
        return _json(self._system.state())

    async def records(self, request: Request) -> Response:
        entity = request.path_params["entity"]
        return _json(self._system.records(entity, dict(request.query_params)))


async def _body(request: Request) -> Any:
    data = await request.body()
    return decode(data) if data else {}


async def _object(request: Request) -> dict[str, Any]:
    body = await _body(request)
    if not isinstance(body, dict):
        raise AdminError("the body is a JSON object")
    return body


def _only(body: dict[str, Any], allowed: set[str]) -> None:
    unknown = sorted(set(body) - allowed)
    if unknown:
        raise AdminError(f"unknown keys {unknown}; there are {sorted(allowed)}")


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(_plain(value)), status, media_type="application/json")


def _plain(value: Any) -> Any:
    """Instants leave in UTC with a Z; everything else is the codec's."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


async def _refuse(_request: Request, error: Exception) -> Response:
    """A refused admin verb says why."""
    return _json({"error": {"type": type(error).__name__, "message": str(error)}}, 400)
