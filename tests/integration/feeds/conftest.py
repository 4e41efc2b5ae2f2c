"""A connection to the running sandbox whose changes are listened to without an orchestrator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.hand_over import due, hand_over
from ml_connector.changes.listener import Listener
from ml_connector.exchange.systems import Systems
from tests.integration.exchange.conftest import Connected, connection_to

PATIENCE = 30.0


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Return the first true value of *condition*; fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


class Listening:
    """A connection with its listener running: `pending` tells what is in the inbox."""

    def __init__(self, connected: Connected, systems: Systems, listener: Listener) -> None:
        self.connected = connected
        self.systems = systems
        self.listener = listener

    def pending(self, entity: str, system: str = "salesforce") -> set[str]:
        """Return the ids with changes nobody dealt with."""
        return set(self.systems.ledger.pending_ids(system, entity))

    def open_streams(self) -> set[str]:
        """Return the topics the org has open streams of."""
        return {
            each["topic"] for each in self.connected.act("salesforce", "pubsub_streams")["streams"]
        }

    def settle(self) -> None:
        """Hand over until nothing is due."""
        quiet = 0
        while quiet < 3:
            if due(self.systems).anything:
                hand_over(self.systems)
                quiet = 0
            else:
                quiet += 1
                time.sleep(0.15)


@contextmanager
def listening_to(connected: Connected, **options: Any) -> Iterator[Listening]:
    """Listen to *connected* for as long as the block lasts; begins when every stream is open."""
    with Systems.open(connected.settings) as systems:
        lease = wait_for(lambda: FeedLease.take(systems))
        with lease, Listener(systems, lease, **options) as listener:
            here = Listening(connected, systems, listener)
            wait_for(lambda: len(here.open_streams()) == len(listener.feeds))
            yield here


@pytest.fixture
def connected(running_sandbox: Any, tmp_path: Path) -> Connected:
    """A connection with an empty SQLite ledger; unknown outcomes settle at once."""
    running_sandbox.admin.post("/salesforce/act", json={"act": "pubsub_clear"})
    return connection_to(running_sandbox, tmp_path)


@pytest.fixture
def in_background() -> Iterator[Callable[[Callable[[], Any]], threading.Thread]]:
    """Runs functions in threads that end with the test."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[], Any]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(PATIENCE)
