"""Change feeds: own the streams, tell when something is due, find what changed, show the lag."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias, TypeVar

from prefect import task
from prefect.deployments import arun_deployment
from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from ml_connector.changes import hand_over
from ml_connector.changes.feed_alarm import turned
from ml_connector.changes.feed_lease import TRY_SECONDS, FeedLease
from ml_connector.changes.hand_over import Due
from ml_connector.changes.listener import Listener
from ml_connector.changes.poll_feed import poll_entity, poll_masters
from ml_connector.errors import TransientError
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.order_lines import poll_order_lines
from ml_connector.exchange.systems import Systems
from tasks.batches import PhaseResult, Scope
from tasks.connector_events import ParkedWatch
from tasks.health import publish_health
from tasks.pool_pause import PoolPause
from tasks.retry_policy import EFFECT

log = logging.getLogger("ml_connector")

Value = TypeVar("Value")

Extent: TypeAlias = Literal["everything", "changed"]
"""Whether a flow polls for everything that may have changed, or takes what the feeds stored."""

ExtentOrAwaited: TypeAlias = Literal["everything", "changed", "awaited"]
"""Besides: only what waiting orders lack, when everything else gives way to orders."""

STANDBY_SECONDS = 300.0
"""How long a run waits for the streams of another one before it completes."""

SUCCESSOR_SECONDS = 45.0
"""How long before its end a run starts the next one, so that it stands by in time."""

FEED_SILENT = "ml-connector.feed.silent"
FEED_RECOVERED = "ml-connector.feed.recovered"
FEED_LAG = "ml-connector.feed.lag"
"""Names of the Prefect events about a connection's feeds."""

_WAIT_SECONDS = 2.0
_WATCH_SECONDS = 60.0
_ARTIFACT_SECONDS = 300.0
_LONGEST_PAUSE = 60.0


@task(name="find-changed-products", task_run_name="find products with changes", **EFFECT)
async def find_changed_products(scope: Scope) -> list[str]:
    """Return the products that the feeds reported."""
    return await scope.run(hand_over.changed_products)


@task(name="find-changed-accounts", task_run_name="find accounts with changes", **EFFECT)
async def find_changed_accounts(scope: Scope) -> list[str]:
    """Return the accounts that the feeds reported."""
    return await scope.run(hand_over.changed_accounts)


@task(name="find-awaited-products", task_run_name="find products that orders wait for", **EFFECT)
async def find_awaited_products(scope: Scope) -> list[str]:
    """Return the products whose items waiting orders lack."""
    return await scope.run(hand_over.awaited_products)


@task(name="find-awaited-accounts", task_run_name="find accounts that orders wait for", **EFFECT)
async def find_awaited_accounts(scope: Scope) -> list[str]:
    """Return the accounts whose customers waiting orders lack."""
    return await scope.run(hand_over.awaited_accounts)


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


@task(name="poll-order-lines", task_run_name="poll order lines", **EFFECT)
async def poll_lines_of_orders(scope: Scope) -> None:
    """Store which Orders have lines that changed without moving their Order."""
    await scope.run(poll_order_lines)


