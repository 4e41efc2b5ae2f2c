"""A running receiver over real sockets, with a ledger of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from ml_connector.changes.subscription_keeping import Report, keep_subscriptions
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.ledger import ConnectionLedger, Ledger
from ml_connector.ledger.records import StoredChange
from ml_connector.receiver.app import Subscriber, build_receiver
from ml_connector.receiver.metrics import Metrics
from ml_connector.receiver.patience import PatientProtocol

COMPANY = "824820a2-508c-ed11-aada-000d3a298ab3"
STATE = "f3q8-a-random-state"
STAMP = "2026-11-20T10:00:00.123Z"


def item(**fields: Any) -> dict[str, Any]:
    """One item of a notification; *fields* replace the genuine ones."""
    record = fields.pop("record", str(uuid4()))
    entity_set = fields.pop("entity_set", "salesOrders")
    company = fields.pop("company", COMPANY)
    return {
        "subscriptionId": "b7d6f2c1",
        "clientState": STATE,
        "expirationDateTime": "2026-11-23T10:00:00Z",
        "resource": f"api/v2.0/companies({company})/{entity_set}({record})",
        "changeType": "updated",
        "lastModifiedDateTime": STAMP,
        **fields,
    }


def body_of(*items: dict[str, Any]) -> bytes:
    """The body of a notification with these items."""
    return json.dumps({"value": list(items)}).encode()


@dataclass
class RunningReceiver:
    """The receiver, what it stored, and its numbers."""

    url: str
    client: httpx.Client
    store: Ledger
    ledger: ConnectionLedger
    metrics: Metrics

    def post(self, body: bytes, path: str = "/bc") -> httpx.Response:
        """Send a body as BC does."""
        headers = {"content-type": "application/json; charset=utf-8"}
        return self.client.post(path, content=body, headers=headers)

    def stored(self, entity: str = "salesOrders") -> list[StoredChange]:
        """Return what lies in the inbox for a set."""
        return self.ledger.pending_changes("business_central", entity, limit=100_000)

    def everything(self) -> dict[tuple[str, str], int]:
        """Return how many changes of each set lie in the inbox."""
        return self.ledger.change_counts()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    """A receiver of the company's notifications."""
    store = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    metrics = Metrics()
    subscriber = Subscriber(COMPANY, SecretStr(STATE))
    application = build_receiver(store, "acme", subscriber, metrics=metrics)
    with running(application) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield RunningReceiver(url, client, store, store.connection("acme"), metrics)
    store.close()


@contextlib.contextmanager
def running(application: Any) -> Iterator[str]:
    """Serve an application in a thread on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http=PatientProtocol, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve([listener])), name="receiver", daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@dataclass
class World:
    """A connection with its receiver, and the company it subscribes in."""

    sandbox: Any
    settings: ConnectionSettings
    stop: Callable[[], None]

    def keep(self, **changes: Any) -> Report:
        """Keep the subscriptions once, perhaps under other settings."""
        settings = self.settings.model_copy(update=changes)
        with Systems.open(settings) as systems:
            return keep_subscriptions(systems)

    def act(self, name: str, **arguments: Any) -> Any:
        """Do something in the company."""
        answer = self.sandbox.admin.post("/business-central/act", json={"act": name, **arguments})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, **rule: Any) -> None:
        """Let the company answer one call so, or as many as the rule says."""
        answer = self.sandbox.admin.post("/business-central/faults", json=rule)
        answer.raise_for_status()

    def switch(self, **positions: Any) -> None:
        """Turn switches of the company."""
        answer = self.sandbox.admin.post("/business-central/switches", json=positions)
        answer.raise_for_status()

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return the living subscriptions."""
        rows: list[dict[str, Any]] = self.sandbox.admin.get(
            "/business-central/records/subscriptions"
        ).json()
        return rows

    def pending(self) -> dict[tuple[str, str], int]:
        """Return how many changes of BC wait in the inbox."""
        with Ledger.open(self.settings.ledger_url_text()) as store:
            counts = store.connection(self.settings.name).change_counts()
        return {stream: n for stream, n in counts.items() if stream[0] == "business_central"}

    def rows(self, system: str, entity: str, **where: str) -> list[dict[str, Any]]:
        """Return stored rows of a system past permissions."""
        answer = self.sandbox.admin.get(f"/{system}/records/{entity}", params=where)
        answer.raise_for_status()
        body = answer.json()
        found: list[dict[str, Any]] = body["records"] if isinstance(body, dict) else body
        return [row for row in found if not row.get("IsDeleted")]

    def wait_for(self, holds: Callable[[], bool], seconds: float = 10) -> bool:
        """Wait until something holds; tells whether it came."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if holds():
                return True
            time.sleep(0.05)
        return False


@pytest.fixture
def world(running_sandbox: Any, tmp_path: Path) -> Iterator[World]:
    """A connection to the sandbox whose receiver runs with the sandbox's certificate."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/bc"
    loaded = load_connection_file(Path(running_sandbox.line["connection_file"])).settings
    settings = loaded.model_copy(
        update={
            "business_central": loaded.business_central.model_copy(
                update={"notification_url": url, "settle_seconds": 0}
            ),
            "ledger_url": SecretStr(f"sqlite:///{tmp_path / 'ledger.db'}"),
            "notification_client_state": SecretStr("a-random-state"),
        }
    )
    store = Ledger.open(settings.ledger_url_text())
    subscriber = Subscriber(
        settings.business_central.company_id, settings.notification_client_state
    )
    server = uvicorn.Server(
        uvicorn.Config(
            build_receiver(store, settings.name, subscriber),
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
            ssl_certfile=running_sandbox.line["certificate_file"],
            ssl_keyfile=running_sandbox.line["key_file"],
        )
    )
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve([listener])), name="receiver", daemon=True
    )
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(20)

    yield World(running_sandbox, settings, stop)
    stop()
    store.close()
