"""The stream of change events: positions, topics, 72 hours of retention, delivery allowance."""

import hashlib
import xml.etree.ElementTree as ET
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

from ml_connector.sandbox.frame.clock import SandboxClock
from ml_connector.sandbox.salesforce.event_making import (
    ChangeEvent,
    Commit,
    Making,
    make_events,
)
from ml_connector.sandbox.salesforce.event_schema import EventSchema, build_event_schema
from ml_connector.sandbox.salesforce.pubsub_faults import FaultDesk
from ml_connector.sandbox.salesforce.schema import Schema

RETENTION = timedelta(hours=72)
ALLOWANCE_WINDOW = timedelta(hours=24)
SELECTED_ENTITIES = 5
"""How many entities an org may select over all its channels without paying for more."""

DEFAULT_CHANNEL = "ChangeEvents"
SWITCHES: dict[str, Any] = {
    "pubsub_merge_events": True,
    "pubsub_text_differences": True,
    "pubsub_idle_update_events": True,
    "pubsub_overflow_after": 100_000,
    "delivered_events_per_day": 1_000_000,
    "pubsub_large_commit_numbers": False,
}

_SPACE = "{http://soap.sforce.com/2006/04/metadata}"
_MEMBERS = (
    "force-app/main/default/platformEventChannelMembers/*.platformEventChannelMember-meta.xml"
)
_FIRST_POSITION = 5_936_000
_LARGE_COMMIT_NUMBER = 2**53
_number = attrgetter("number")


class SelectionError(ValueError):
    """The channel members could not be deployed: too many entities, or a broken name."""


class PositionRefused(LookupError):
    """The replay id is unknown here, or older than the retention."""


def read_selection(package: Path | None) -> dict[str, tuple[str, ...]]:
    """Channels of the package with the entities selected on them, in the order of their files."""
    channels: dict[str, list[str]] = {}
    for path in sorted(package.glob(_MEMBERS)) if package is not None else ():
        node = ET.parse(path).getroot()  # noqa: S314 - our own package, read from disk
        channel = node.findtext(_SPACE + "eventChannel", "").strip()
        event = node.findtext(_SPACE + "selectedEntity", "").strip()
        wanted = f"{channel.replace('__', '_')}_{event}"
        if not event.endswith("ChangeEvent") or path.name.split(".")[0] != wanted:
            raise SelectionError(f"{path.name} selects {event} on {channel}")
        channels.setdefault(channel, []).append(event.removesuffix("ChangeEvent"))
    selection = {channel: tuple(members) for channel, members in channels.items()}
    if len(selected_entities(selection)) > SELECTED_ENTITIES:
        raise SelectionError(f"more than {SELECTED_ENTITIES} entities are selected")
    return selection