@task(name="poll-business-central", task_run_name="poll items and contacts", **EFFECT)
async def poll_masters_of_bc(scope: Scope) -> int:
    """Store which products and contacts BC's changes concern; return how many."""
    return await scope.run(poll_masters)


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
        self._parked = ParkedWatch(scope.systems)
        self._pause = PoolPause()
        self._has_successor = False

    async def rounds(self) -> AsyncIterator[Due]:
        """Yield what is due, a debounce after it arrived; ends with the run's time or the lease.

        A service or ledger that is away for a while ends nothing: the inbox keeps the work, and
        the next look comes later. Raises: ConnectorError that ended the feeds for good.
        """
        listener = self._listener
        if listener is None:
            return
        debounce = self._scope.systems.policy.feeds.debounce_seconds
        while time.monotonic() < self._deadline and not listener.is_over:
            if await self._pause.is_on():
                log.info("the work pool is paused: this run ends, its successor waits for the pool")
                self._deadline = time.monotonic()
                await self._start_successor()
                break
            if await asyncio.to_thread(listener.wait, _WAIT_SECONDS):
                await asyncio.sleep(debounce)
            if time.monotonic() >= self._not_before:
                work = await self._tried(asyncio.to_thread(hand_over.due, self._scope.systems))
                if work is not None and work.anything:
                    yield work
                    await self._tried(asyncio.to_thread(self._parked.look))
            await self._tried(self._watch.look())
            await self._start_successor()
        listener.raise_failure()

    def dealt_with(self, results: Sequence[PhaseResult]) -> None:
        """Note how a round went: after a service that stayed away, the next one comes later."""
        if not any(result.faults for result in results):
            self._failures = 0
            return
        log.warning("not everything could be done; trying again in %d s", self._rest())

    async def _tried(self, look: Awaitable[Value]) -> Value | None:
        """Return what *look* gives; None, and a later next round, when somebody stayed away."""
        try:
            return await look
        except TransientError as fault:
            log.warning("%s Looking for work again in %d s", fault, self._rest())
            return None

    def _rest(self) -> int:
        """Put the next round off, twice as long each time; returns for how many seconds."""
        self._failures = min(self._failures + 1, 10)
        pause = min(_LONGEST_PAUSE, 2.0**self._failures)
        self._not_before = time.monotonic() + pause
        return int(pause)

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
    pause = PoolPause()
    while True:
        lease = None
        try:
            lease = await asyncio.to_thread(FeedLease.take, systems)
        except TransientError as fault:
            if time.monotonic() >= deadline:
                raise
            log.warning("who listens could not be looked up, trying again: %s", fault)
        if lease is not None or time.monotonic() >= deadline or await pause.is_on():
            return lease
        await asyncio.sleep(TRY_SECONDS)


class FeedWatch:
    """Looks at the feeds now and then; tells Prefect how they are."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._looked = self._shown = time.monotonic()

    async def look(self) -> None:
        """Tell of feeds that fell silent or came back; show the lag of all from time to time."""
        now = time.monotonic()
        if now - self._looked < _WATCH_SECONDS:
            return
        self._looked = now
        in_full = now - self._shown >= _ARTIFACT_SECONDS
        await tell_of_feeds(self._systems, with_lag=in_full)
        if in_full:
            self._shown = now
            await publish_health(Scope(self._systems))


async def tell_of_feeds(systems: Systems, *, with_lag: bool) -> None:
    """Emit an event per feed that fell silent or came back, and if asked one about all lags."""
    rows = await asyncio.to_thread(feeds, systems)
    changed = await asyncio.to_thread(turned, systems, rows)
    for row in changed.silent:
        log.warning("feed %s is %s for %d s", row["name"], row["state"], row["lag_seconds"])
        _emit(systems, FEED_SILENT, row)
    for row in changed.recovered:
        log.info("feed %s is back: %s", row["name"], row["state"])
        _emit(systems, FEED_RECOVERED, row)
    if with_lag and rows:
        _emit(systems, FEED_LAG, max(rows, key=lambda row: int(row["lag_seconds"])), rows)


def _emit(
    systems: Systems, event: str, row: dict[str, Any], rows: Sequence[dict[str, Any]] = ()
) -> None:
    """Emit an event of the connection about one feed; *rows* are all of them."""
    name = systems.settings.name
    told = ("name", "state", "lag_seconds", "last_confirmed_at", "message")
    payload: dict[str, Any] = {
        "connection": name,
        "feed": row["name"],
        **{key: row.get(key) for key in told[1:]},
    }
    if rows:
        payload["feeds"] = [{key: each.get(key) for key in told} for each in rows]
    emit_event(
        event=event,
        resource={
            "prefect.resource.id": f"ml-connector.connection.{name}",
            "prefect.resource.name": name,
            "ml-connector.feed": row["name"],
            "ml-connector.feed-state": row["state"],
            "ml-connector.lag-seconds": str(row["lag_seconds"]),
        },
        related=[
            {
                "prefect.resource.id": f"ml-connector.feed.{name}.{row['name']}",
                "prefect.resource.role": "feed",
                "prefect.resource.name": row["name"],
            }
        ],
        payload=payload,
    )
