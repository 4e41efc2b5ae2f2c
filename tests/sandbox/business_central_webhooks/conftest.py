"""A company, and a receiver of notifications that answers as a test wants."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.business_central.conftest import Tenant, tenant, tenant_process

__all__ = ["tenant", "tenant_process"]

PATIENCE_SECONDS = 10.0


@dataclass
class Receiver:
    """What arrived, and how to answer."""

    url: str
    status: int = 202
    handshakes: int = 0
    echo: Callable[[str], str] = field(default=lambda token: token)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def items(self) -> list[dict[str, Any]]:
        """Every item that arrived."""
        return [item for body in self.bodies for item in body["value"]]

    def wait(self, number: int) -> list[dict[str, Any]]:
        """Wait for that many items."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.items) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.items


class _Answers(BaseHTTPRequestHandler):
    receiver: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Send the token back, or keep the notification."""
        receiver = self.receiver
        query = parse_qs(urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if "validationToken" in query:
            receiver.handshakes += 1
            self._send(200, receiver.echo(query["validationToken"][0]).encode())
            return
        receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
        receiver.bodies.append(json.loads(body))
        self._send(receiver.status, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def receiver(tenant_process: Tenant) -> Iterator[Receiver]:
    """An https receiver whose certificate the sandbox's authority issued."""
    files = tenant_process.ca_file.parent
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.pem", files / "server.key")
    answers = type("Answers", (_Answers,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Receiver(f"https://127.0.0.1:{server.server_address[1]}/hooks")
    answers.receiver = found  # type: ignore[attr-defined]  # the class made above
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()


@dataclass
class Webhooks:
    """The company as a subscriber sees it."""

    tenant: Tenant
    receiver: Receiver

    @property
    def path(self) -> str:
        """The address of the subscriptions."""
        return f"{self.tenant.root}/subscriptions"

    def resource(self, entity: str) -> str:
        """A set as it is subscribed to."""
        return f"/api/v2.0/companies({self.tenant.line['company_id']})/{entity}"

    def body(self, entity: str, **fields: str) -> dict[str, str]:
        """What a subscription is made of."""
        made = {
            "notificationUrl": self.receiver.url,
            "resource": self.resource(entity),
            "clientState": "secret",
        }
        return {**made, **fields}

    def subscribe(self, entity: str, **fields: str) -> dict[str, Any]:
        """Subscribe to a set; must be accepted."""
        answer = self.tenant.call("POST", self.path, self.body(entity, **fields))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def key(self, subscription: dict[str, Any]) -> str:
        """The address of one subscription."""
        return f"{self.path}('{subscription['subscriptionId']}')"

    def listed(self) -> list[str]:
        """The ids of the living subscriptions."""
        return [row["subscriptionId"] for row in self.tenant.values(self.path)]

    def quick(self, **switches: Any) -> None:
        """Send at once, and retry at once."""
        self.tenant.switch(webhook_scale=0, **switches)

    def state(self) -> dict[str, int]:
        """The numbers of the overview."""
        numbers: dict[str, int] = self.tenant.admin.get("/state").json()["webhooks"]
        return numbers

    def until(self, holds: Callable[[], bool]) -> bool:
        """Wait until something holds; tells whether it came."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if holds():
                return True
            time.sleep(0.02)
        return False


@pytest.fixture
def webhooks(tenant: Tenant, receiver: Receiver) -> Webhooks:
    """The company in its first state, with a receiver."""
    return Webhooks(tenant, receiver)
