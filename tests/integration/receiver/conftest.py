"""A running receiver over real sockets, with a ledger of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from ml_connector.ledger.ledger import ConnectionLedger, Ledger
from ml_connector.ledger.records import StoredChange
from ml_connector.receiver.app import Subscriber, build_receiver
from ml_connector.receiver.metrics import Metrics

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
    config = uvicorn.Config(application, lifespan="off", log_config=None, access_log=False)
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
