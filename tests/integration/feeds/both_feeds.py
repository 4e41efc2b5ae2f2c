"""A connection with both directions live: Salesforce's events and BC's notifications arrive."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr

from ml_connector.changes.feed_lease import FeedLease
from ml_connector.changes.hand_over import due, hand_over
from ml_connector.changes.listener import Listener
from ml_connector.changes.poll_feed import poll_entity, poll_masters
from ml_connector.changes.subscription_keeping import keep_subscriptions
from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.domain.clock import SystemClock
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange import status
from ml_connector.exchange.show import show
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.ledger import Ledger
from ml_connector.receiver.app import Subscriber, build_receiver
from tests.integration.exchange.conftest import Connected

START_SECONDS = 30.0
QUIET_SECONDS = 1.5
"""For how long nothing may arrive before the feeds count as drained."""


@dataclass
class BothFeeds:
    """The running feeds; `settle` deals with what arrived, a `cycle` also polls both sides."""

    systems: Systems
    listener: Listener

    def hand_over_once(self) -> None:
        """Hand over what has arrived so far."""
        if due(self.systems).anything:
            hand_over(self.systems)

    def settle(self) -> None:
        """Hand over until nothing has arrived for a while."""
        since = time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            if due(self.systems).anything:
                hand_over(self.systems)
                since = time.monotonic()
            else:
                time.sleep(0.1)

    def cycle(self) -> None:
        """Do what the scheduled poll does, and deal with what it found."""
        for entity in self.systems.policy.feeds.entities:
            poll_entity(self.systems, entity)
        poll_masters(self.systems)
        status.collect_affected_orders(self.systems)
        status.account_status(self.systems)
        show(self.systems, Kind.CUSTOMER)
        self.settle()


def with_receiver(settings: ConnectionSettings, url: str) -> ConnectionSettings:
    """Return the settings with notifications to *url*."""
    central = settings.business_central.model_copy(update={"notification_url": url})
    return settings.model_copy(
        update={
            "business_central": central,
            "notification_client_state": SecretStr("a-random-state"),
        }
    )


@contextmanager
def receiver_of(line: dict[str, Any], settings: ConnectionSettings) -> Iterator[ConnectionSettings]:
    """Receive notifications with the sandbox's certificate; gives the settings that name it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    told = with_receiver(settings, f"https://127.0.0.1:{listener.getsockname()[1]}/bc")
    store = Ledger.open(told.ledger_url_text())
    subscriber = Subscriber(told.business_central.company_id, told.notification_client_state)
    server = uvicorn.Server(
        uvicorn.Config(
            build_receiver(store, told.name, subscriber),
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
            ssl_certfile=str(Path(line["certificate_file"])),
            ssl_keyfile=str(Path(line["key_file"])),
        )
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.should_exit = True
        thread.join(20)
        store.close()


class ClockAhead(SystemClock):
    """The computer's clock, ahead by as much as a test needs."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        """Return the moment it pretends to be."""
        return super().now() + self.ahead


@contextmanager
def both_feeds(
    connected: Connected, *, clock_ahead: timedelta = timedelta()
) -> Iterator[BothFeeds]:
    """Listen and receive for as long as the block lasts; begins when every stream is open.

    Notifications come at once; subscriptions that went meanwhile are made anew.
    """
    connected.switch("business-central", webhook_scale=0)
    with (
        receiver_of(connected.sandbox.line, connected.settings) as settings,
        Systems.open(settings, clock=ClockAhead(clock_ahead)) as systems,
    ):
        keep_subscriptions(systems)
        lease = None
        while lease is None:
            lease = FeedLease.take(systems)
        with lease, Listener(systems, lease) as listener:
            deadline = time.monotonic() + START_SECONDS
            while len(_streams(connected)) < len(listener.feeds):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the streams did not open: {listener.states()}")
                time.sleep(0.05)
            yield BothFeeds(systems, listener)


def _streams(connected: Connected) -> list[dict[str, Any]]:
    streams: list[dict[str, Any]] = connected.act("salesforce", "pubsub_streams")["streams"]
    return streams
