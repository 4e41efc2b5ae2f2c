"""A listener as a process of its own that can be told at which moment to die.

Arguments: connection file, ledger file, moment. A moment is `never`, `store:N` (an N-th response
was received and not stored), `hand-over:N` (an N-th round of changes was stored and not handed
over), `write:N` (an N-th order was decided on and not sent), `answer:N` (an N-th order was written
and its answer not stored) or `after:SECONDS`. What it receives is noted in `received.jsonl` beside
the ledger before it is stored.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.changes import hand_over
from ml_connector.changes.event_feed import EventFeed
from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.listener import Listener
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.event_stream import Batch


def die() -> None:
    """Die like a process whose power was cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Counts down to the moment of death."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def burn(self) -> None:
        """Die when it is the time."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                die()


def wrapped(
    target: Any, name: str, before: Callable[[], None] | None, after: Callable[[], None] | None
) -> None:
    """Put a fuse before or after a method."""
    original = getattr(target, name)

    def method(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before()
        result = original(*arguments, **named)
        if after is not None:
            after()
        return result

    setattr(target, name, method)


def note_received(file: Path) -> None:
    """Note every response with events before it is stored."""
    store = EventFeed._store  # between receiving and storing there is no other place

    def noted(feed: EventFeed, batch: Batch, position: bytes) -> None:
        if batch.events:
            ids = [event.replay_id.hex() for event in batch.events]
            line = {"process": os.getpid(), "entity": feed.entity, "ids": ids}
            with file.open("a") as notes:
                notes.write(json.dumps(line) + "\n")
        store(feed, batch, position)

    setattr(EventFeed, "_store", noted)  # noqa: B010  # a test's own seam


def main() -> None:
    """Listen and hand over until told otherwise."""
    file, ledger, moment = sys.argv[1:4]
    settings = load_connection_file(Path(file)).settings
    settings = settings.model_copy(
        update={
            "ledger_url": SecretStr(f"sqlite:///{ledger}"),
            "business_central": settings.business_central.model_copy(update={"settle_seconds": 1}),
        }
    )
    hand_over.LOOK_AGAIN_AFTER = timedelta(seconds=1.5)
    what, _, number = moment.partition(":")
    round_fuse = Fuse(0).burn
    if what == "store":
        wrapped(EventFeed, "_store", Fuse(int(number)).burn, None)
    elif what == "hand-over":
        round_fuse = Fuse(int(number)).burn
    elif what == "write":
        wrapped(BusinessCentralClient, "create", Fuse(int(number)).burn, None)
    elif what == "answer":
        wrapped(BusinessCentralClient, "create", None, Fuse(int(number)).burn)
    elif what == "after":
        threading.Timer(float(number), die).start()
    note_received(Path(ledger).with_name("received.jsonl"))
    with Systems.open(settings) as systems:
        while (lease := FeedLease.take(systems)) is None:
            time.sleep(0.1)
        with lease, Listener(systems, lease) as listener:
            while not listener.is_over:
                if listener.wait(0.5):
                    time.sleep(0.1)
                    round_fuse()
                if hand_over.due(systems).anything:
                    hand_over.hand_over(systems)


if __name__ == "__main__":
    main()
