"""Puts the Pub/Sub API onto an org: feeds it, and lets the admin surface disturb it."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.event_making import Change, ChangeEvent, Commit
from ml_connector.sandbox.salesforce.event_schema import CHANGE_TYPES
from ml_connector.sandbox.salesforce.event_store import (
    DEFAULT_CHANNEL,
    EventStore,
    StreamState,
    read_selection,
)
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.pubsub_server import SWITCHES, Org, PubSubServer, TlsFiles

ACT_PREFIX = "pubsub_"
_ALL = "*"


def attach_pubsub(
    org: SalesforceOrg,
    sign_in: Callable[[str], Person | None],
    tls: TlsFiles,
    port: int = 0,
) -> "PubSub":
    """Give the org change events; `server.run` is the coroutine that serves them."""
    frame = org.frame
    for name, value in SWITCHES.items():
        frame.switches.setdefault(name, value)
    channels = read_selection(org.package_directory)
    org.event_store = StreamState(frame.clock.now(), channels)

    def state() -> StreamState:
        kept = org.event_store
        if not isinstance(kept, StreamState):
            raise TypeError("the org has no event stream")
        return kept

    store = EventStore(frame.clock, lambda: org.schema, state, frame.switches)
    face = Org(org.organization_id, lambda: org.schema, sign_in)
    server = PubSubServer(face, frame, store, tls, port)
    store.on_delivery = lambda delivered: org.services.update(delivered_events=delivered)
    org.subscribers.append(lambda transaction: store.record(commit_of(transaction)))
    end_sessions = frame.expire_sessions

    def end_sessions_and_streams() -> None:
        end_sessions()
        server.end_streams("service.auth.error")

    frame.expire_sessions = end_sessions_and_streams
    return PubSub(org, server, store)


def commit_of(transaction: Mapping[str, Any]) -> Commit:
    """An entry of the org's change log as the event store takes it."""
    return Commit(
        transaction_key=transaction["transaction_key"],
        at=transaction["at"],
        user_id=transaction["user_id"],
        origin=transaction["origin"],
        changes=[
            Change(
                entity=entry["object"],
                record_id=entry["id"],
                kind=entry["kind"],
                before=entry["before"],
                after=entry["after"],
            )
            for entry in transaction["entries"]
        ],
    )


