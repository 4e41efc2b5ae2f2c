"""One subscription: its demand, its position, and the loop that serves it."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2
from ml_connector.sandbox.salesforce.event_making import ChangeEvent
from ml_connector.sandbox.salesforce.event_store import EventStore, PositionRefused, replay_id
from ml_connector.sandbox.salesforce.pubsub_faults import PubSubRefusal

DEMAND_CAP = 100
RESPONSE_BYTES = 3_000_000
FLOOD_WINDOW_SECONDS = 10.0
_EVENT_IDS = uuid.UUID("5b1c2d5e-3f0a-4d43-9a53-6b0d9d1f2a77")
SWITCHES: dict[str, Any] = {
    "pubsub_keepalive_seconds": 240.0,
    "pubsub_idle_seconds": 60.0,
    "pubsub_idle_close": "end",
    "pubsub_response_events": 100,
    "pubsub_flood_requests": 20,
}
"""`pubsub_idle_close` is how a stream without demand is closed: `end`, or an error code."""

Hidden = Callable[[str], frozenset[str] | None]
"""entity -> the columns the subscriber may not see; None where it may not see the entity."""


@dataclass(eq=False, slots=True)
class Subscription:
    """What one stream has asked for and what it was given."""

    topic: str
    position: int
    demand: int
    number: int = 0
    delivered: int = 0
    half_closed: bool = False
    ended_by: PubSubRefusal | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    recent: deque[float] = field(default_factory=deque)
    """When requests came in that found the demand full."""

    def end(self, refusal: PubSubRefusal) -> None:
        """End the stream with an error."""
        self.ended_by = self.ended_by or refusal
        self.wake.set()

    def ask(self, request: Any, flood_requests: int) -> None:
        """Add a later request's demand."""
        if request.topic_name and request.topic_name != self.topic:
            code = "subscription.fetch.topic.mismatch"
            raise PubSubRefusal(code, f"This stream belongs to {self.topic}.")
        require_demand(request)
        if self.demand >= DEMAND_CAP:
            now = time.monotonic()
            self.recent.append(now)
            while now - self.recent[0] > FLOOD_WINDOW_SECONDS:
                self.recent.popleft()
            if len(self.recent) > flood_requests:
                code = "subscription.fetch.overflow"
                raise PubSubRefusal(code, "Take what is owed before asking for more.")
        self.demand = min(DEMAND_CAP, self.demand + request.num_requested)
        self.wake.set()


def require_demand(request: Any) -> None:
    """Refuse a request that asks for nothing."""
    if request.num_requested <= 0:
        code = "subscription.fetch.requested.events.invalid"
        raise PubSubRefusal(code, "The number of requested events must be positive.")


def start_position(store: EventStore, request: Any) -> int:
    """Where the first request of a stream wants to start."""
    if request.replay_preset == pb2.ReplayPreset.LATEST:
        return store.head
    if request.replay_preset == pb2.ReplayPreset.EARLIEST:
        return -1
    if request.replay_preset != pb2.ReplayPreset.CUSTOM:
        raise PubSubRefusal("subscription.fetch.request.invalid", "Unknown replay preset.")
    if not request.replay_id:
        code = "subscription.fetch.replayid.validation.failed"
        raise PubSubRefusal(code, "A custom start needs a replay id.")
    try:
        return store.resolve(request.replay_id)
    except PositionRefused:
        code = "subscription.fetch.replayid.corrupted"
        raise PubSubRefusal(code, "The replay id is not valid, or no longer.") from None


async def read_demand(
    context: Any, subscription: Subscription, switches: Mapping[str, Any]
) -> None:
    """Take the later requests of a stream until the client has no more."""
    while True:
        request = await context.read()
        if request is grpc.aio.EOF:
            subscription.half_closed = True
            subscription.wake.set()
            return
        try:
            subscription.ask(request, int(switches["pubsub_flood_requests"]))
        except PubSubRefusal as refusal:
            subscription.end(refusal)
            return


