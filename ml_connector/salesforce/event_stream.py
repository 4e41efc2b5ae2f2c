"""Subscriptions to change events: one gRPC stream per topic, with demand given in small portions.

A stream ends with a StreamFault that says what to do about it. Nothing is retried here: whoever
stores the events knows where to go on.
"""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any

import grpc

from ml_connector.errors import FeedError
from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2
from ml_connector.pubsub_stubs import pubsub_api_pb2_grpc as pb2_grpc
from ml_connector.salesforce.auth import SalesforceAuth, Session
from ml_connector.salesforce.settings import SalesforceSettings
from ml_connector.tls import trusted_context

MOST_OUTSTANDING = 100
"""Events a subscriber may have asked for and not got yet; the server counts no more."""

UNARY_SECONDS = 30
_CODE_PREFIX = "sfdc.platform.eventbus.grpc."
_MESSAGE_BYTES = 128 * 1024 * 1024
"""A response may hold a hundred events of one megabyte."""


class Reaction(StrEnum):
    """What the end of a stream calls for."""

    RECONNECT = "reconnect"
    """Go on from the stored position after a pause."""
    NEW_SESSION = "new_session"
    """Sign in again, then go on from the stored position."""
    POLL = "poll"
    """The position is refused: start anew and read what lies between by other means."""
    WAIT = "wait"
    """An allowance is used up: stay away for long and poll meanwhile."""
    STOP = "stop"
    """Nothing helps but a person: do not try this topic again."""


REACTIONS: dict[str, Reaction] = {
    "service.unavailable": Reaction.RECONNECT,
    "service.auth.error": Reaction.NEW_SESSION,
    "service.auth.refresh.invalid": Reaction.NEW_SESSION,
    "service.auth.headers.invalid": Reaction.STOP,
    "service.protection.triggered": Reaction.WAIT,
    "service.protection.stream.limit.triggered": Reaction.WAIT,
    "service.tenant.license": Reaction.STOP,
    "concurrent.client.limit.exceeded": Reaction.WAIT,
    "topic.not.found": Reaction.STOP,
    "topic.meta.permission": Reaction.STOP,
    "topic.api.unavailable": Reaction.RECONNECT,
    "topic.validation.empty": Reaction.STOP,
    "schema.meta.permission": Reaction.STOP,
    "schema.api.unavailable": Reaction.RECONNECT,
    "schema.validation.failed": Reaction.STOP,
    "subscription.topic.cannot.subscribe": Reaction.STOP,
    "subscription.internal.error": Reaction.RECONNECT,
    "subscription.fetch.replayid.corrupted": Reaction.POLL,
    "subscription.fetch.replayid.validation.failed": Reaction.POLL,
    "subscription.fetch.replay.repeated": Reaction.RECONNECT,
    "subscription.fetch.requested.events.invalid": Reaction.STOP,
    "subscription.fetch.topic.mismatch": Reaction.STOP,
    "subscription.fetch.request.invalid": Reaction.STOP,
    "subscription.fetch.overflow": Reaction.RECONNECT,
    "subscription.limit.exceeded": Reaction.WAIT,
}
"""By error code, without its common beginning."""

_REFUSED_POSITION = "subscription.fetch.replayid."
"""Beginning of every code about a position, those of tomorrow included."""

_BY_STATUS: dict[grpc.StatusCode, Reaction] = {
    grpc.StatusCode.UNAUTHENTICATED: Reaction.NEW_SESSION,
    grpc.StatusCode.PERMISSION_DENIED: Reaction.STOP,
    grpc.StatusCode.NOT_FOUND: Reaction.STOP,
    grpc.StatusCode.INVALID_ARGUMENT: Reaction.STOP,
    grpc.StatusCode.UNIMPLEMENTED: Reaction.STOP,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reaction.WAIT,
}
"""For codes that are not in the table; everything else is worth another try."""