class PubSub:
    """The running service with the verbs of its admin surface."""

    def __init__(self, org: SalesforceOrg, server: PubSubServer, store: EventStore) -> None:
        self._org = org
        self.server = server
        self.store = store
        self._acts: dict[str, Callable[..., Any]] = {
            "pubsub_streams": self.streams,
            "pubsub_abort": self.abort,
            "pubsub_refuse": self.refuse,
            "pubsub_expire_sessions": self.expire_sessions,
            "pubsub_duplicate": self.duplicate,
            "pubsub_silence": self.silence,
            "pubsub_hold": self.hold,
            "pubsub_release": self.release,
            "pubsub_spoil": self.spoil,
            "pubsub_emit": self.emit,
            "pubsub_fill": self.fill,
            "pubsub_select": self.select,
            "pubsub_reset_stream": self.reset_stream,
            "pubsub_restart": self.restart,
            "pubsub_clear": self.clear,
        }

    def act(self, name: str, **arguments: Any) -> Any:
        """Carry out one of the verbs; ValueError tells what is wrong with it."""
        verb = self._acts.get(name)
        if verb is None:
            raise ValueError(f"no act {name}; there are {sorted(self._acts)}")
        return verb(**arguments)

    def streams(self) -> dict[str, Any]:
        """The open streams, the stored events, and what was delivered within 24 hours."""
        return {
            "streams": [
                {
                    "number": stream.number,
                    "topic": stream.topic,
                    "position": stream.position,
                    "demand": stream.demand,
                    "delivered": stream.delivered,
                }
                for stream in sorted(self.server.streams, key=lambda stream: stream.number)
            ],
            "events": self.store.counts(),
            "head": self.store.head,
            "delivered": self.store.delivered(),
        }

    def abort(self, code: str, topic: str | None = None) -> dict[str, int]:
        """End open streams with an error code."""
        return {"streams": self.server.end_streams(code, topic)}

    def refuse(
        self, code: str, method: str = "Subscribe", topic: str | None = None, times: int = 1
    ) -> dict[str, int]:
        """Refuse the next calls of a method with an error code."""
        self.store.desk.refuse_next(code, method, topic, times)
        return {"waiting": len(self.store.desk.refusals)}

    def expire_sessions(self) -> dict[str, int]:
        """End every session; open streams end with it, as when an admin revokes them."""
        count = len(self.server.streams)
        self._org.frame.expire_sessions()
        return {"streams": count}

    def duplicate(self, count: int = 1, topic: str | None = None) -> dict[str, int]:
        """Deliver the last events of the open streams again."""
        chosen = [stream for stream in self.server.streams if topic in (None, stream.topic)]
        for stream in chosen:
            stream.position = self.store.before(stream.topic, stream.position, count)
            stream.wake.set()
        return {"streams": len(chosen)}

    def silence(self, *, on: bool = True, topic: str = _ALL) -> dict[str, list[str]]:
        """Let topics say nothing, not even that they live, or let them speak again."""
        silent = self.store.desk.silent
        (silent.add if on else silent.discard)(topic)
        self.server.wake_all()
        return {"silent": sorted(silent)}

    def hold(self) -> dict[str, bool]:
        """Keep commits back: their events come late."""
        self.store.hold()
        return {"holding": True}

    def release(self, *, reverse: bool = False) -> dict[str, int]:
        """Let the events come that were kept back, in the order of commit or the other way."""
        return {"commits": self.store.release(reverse=reverse)}

    def spoil(self, how: str, entity: str | None = None, times: int = 1) -> dict[str, int]:
        """Spoil the next events: payload, body, schema, bitmap or record_ids."""
        self.store.desk.spoil_next(how, entity, times)
        return {"waiting": len(self.store.desk.spoils)}

    def emit(
        self,
        entity: str,
        kind: str,
        record_ids: Sequence[str] = (),
        changed: Sequence[str] = (),
        how: str | None = None,
    ) -> dict[str, int]:
        """Put an event on the stream that no transaction made: GAP_*, GAP_OVERFLOW, a wildcard."""
        if kind not in CHANGE_TYPES:
            raise ValueError(f"no change type {kind}; there are {CHANGE_TYPES}")
        if entity not in self.store.selected:
            raise ValueError(f"{entity} is not selected; {self.store.selected} are")
        event = self._event(entity, kind, list(record_ids), tuple(changed))
        event.spoiled = how
        self.store.emit(event)
        return {"position": event.number}

    def fill(self, entity: str, count: int) -> dict[str, int]:
        """Put many UPDATE events on the stream, round and round over the entity's records."""
        if entity not in self.store.selected:
            raise ValueError(f"{entity} is not selected; {self.store.selected} are")
        ids = list(self._org.table(entity).rows)
        if not ids:
            raise ValueError(f"there is no {entity}")
        for number in range(count):
            event = self._event(
                entity, "UPDATE", [ids[number % len(ids)]], ("Description", "LastModifiedDate")
            )
            event.values = {"Description": f"Change {number}", "LastModifiedDate": event.at}
            self.store.emit(event)
        return {"events": count}

    def select(self, entities: Sequence[str]) -> dict[str, list[str]]:
        """Select other entities on the standard channel."""
        self.store.select({DEFAULT_CHANNEL: list(entities)})
        return {"selected": list(self.store.selected)}

    def reset_stream(self) -> dict[str, int]:
        """Start another stream, as after a move of the org: stored replay ids are foreign."""
        self.store.reset_stream()
        return {"streams": self.server.end_streams("service.unavailable")}

    def restart(self, down_seconds: float = 0.0) -> dict[str, float]:
        """Cut every connection and be away for a while."""
        self.server.restart(float(down_seconds))
        return {"down_seconds": float(down_seconds)}

    def clear(self) -> dict[str, bool]:
        """Forget the faults that are still to come; what was kept back comes now."""
        self.store.desk.clear()
        self.store.release()
        self.server.wake_all()
        return {"clear": True}

    def _event(
        self, entity: str, kind: str, record_ids: list[str], changed: tuple[str, ...]
    ) -> ChangeEvent:
        return ChangeEvent(
            entity=entity,
            schema_id=self.store.current_schema(entity).schema_id,
            kind=kind,
            record_ids=record_ids,
            at=self._org.now(),
            transaction_key=str(uuid.uuid4()),
            sequence=1,
            commit_number=0,
            user_id=self._org.rep_user_id,
            origin="",
            changed=changed,
        )