class Delivery:
    """Serves one subscription until it ends."""

    def __init__(
        self,
        store: EventStore,
        switches: Mapping[str, Any],
        hidden: Hidden,
    ) -> None:
        self._store = store
        self._switches = switches
        self._hidden = hidden

    async def run(self, subscription: Subscription, context: Any) -> None:
        """Send what is owed, and keep-alives when there is nothing.

        Raises PubSubRefusal when the stream ends with an error.
        """
        last_sent = idle_since = time.monotonic()
        generation = self._store.generation
        while True:
            if self._store.generation is not generation:
                raise PubSubRefusal("service.unavailable", "The org has another state now.")
            if subscription.ended_by is not None:
                raise subscription.ended_by
            subscription.wake.clear()
            silent = self._store.desk.is_silent(subscription.topic)
            response = None if silent else self._next(subscription)
            if response is not None:
                await context.write(response)
                last_sent = idle_since = time.monotonic()
                continue
            if subscription.demand == 0:
                if subscription.half_closed or self._is_idle(idle_since):
                    return
                pause = idle_since + self._seconds("pubsub_idle_seconds") - time.monotonic()
            else:
                idle_since = time.monotonic()
                due = last_sent + self._seconds("pubsub_keepalive_seconds")
                if due <= idle_since:
                    last_sent = idle_since
                    if not silent:
                        await context.write(self._keepalive(subscription))
                    continue
                pause = due - idle_since
            await _wait(subscription.wake, pause)

    def _seconds(self, switch: str) -> float:
        return float(self._switches[switch])

    def _is_idle(self, since: float) -> bool:
        if time.monotonic() - since < self._seconds("pubsub_idle_seconds"):
            return False
        how = str(self._switches["pubsub_idle_close"])
        if how != "end":
            raise PubSubRefusal(how, "Nothing was asked for in time.")
        return True

    def _next(self, subscription: Subscription) -> Any:
        """The next response with events, None when nothing can be sent now."""
        limit = min(subscription.demand, int(self._switches["pubsub_response_events"]))
        if limit <= 0:
            return None
        found = self._store.after(subscription.topic, subscription.position, limit)
        if not found:
            return None
        allowed = self._store.allowed()
        if not allowed:
            code = "subscription.limit.exceeded"
            raise PubSubRefusal(code, "The deliveries of the last 24 hours are used up.")
        entities = {event.entity for event in found}
        hidden = {entity: self._hidden(entity) for entity in entities}
        events: list[Any] = []
        size = 0
        for event in found[:allowed]:
            columns = hidden[event.entity]
            if columns is not None:
                consumer = self._consumer(event, columns)
                size += len(consumer.event.payload)
                if events and size > RESPONSE_BYTES:
                    break
                events.append(consumer)
            subscription.position = event.number
        if not events:
            return None
        subscription.demand -= len(events)
        subscription.delivered += len(events)
        self._store.count_delivery(len(events))
        newest = max(self._store.newest(subscription.topic), subscription.position)
        return pb2.FetchResponse(
            events=events,
            latest_replay_id=replay_id(newest),
            rpc_id=str(uuid.uuid4()),
            pending_num_requested=subscription.demand,
        )

    def _consumer(self, event: ChangeEvent, hidden: frozenset[str]) -> Any:
        schema = self._store.schema_of(event)
        schema_id = event.schema_id
        if event.spoiled == "schema":
            schema_id = schema_id[::-1]
        producer = pb2.ProducerEvent(
            id=str(uuid.uuid5(_EVENT_IDS, f"{event.transaction_key}/{event.number}")),
            schema_id=schema_id,
            payload=event.payload(schema, hidden),
        )
        return pb2.ConsumerEvent(event=producer, replay_id=replay_id(event.number))

    def _keepalive(self, subscription: Subscription) -> Any:
        subscription.position = max(subscription.position, self._store.new_position())
        return pb2.FetchResponse(
            latest_replay_id=replay_id(subscription.position),
            rpc_id=str(uuid.uuid4()),
            pending_num_requested=subscription.demand,
        )


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(wake.wait(), max(0.0, seconds))
    except TimeoutError:
        return