_REMEDIES: dict[str, str] = {
    "topic.not.found": "Select the object for Change Data Capture: deploy salesforce-package/.",
    "service.tenant.license": "The org's licence has no Pub/Sub API; poll instead.",
    "service.auth.headers.invalid": "Check my_domain_url, then run `connect` again.",
    "subscription.limit.exceeded": (
        "The org's daily event deliveries are used up; changes are polled meanwhile. Buy more or "
        "unsubscribe others."
    ),
}
_PERMISSION = "Give the run-as user the permission set of salesforce-package/ (View All Records)."
_BY_ITSELF = "Nothing to do: the connector subscribes again."


class StreamFault(FeedError):
    """A stream or a call of the event service ended; `reaction` says what to do."""

    default_code = "stream_lost"

    def __init__(
        self,
        message: str,
        *,
        reaction: Reaction,
        code: str,
        request_id: str = "",
        is_unexplained: bool = False,
    ) -> None:
        remedy = _REMEDIES.get(code, _PERMISSION if reaction is Reaction.STOP else _BY_ITSELF)
        super().__init__(
            message,
            system="salesforce",
            operation="subscribe",
            code=code,
            request_id=request_id,
            remedy=remedy,
        )
        self.reaction = reaction
        self.is_unexplained = is_unexplained
        """Whether the request was refused as invalid, by no code that is known."""


