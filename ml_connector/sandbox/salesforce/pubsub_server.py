"""The Pub/Sub API of the org: gRPC over TLS on a port of its own, fed by the org's commits."""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import grpc

from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2
from ml_connector.pubsub_stubs import pubsub_api_pb2_grpc as pb2_grpc
from ml_connector.sandbox.frame.application import Frame
from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.event_store import SWITCHES as STORE_SWITCHES
from ml_connector.sandbox.salesforce.event_store import EventStore
from ml_connector.sandbox.salesforce.pubsub_faults import PubSubRefusal, refuse
from ml_connector.sandbox.salesforce.pubsub_stream import (
    DEMAND_CAP,
    Delivery,
    Subscription,
    read_demand,
    require_demand,
    start_position,
)
from ml_connector.sandbox.salesforce.pubsub_stream import SWITCHES as STREAM_SWITCHES
from ml_connector.sandbox.salesforce.schema import Schema

SWITCHES = {**STORE_SWITCHES, **STREAM_SWITCHES}
LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
_MY_DOMAIN = ".my.salesforce.com"
_KEEPALIVE_OPTIONS = (
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)
Answer = TypeVar("Answer")


class Org(NamedTuple):
    """What the service needs to know of the org."""

    organization_id: str
    schema: Callable[[], Schema]
    sign_in: Callable[[str], Person | None]
    """token -> who holds it; None when the session is not alive."""


class TlsFiles(NamedTuple):
    """The server's certificate chain and its key."""

    certificate: Path
    key: Path


