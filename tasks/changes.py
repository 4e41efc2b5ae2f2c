"""Change feeds: own the streams, tell when something is due, find what changed, show the lag."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

from prefect import task
from prefect.deployments import arun_deployment
from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from ml_connector.changes import hand_over
from ml_connector.changes.feed_lease import TRY_SECONDS, FeedLease
from ml_connector.changes.hand_over import Due
from ml_connector.changes.listener import Listener
from ml_connector.changes.poll_feed import poll_entity
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.systems import Systems
from tasks.batches import PhaseResult, Scope
from tasks.health import publish_health
from tasks.retry_policy import EFFECT

log = logging.getLogger("ml_connector")

Extent: TypeAlias = Literal["everything", "changed"]
"""Whether a flow polls for everything that may have changed, or takes what the feeds stored."""

STANDBY_SECONDS = 300.0
"""How long a run waits for the streams of another one before it completes."""

SUCCESSOR_SECONDS = 45.0
"""How long before its end a run starts the next one, so that it stands by in time."""

FEED_SILENT, FEED_LIVE = "ml-connector.feed.silent", "ml-connector.feed.live"
"""Names of the Prefect events about a feed."""

_WAIT_SECONDS = 2.0
_WATCH_SECONDS = 60.0
_ARTIFACT_SECONDS = 300.0
_LONGEST_PAUSE = 60.0
_ALARMING = ("silent", "stopped", "paused")


@task(name="find-changed-products", task_run_name="find products with changes", **EFFECT)
async def find_changed_products(scope: Scope) -> list[str]:
    """Return the products that the feeds reported."""
    return await scope.run(hand_over.changed_products)


@task(name="find-changed-accounts", task_run_name="find accounts with changes", **EFFECT)
async def find_changed_accounts(scope: Scope) -> list[str]:
    """Return the accounts that the feeds reported."""
    return await scope.run(hand_over.changed_accounts)


@task(name="find-changed-contacts", task_run_name="find contacts with changes", **EFFECT)
async def find_changed_contacts(scope: Scope) -> list[str]:
    """Return the contacts that the feeds reported."""
    return await scope.run(hand_over.changed_contacts)


@task(name="find-changed-orders", task_run_name="find orders with changes", **EFFECT)
async def find_changed_orders(scope: Scope) -> list[str]:
    """Return the orders that the feeds reported, and those whose missing record has arrived."""
    return await scope.run(hand_over.changed_orders)


@task(name="poll-salesforce", task_run_name="poll {entity}", **EFFECT)
async def poll_changes_of(scope: Scope, entity: str) -> int:
    """Store what changed in one object since its last poll; return how many changes were new."""
    return await scope.run(lambda systems: poll_entity(systems, entity))


@task(name="find-due-work", task_run_name="find what is due", **EFFECT)
async def find_due(scope: Scope) -> Due:
    """Return what the inbox calls for."""
    return await scope.run(hand_over.due)


class Capture:
    """The streams of a run while it owns them: rounds of work until its time is over."""

    def __init__(self, scope: Scope, listener: Listener | None, minutes: float) -> None:
        self._scope = scope
        self._listener = listener
        self._deadline = time.monotonic() + minutes * 60
        self._not_before = 0.0
        self._failures = 0
        self._watch = FeedWatch(scope.systems)
        self._has_successor = False

    async def rounds(self) -> AsyncIterator[Due]:
        """Yield what is due, a debounce after it arrived; ends with the run's time or the lease.

        Raises: ConnectorError that ended the feeds for good.
        """
        listener = self._listener
        if listener is None:
            return
        debounce = self._scope.systems.policy.feeds.debounce_seconds
        while time.monotonic() < self._deadline and not listener.is_over:
            if await asyncio.to_thread(listener.wait, _WAIT_SECONDS):
                await asyncio.sleep(debounce)
            if time.monotonic() >= self._not_before:
                work = await asyncio.to_thread(hand_over.due, self._scope.systems)
                if work.anything:
                    yield work
            await self._watch.look()
            await self._start_successor()
        listener.raise_failure()

    def dealt_with(self, results: Sequence[PhaseResult]) -> None:
        """Note how a round went: after a service that stayed away, the next one comes later."""
        if not any(result.faults for result in results):
            self._failures = 0
            return
        self._failures = min(self._failures + 1, 10)
        pause = min(_LONGEST_PAUSE, 2.0**self._failures)
        self._not_before = time.monotonic() + pause
        log.warning("not everything could be done; trying again in %d s", int(pause))

    async def _start_successor(self) -> None:
        """Start the next run of this deployment shortly before the end of this one."""
        close_to_end = time.monotonic() > self._deadline - SUCCESSOR_SECONDS
        if self._has_successor or not close_to_end or deployment.id is None:
            return
        self._has_successor = True
        await arun_deployment(
            deployment.id,
            parameters={"connection": self._scope.systems.settings.name},
            timeout=0,
            as_subflow=False,
            idempotency_key=f"after-{flow_run.id}",
        )


@asynccontextmanager
async def capturing(scope: Scope, minutes: float) -> AsyncIterator[Capture]:
    """Own the streams for up to *minutes*; a run that finds an owner stands by for one period.

    When nobody let go of them, the capture has no rounds.
    """
    lease = await _taken(scope.systems, min(STANDBY_SECONDS, minutes * 60))
    if lease is None:
        log.info("another run listens; this one stood by and is done")
        yield Capture(scope, None, minutes)
        return
    try:
        listener = Listener(scope.systems, lease)
        await asyncio.to_thread(listener.__enter__)
        try:
            yield Capture(scope, listener, minutes)
        finally:
            await asyncio.to_thread(listener.stop)
    finally:
        await asyncio.to_thread(lease.release)


async def _taken(systems: Systems, seconds: float) -> FeedLease | None:
    deadline = time.monotonic() + seconds
    while True:
        lease = await asyncio.to_thread(FeedLease.take, systems)
        if lease is not None or time.monotonic() >= deadline:
            return lease
        await asyncio.sleep(TRY_SECONDS)


class FeedWatch:
    """Looks at the feeds now and then; tells Prefect when one falls silent or comes back."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._looked = self._shown = time.monotonic()
        self._alarmed: set[str] = set()

    async def look(self) -> None:
        """Emit an event per feed that fell silent or came back; renew the artifact in time."""
        now = time.monotonic()
        if now - self._looked < _WATCH_SECONDS:
            return
        self._looked = now
        rows = await asyncio.to_thread(feeds, self._systems)
        for row in rows:
            alarming = row["state"] in _ALARMING
            if alarming != (row["name"] in self._alarmed):
                self._tell(row, FEED_SILENT if alarming else FEED_LIVE)
                (self._alarmed.add if alarming else self._alarmed.discard)(row["name"])
        if now - self._shown >= _ARTIFACT_SECONDS:
            self._shown = now
            await publish_health(Scope(self._systems))

    def _tell(self, row: dict[str, Any], event: str) -> None:
        name = self._systems.settings.name
        if event == FEED_SILENT:
            log.warning("feed %s is %s for %d s", row["name"], row["state"], row["lag_seconds"])
        emit_event(
            event=event,
            resource={
                "prefect.resource.id": f"ml-connector.feed.{name}.{row['name']}",
                "prefect.resource.name": f"{name}: {row['name']}",
                "ml-connector.connection": name,
            },
            payload={
                "connection": name,
                **{key: row.get(key) for key in ("name", "state", "lag_seconds", "message")},
            },
        )