def fault_of(error: Any) -> StreamFault:
    """Return what the end of a gRPC call means, by the vendor's code or else by its status."""
    trailers = dict(error.trailing_metadata() or ()) if hasattr(error, "trailing_metadata") else {}
    status = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    code = str(trailers.get("error-code", "")).removeprefix(_CODE_PREFIX)
    reaction = REACTIONS.get(code) or _BY_STATUS.get(status, Reaction.RECONNECT)
    if code.startswith(_REFUSED_POSITION):
        reaction = Reaction.POLL
    name = code or status.name.lower()
    return StreamFault(
        f"Salesforce's event service ended the call ({name}).",
        reaction=reaction,
        code=name,
        request_id=str(trailers.get("rpc-id", "")),
        is_unexplained=status is grpc.StatusCode.INVALID_ARGUMENT and code not in REACTIONS,
    )


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event as it was delivered."""

    id: str
    schema_id: str
    payload: bytes
    replay_id: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """One response. Without events it is a sign of life whose position may be stored.

    `position` is where to go on after this batch, empty when the server named none; `owed` is how
    many events are still asked for.
    """

    events: tuple[RawEvent, ...]
    position: bytes
    owed: int


class EventStream:
    """A connection to the event service of one org; streams and calls share it."""

    def __init__(self, settings: SalesforceSettings, auth: SalesforceAuth) -> None:
        self._auth = auth
        self._organization = ""
        self._channel = grpc.secure_channel(
            settings.pubsub_endpoint,
            grpc.ssl_channel_credentials(root_certificates=trusted_roots(settings.ca_pem)),
            options=(
                ("grpc.max_receive_message_length", _MESSAGE_BYTES),
                ("grpc.initial_reconnect_backoff_ms", 250),
                ("grpc.min_reconnect_backoff_ms", 250),
                ("grpc.max_reconnect_backoff_ms", 5_000),
            ),
        )
        self._stub = pb2_grpc.PubSubStub(self._channel)

    def close(self) -> None:
        """End every stream and the connection."""
        self._channel.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def subscribe(self, topic: str, after: bytes | None) -> Subscription:
        """Open a stream of *topic*: what comes after the position *after*, or from now on."""
        session = self._auth.session()
        return Subscription(self._stub, self._metadata(session), topic, after, session)

    def schema(self, schema_id: str) -> str:
        """Return the Avro schema with this id, present or past, as JSON text.

        Raises: StreamFault; code `schema.validation.failed` when there is no such schema.
        """
        request = pb2.SchemaRequest(schema_id=schema_id)
        return str(self._call(self._stub.GetSchema, request).schema_json)

    def topic_schema(self, topic: str) -> str:
        """Return the id of *topic*'s present schema.

        Raises: StreamFault when the topic is refused, or is there and may not be subscribed.
        """
        found = self._call(self._stub.GetTopic, pb2.TopicRequest(topic_name=topic))
        if not found.can_subscribe:
            raise StreamFault(
                f"Salesforce lets this user not subscribe {topic}.",
                reaction=Reaction.STOP,
                code="subscription.topic.cannot.subscribe",
                request_id=str(found.rpc_id),
            )
        return str(found.schema_id)

    def renew_session(self, refused: Session) -> None:
        """Sign in again unless somebody did since *refused*. Raises: AuthenticationError."""
        self._auth.renewed(refused)

    def _call(self, method: Any, request: Any) -> Any:
        """Call once, and once more with a new session when the session had ended."""
        session = self._auth.session()
        for last in (False, True):
            try:
                return method(request, metadata=self._metadata(session), timeout=UNARY_SECONDS)
            except grpc.RpcError as error:
                fault = fault_of(error)
                if last or fault.reaction is not Reaction.NEW_SESSION:
                    raise fault from error
                session = self._auth.renewed(session)
        raise AssertionError("unreachable")

    @staticmethod
    def _metadata(session: Session) -> tuple[tuple[str, str], ...]:
        organization = session.organization_id or session.token.partition("!")[0]
        return (
            ("accesstoken", session.token),
            ("instanceurl", session.instance_url),
            ("tenantid", organization),
        )


class Subscription:
    """One open stream. Read by one thread; `cancel` and `seconds_silent` are for any."""

    def __init__(
        self, stub: Any, metadata: Any, topic: str, after: bytes | None, session: Session
    ) -> None:
        self.session = session
        self._topic = topic
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outstanding = 0
        self._heard = time.monotonic()
        self._cancelled = threading.Event()
        self._first: dict[str, Any] = (
            {"replay_preset": pb2.ReplayPreset.LATEST}
            if after is None
            else {"replay_preset": pb2.ReplayPreset.CUSTOM, "replay_id": after}
        )
        self._call = stub.Subscribe(iter(self._requests.get, None), metadata=metadata)

    def ask(self, count: int) -> None:
        """Ask for *count* more events, or for as many as may be outstanding."""
        allowed = min(count, MOST_OUTSTANDING - self._outstanding)
        if allowed <= 0:
            return
        self._outstanding += allowed
        first, self._first = self._first, {}
        self._requests.put(pb2.FetchRequest(topic_name=self._topic, num_requested=allowed, **first))

    def batches(self) -> Iterator[Batch]:
        """Yield responses until the stream ends; ask first, and again after storing each.

        Raises: StreamFault when it ends, by whatever side; a cancelled stream ends quietly.
        """
        try:
            for response in self._call:
                self._heard = time.monotonic()
                events = tuple(
                    RawEvent(
                        item.event.id, item.event.schema_id, item.event.payload, item.replay_id
                    )
                    for item in response.events
                )
                self._outstanding = max(0, self._outstanding - len(events))
                # with events, latest_replay_id may lie ahead of them: no place to go on from
                position = events[-1].replay_id if events else response.latest_replay_id
                yield Batch(events, position, response.pending_num_requested)
        except grpc.RpcError as error:
            if not self._cancelled.is_set():
                raise fault_of(error) from error
        else:
            if not self._cancelled.is_set():
                raise StreamFault(
                    "Salesforce ended the stream of events.",
                    reaction=Reaction.RECONNECT,
                    code="stream_ended",
                )
        finally:
            self._requests.put(None)

    @property
    def seconds_silent(self) -> float:
        """How long ago the server said anything on this stream."""
        return time.monotonic() - self._heard

    def cancel(self) -> None:
        """End the stream from this side; its reader ends without a fault."""
        self._cancelled.set()
        self._requests.put(None)
        self._call.cancel()


def trusted_roots(extra_ca_pem: str) -> bytes:
    """Return every trusted authority in PEM form: the system's, Mozilla's and the user's own."""
    context = trusted_context(extra_ca_pem)
    certificates = context.get_ca_certs(binary_form=True)
    return "".join(ssl.DER_cert_to_PEM_cert(each) for each in certificates).encode("ascii")


def topic_of(entity: str) -> str:
    """Return the topic of an object's change events."""
    base = entity.removesuffix("__c")
    return f"/data/{base}__ChangeEvent" if base != entity else f"/data/{entity}ChangeEvent"