class PubSubServer(pb2_grpc.PubSubServicer):  # type: ignore[misc]
    """Topics, schemas and subscriptions of the org's change events."""

    def __init__(
        self, org: Org, frame: Frame, store: EventStore, tls: TlsFiles, port: int = 0
    ) -> None:
        self._org = org
        self._frame = frame
        self._tls = tls
        self._running: grpc.aio.Server | None = None
        self._numbers = 0
        self._restart: tuple[asyncio.Event, list[float]] | None = None
        self._place = _reserve(port)
        self.port: int = self._place.getsockname()[1]
        self.store = store
        self.streams: set[Subscription] = set()
        store.listeners.add(self.wake_all)

    # ------------------------------------------------------------------ life

    async def run(self) -> None:
        """Serve until cancelled; a restart that was asked for cuts every connection."""
        pauses: list[float] = []
        asked = asyncio.Event()
        self._restart = (asked, pauses)
        try:
            while True:
                self._running = await self._start()
                await asked.wait()
                asked.clear()
                await self._running.stop(None)
                await asyncio.sleep(pauses.pop() if pauses else 0.0)
        finally:
            self._restart = None
            if self._running is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await self._running.stop(None)
            self._place.close()

    def restart(self, down_seconds: float) -> None:
        """Cut all connections and come back after a pause."""
        if self._restart is None:
            raise RuntimeError("the service does not run")
        asked, pauses = self._restart
        pauses.append(down_seconds)
        asked.set()

    async def _start(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=_KEEPALIVE_OPTIONS)
        pb2_grpc.add_PubSubServicer_to_server(self, server)
        credentials = grpc.ssl_server_credentials(
            [(self._tls.key.read_bytes(), self._tls.certificate.read_bytes())]
        )
        server.add_secure_port(f"{LOOPBACK}:{self.port}", credentials)
        await server.start()
        return server

    def wake_all(self) -> None:
        """Let every stream look whether it has something to do."""
        for subscription in self.streams:
            subscription.wake.set()

    def end_streams(self, code: str, topic: str | None = None) -> int:
        """End the open streams (of one topic) with an error code, and say how many they were."""
        refusal = PubSubRefusal(code, "The stream was ended.")
        ended = [stream for stream in self.streams if topic in (None, stream.topic)]
        for stream in ended:
            stream.end(refusal)
        return len(ended)

    # ------------------------------------------------------------------ calls

    async def GetTopic(self, request: Any, context: Any) -> Any:  # noqa: N802 - the wire's name
        """Say whether a topic can be subscribed, and its present schema."""

        async def answer() -> Any:
            person = self._admit(context)
            self.store.desk.check("GetTopic", request.topic_name)
            self._require_topic(request.topic_name, person, "topic.meta.permission")
            return pb2.TopicInfo(
                topic_name=request.topic_name,
                tenant_guid=f"core/sandbox/{self._org.organization_id}",
                can_publish=False,
                can_subscribe=True,
                schema_id=self.store.topic_schema(request.topic_name).schema_id,
                rpc_id=str(uuid.uuid4()),
            )

        return await self._unary("GetTopic", answer, context)

    async def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The schema of this id, present or past."""

        async def answer() -> Any:
            self._admit(context)
            self.store.desk.check("GetSchema")
            found = self.store.schema(request.schema_id) if request.schema_id else None
            if found is None:
                raise PubSubRefusal("schema.validation.failed", "There is no such schema.")
            return pb2.SchemaInfo(
                schema_json=found.document, schema_id=found.schema_id, rpc_id=str(uuid.uuid4())
            )

        return await self._unary("GetSchema", answer, context)

    async def Subscribe(self, _requests: Any, context: Any) -> None:  # noqa: N802
        """Serve one stream of change events."""
        self._count("Subscribe")
        await self._latency()
        reader: asyncio.Future[None] | None = None
        subscription: Subscription | None = None
        try:
            person = self._admit(context)
            subscription = await self._first_request(context, person)
            self.streams.add(subscription)
            switches = self._frame.switches
            reader = asyncio.ensure_future(read_demand(context, subscription, switches))
            delivery = Delivery(self.store, switches, lambda entity: self._hidden(person, entity))
            await delivery.run(subscription, context)
        except PubSubRefusal as refusal:
            await refuse(context, refusal)
        finally:
            if subscription is not None:
                self.streams.discard(subscription)
            if reader is not None:
                reader.cancel()

    async def Publish(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse: change events are made by the org alone."""

        async def answer() -> Any:
            self._admit(context)
            if not request.topic_name:
                raise PubSubRefusal("topic.validation.empty", "A topic name is needed.")
            self._topic_entities(request.topic_name)
            raise PubSubRefusal("publish.topic.cannot.publish", "Nobody publishes here.")

        return await self._unary("Publish", answer, context)

    async def PublishStream(self, _requests: Any, context: Any) -> None:  # noqa: N802
        """Refuse: change events are made by the org alone."""

        async def answer() -> None:
            self._admit(context)
            raise PubSubRefusal("publish.topic.cannot.publish", "Nobody publishes here.")

        await self._unary("PublishStream", answer, context)

    async def ManagedSubscribe(self, _requests: Any, context: Any) -> None:  # noqa: N802
        """Refuse: the org has no managed subscriptions."""

        async def answer() -> None:
            self._admit(context)
            request = await context.read()
            by_id = request is not grpc.aio.EOF and request.subscription_id
            name = "subscription.id" if by_id else "developer.name"
            code = f"managed.subscription.{name}.not.found"
            raise PubSubRefusal(code, "There is no such managed subscription.")

        await self._unary("ManagedSubscribe", answer, context)

    # ------------------------------------------------------------------ rules

    async def _unary(
        self, method: str, answer: Callable[[], Awaitable[Answer]], context: Any
    ) -> Answer:
        self._count(method)
        await self._latency()
        try:
            return await answer()
        except PubSubRefusal as refusal:
            await refuse(context, refusal)

    async def _first_request(self, context: Any, person: Person) -> Subscription:
        wait = float(self._frame.switches["pubsub_idle_seconds"])
        try:
            request = await asyncio.wait_for(context.read(), wait)
        except TimeoutError:
            code = "subscription.fetch.request.invalid"
            raise PubSubRefusal(code, "No request came in time.") from None
        if request is grpc.aio.EOF:
            raise PubSubRefusal("subscription.fetch.request.invalid", "No request came.")
        topic = request.topic_name
        self.store.desk.check("Subscribe", topic)
        self._require_topic(topic, person, "subscription.topic.cannot.subscribe")
        require_demand(request)
        self._numbers += 1
        return Subscription(
            topic=topic,
            position=start_position(self.store, request),
            demand=min(DEMAND_CAP, request.num_requested),
            number=self._numbers,
        )

    def _topic_entities(self, topic: str) -> tuple[str, ...]:
        if not topic:
            raise PubSubRefusal("topic.validation.empty", "A topic name is needed.")
        present = self._org.schema().objects
        entities = self.store.topic_entities(topic)
        if not entities or not all(entity in present for entity in entities):
            raise PubSubRefusal("topic.not.found", f"There is no topic {topic}.")
        return entities

    def _require_topic(self, topic: str, person: Person, code: str) -> None:
        """A single entity's topic asks for View All on it; a channel filters instead."""
        entities = self._topic_entities(topic)
        single = topic == f"/data/{entities[0]}ChangeEvent"
        if single and self._hidden(person, entities[0]) is None:
            raise PubSubRefusal(code, f"{topic} may not be subscribed by this user.")

    def _hidden(self, person: Person, entity: str) -> frozenset[str] | None:
        """The columns this person may not see in events; None where it may not see the entity."""
        sobject = self._org.schema()[entity]
        if not person.access.may_read(sobject) or not person.access.may_view_all(sobject):
            return None
        return frozenset(
            column.name
            for column in sobject.fields.values()
            if not person.access.readable(sobject, column)
        )

    def _admit(self, context: Any) -> Person:
        """Who calls, by the three headers that choose and open the org."""
        headers = {key: str(value) for key, value in context.invocation_metadata() or ()}
        token = headers.get("accesstoken", "")
        tenant = headers.get("tenantid", "")
        if not token or not tenant or not _is_instance(headers.get("instanceurl", "")):
            raise PubSubRefusal("service.auth.headers.invalid", "A header is missing or wrong.")
        if tenant not in (self._org.organization_id, self._org.organization_id[:15]):
            raise PubSubRefusal("service.auth.headers.invalid", "The tenant is another one.")
        person = self._org.sign_in(token)
        if person is None:
            raise PubSubRefusal("service.auth.error", "The session is not alive.")
        return person

    def _count(self, method: str) -> None:
        """Count a call; a stream is counted when it opens, so that it does not pile up."""
        kind = f"pubsub.{method}"
        self._frame.traffic.begin(kind)
        self._frame.traffic.end(kind, "called")

    async def _latency(self) -> None:
        if self._frame.latency_seconds > 0:
            await asyncio.sleep(self._frame.latency_seconds)


def _is_instance(url: str) -> bool:
    """Whether this is the address of an org of ours: https, a host, and nothing after it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    known = host in _LOOPBACK_NAMES or host.endswith(_MY_DOMAIN)
    return parts.scheme == "https" and known and not (parts.path or parts.query or parts.fragment)


def _reserve(port: int) -> socket.socket:
    """Take a port without listening on it, so that the server can share and reopen it."""
    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    place.bind((LOOPBACK, port))
    return place
