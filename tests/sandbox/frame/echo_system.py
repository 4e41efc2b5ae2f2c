"""The smallest system that stands on the frame, run as a process by the frame's tests."""

import argparse
import json
import sys
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ml_connector.sandbox.frame.admin import AdminError, build_admin
from ml_connector.sandbox.frame.application import Answer, Asked, Frame, build_application
from ml_connector.sandbox.frame.child import child_parser, open_listeners, read_seed, serve
from ml_connector.sandbox.frame.wire import encode


class EchoSystem:
    """Keeps what it is sent."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.kept: list[str] = []
        self.sessions = 1

    def act(self, name: str, **arguments: Any) -> Any:
        """One act: forget all."""
        if name != "forget":
            raise AdminError(f"no act {name}")
        self.kept.clear()
        return arguments

    def load(self, entity: str, rows: list[dict[str, Any]]) -> None:
        """Keep rows as texts."""
        self.kept += [f"{entity} {row['text']}" for row in rows]

    def records(self, entity: str, where: dict[str, str]) -> list[dict[str, Any]]:
        """What was kept."""
        rows = [{"entity": entity, "text": text} for text in self.kept]
        return [row for row in rows if all(row.get(k) == v for k, v in where.items())]

    def state(self) -> dict[str, Any]:
        """How much was kept."""
        return {"kept": len(self.kept), "sessions": self.sessions}

    def snapshot(self) -> bytes:
        """The kept texts."""
        return json.dumps(self.kept).encode()

    def restore(self, blob: bytes) -> None:
        """Keep again what was kept."""
        self.kept = json.loads(blob)

    def expire(self) -> None:
        """End the one session."""
        self.sessions = 0

    async def keep(self, request: Request) -> Response:
        """Keep the body."""
        text = (await request.body()).decode()
        self.kept.append(text)
        self.frame.writes.add(
            system="echo",
            who="tester",
            client=request.headers.get("user-agent"),
            operation="create",
            entity="texts",
            record_id=str(len(self.kept)),
            fields={"text": text},
        )
        return JSONResponse({"text": text}, 201)

    async def fetch(self, _request: Request) -> Response:
        """Say what is kept."""
        return JSONResponse({"kept": self.kept, "colour": self.frame.switches["colour"]})


class OneAtATime:
    """A gate with one place."""

    def __init__(self) -> None:
        self.inside = 0

    async def enter(self, asked: Asked) -> Answer | None:
        """Refuse the second guest of the narrow path."""
        if asked.path != "/narrow":
            return None
        if self.inside:
            return Answer(429, b"full", [(b"retry-after", b"1")])
        self.inside += 1
        return None

    def leave(self, asked: Asked) -> None:
        """Free the place."""
        if asked.path == "/narrow":
            self.inside -= 1


def error_body(status: int, code: str | None, message: str | None) -> tuple[bytes, str]:
    """Errors in this system's shape."""
    return encode({"status": status, "code": code, "message": message}), "application/json"


def main(argv: list[str]) -> int:
    """Run the system."""
    arguments: argparse.Namespace = child_parser("echo").parse_args(argv)
    listeners = open_listeners(arguments)
    frame = Frame(latency_seconds=arguments.latency, switches={"colour": "red"})
    frame.faults.shortcuts["busy"] = {"status": 503, "code": "BUSY", "retry_after": 2}
    system = EchoSystem(frame)
    frame.expire_sessions = system.expire
    for block in read_seed(arguments.seed_file)["load"]:
        system.kept.extend(block["rows"])
    application = build_application(
        [
            Route("/texts", system.keep, methods=["POST"]),
            Route("/texts", system.fetch, methods=["GET"]),
            Route("/narrow", system.fetch, methods=["GET"]),
        ],
        frame,
        lambda method, path: f"{method} {path}",
        error_body,
        gate=OneAtATime(),
    )
    return serve(application, build_admin(frame, system), listeners, arguments, {"hello": 1})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