def selected_entities(channels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The entities selected on any channel, each once."""
    return tuple(dict.fromkeys(entity for members in channels.values() for entity in members))


@dataclass(eq=False, slots=True)
class StreamState:
    """What the stream holds; all of it can be pickled."""

    started: datetime
    channels: dict[str, tuple[str, ...]]
    head: int = _FIRST_POSITION
    commit_number: int = 65_824_304_000
    events: dict[str, list[ChangeEvent]] = field(default_factory=dict)
    positions: dict[int, datetime] = field(default_factory=dict)
    schemas: dict[str, EventSchema] = field(default_factory=dict)
    deliveries: deque[tuple[datetime, int]] = field(default_factory=deque)
    held: list[Commit] | None = None
    desk: FaultDesk = field(default_factory=FaultDesk)

    def __post_init__(self) -> None:
        self.positions[self.head] = self.started


class EventStore:
    """All events of the org, kept in the order of their positions.

    `state` gives what is kept; another object there (a snapshot was restored) is another stream.
    """

    def __init__(
        self,
        clock: SandboxClock,
        schema: Callable[[], Schema],
        state: Callable[[], StreamState],
        switches: Mapping[str, Any] = SWITCHES,
    ) -> None:
        self._clock = clock
        self._schema = schema
        self._state_now = state
        self._switches = switches
        self._current: dict[str, tuple[tuple[str, ...], EventSchema]] = {}
        self.listeners: set[Callable[[], None]] = set()
        self.on_delivery: Callable[[int], object] | None = None
        """Told how many events were delivered within 24 hours, whenever some are."""

    @property
    def _state(self) -> StreamState:
        return self._state_now()

    @property
    def desk(self) -> FaultDesk:
        """The faults that are still to come; a restored snapshot has its own."""
        return self._state.desk

    @property
    def generation(self) -> object:
        """Changes its identity when the stream is another one."""
        return self._state_now()

    # ------------------------------------------------------------------ topics

    @property
    def selected(self) -> tuple[str, ...]:
        """The entities that produce events."""
        return selected_entities(self._state.channels)

    def topic_entities(self, topic: str) -> tuple[str, ...]:
        """The entities whose events a topic carries, none for an unknown topic."""
        name = topic.removeprefix("/data/")
        if name == topic:
            return ()
        if name in self._state.channels:
            return self._state.channels[name]
        entity = name.removesuffix("ChangeEvent")
        return (entity,) if entity != name and entity in self.selected else ()

    def select(self, channels: Mapping[str, Sequence[str]]) -> None:
        """Select other entities; stored events of entities no longer selected stay stored."""
        wanted = {channel: tuple(members) for channel, members in channels.items()}
        count = len(selected_entities(wanted))
        if count > SELECTED_ENTITIES:
            raise SelectionError(f"{count} entities are selected, {SELECTED_ENTITIES} may be")
        self._state.channels = wanted

    # ------------------------------------------------------------------ schemas

    def current_schema(self, entity: str) -> EventSchema:
        """The schema that events of this entity are written with now."""
        sobject = self._schema()[entity]
        names = tuple(sobject.fields)
        known = self._current.get(entity)
        if known is None or known[0] != names:
            known = self._current[entity] = (names, build_event_schema(sobject))
        return self._state.schemas.setdefault(known[1].schema_id, known[1])

    def topic_schema(self, topic: str) -> EventSchema:
        """The schema shown for a topic; of a channel with several entities that of the first."""
        return self.current_schema(self.topic_entities(topic)[0])

    def schema(self, schema_id: str) -> EventSchema | None:
        """The schema of this id, also one that is no longer current."""
        for entity in self.selected:
            if entity in self._schema().objects:
                self.current_schema(entity)
        return self._state.schemas.get(schema_id)

    def schema_of(self, event: ChangeEvent) -> EventSchema:
        """The schema an event was made with."""
        return self._state.schemas[event.schema_id]

    # ------------------------------------------------------------------ writing

    @property
    def holding(self) -> bool:
        """Whether commits are kept back for a late arrival."""
        return self._state.held is not None

    def hold(self) -> None:
        """Keep commits back until they are released."""
        if self._state.held is None:
            self._state.held = []

    def release(self, *, reverse: bool = False) -> int:
        """Let the commits that were kept back arrive now, and say how many they were."""
        held, self._state.held = self._state.held or [], None
        for commit in reversed(held) if reverse else held:
            self.record(commit)
        return len(held)

    def record(self, commit: Commit) -> None:
        """Append the events of a transaction."""
        if self._state.held is not None:
            self._state.held.append(commit)
            return
        present = self._schema().objects
        entities = {change.entity for change in commit.changes}
        schemas = {
            entity: self.current_schema(entity)
            for entity in self.selected
            if entity in entities and entity in present
        }
        if not schemas:
            return
        making = Making(
            merge=bool(self._switches["pubsub_merge_events"]),
            text_differences=bool(self._switches["pubsub_text_differences"]),
            idle_updates=bool(self._switches["pubsub_idle_update_events"]),
            overflow_after=int(self._switches["pubsub_overflow_after"]),
        )
        self._append(make_events(commit, schemas, self._next_commit_number(), making))

    def emit(self, event: ChangeEvent) -> None:
        """Append one event that no transaction made."""
        event.commit_number = event.commit_number or self._next_commit_number()
        self._append([event])

    def _append(self, events: Sequence[ChangeEvent]) -> None:
        self._forget_old()
        for event in events:
            event.number = self._advance()
            self.desk.spoil(event)
            self._state.events.setdefault(event.entity, []).append(event)
        for listener in list(self.listeners):
            listener()

    def _advance(self) -> int:
        """The next position: always higher, never the next number only."""
        digest = hashlib.blake2b(self._state.head.to_bytes(8, "big"), digest_size=1).digest()
        self._state.head += 1 + digest[0] % 13
        return self._state.head

    def _next_commit_number(self) -> int:
        self._state.commit_number += 7
        large = self._switches["pubsub_large_commit_numbers"]
        return self._state.commit_number + (_LARGE_COMMIT_NUMBER if large else 0)

    # ------------------------------------------------------------------ reading

    @property
    def head(self) -> int:
        """The newest position of the org."""
        return self._state.head

    def new_position(self) -> int:
        """A position after everything so far, good for 72 hours."""
        self._forget_old()
        position = self._advance()
        self._state.positions[position] = self._clock.now()
        return position

    def after(self, topic: str, position: int, limit: int) -> list[ChangeEvent]:
        """Up to `limit` events of a topic after a position, oldest first."""
        self._forget_old()
        found: list[ChangeEvent] = []
        for entity in self.topic_entities(topic):
            events = self._state.events.get(entity, [])
            start = bisect_right(events, position, key=_number)
            found.extend(events[start : start + limit])
        found.sort(key=_number)
        return found[:limit]

    def before(self, topic: str, position: int, count: int) -> int:
        """The position that lies `count` events of the topic before this one."""
        numbers = sorted(
            event.number
            for entity in self.topic_entities(topic)
            for event in self._state.events.get(entity, [])
            if event.number <= position
        )
        return numbers[-count] - 1 if len(numbers) >= count else -1

    def newest(self, topic: str) -> int:
        """The position of the topic's newest event; the org's first position when it has none."""
        numbers = [
            self._state.events[entity][-1].number
            for entity in self.topic_entities(topic)
            if self._state.events.get(entity)
        ]
        return max(numbers, default=self._state.head)

    def resolve(self, replay_id: bytes) -> int:
        """The position behind a replay id, which must be one of ours within the retention."""
        self._forget_old()
        if len(replay_id) not in (8, 10) or replay_id[8:].strip(b"\0"):
            raise PositionRefused
        position = int.from_bytes(replay_id[:8], "big")
        if position in self._state.positions:
            return position
        for events in self._state.events.values():
            place = bisect_right(events, position, key=_number) - 1
            if place >= 0 and events[place].number == position:
                return position
        raise PositionRefused

    def reset_stream(self) -> None:
        """Start a new stream, as after a move of the org: every stored replay id is foreign."""
        state = self._state
        state.head += 40_000_003
        state.events = {}
        state.positions = {state.head: self._clock.now()}

    def _forget_old(self) -> None:
        oldest = self._clock.now() - RETENTION
        for events in self._state.events.values():
            if events and events[0].at < oldest:
                kept = next((n for n, e in enumerate(events) if e.at >= oldest), len(events))
                del events[:kept]
        positions = self._state.positions
        while positions:
            first = next(iter(positions))
            if positions[first] >= oldest:
                break
            del positions[first]

    # ------------------------------------------------------------------ allowance

    def delivered(self) -> int:
        """Events delivered within the last 24 hours, over all subscribers."""
        oldest = self._clock.now() - ALLOWANCE_WINDOW
        deliveries = self._state.deliveries
        while deliveries and deliveries[0][0] < oldest:
            deliveries.popleft()
        return sum(count for _, count in deliveries)

    def allowed(self) -> int:
        """How many events may be delivered now."""
        return max(0, int(self._switches["delivered_events_per_day"]) - self.delivered())

    def count_delivery(self, count: int) -> None:
        """Charge events to the allowance."""
        minute = self._clock.now().replace(second=0, microsecond=0)
        deliveries = self._state.deliveries
        if deliveries and deliveries[-1][0] == minute:
            count += deliveries.pop()[1]
        deliveries.append((minute, count))
        if self.on_delivery is not None:
            self.on_delivery(self.delivered())

    # ------------------------------------------------------------------ overview

    def counts(self) -> dict[str, int]:
        """Stored events by entity."""
        return {entity: len(events) for entity, events in self._state.events.items()}


def replay_id(position: int) -> bytes:
    """A position as clients see it: eight bytes that count, two that are zero."""
    return position.to_bytes(8, "big") + b"\0\0"
