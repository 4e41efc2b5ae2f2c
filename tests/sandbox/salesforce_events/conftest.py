"""An org with a running Pub/Sub service, and a plain gRPC client to look at it from outside."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro
import grpc
import pytest

from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2
from ml_connector.pubsub_stubs import pubsub_api_pb2_grpc as pb2_grpc
from ml_connector.sandbox.frame.application import Frame
from ml_connector.sandbox.frame.certificates import make_authority
from ml_connector.sandbox.salesforce.ids import record_id
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.pubsub_server import TlsFiles
from ml_connector.sandbox.salesforce.pubsub_setup import PubSub, attach_pubsub
from ml_connector.sandbox.salesforce.transactions import Origin, Transaction

PACKAGE = Path(__file__).parents[3] / "salesforce-package"
ORGANIZATION = record_id("00D", 1)
USER = record_id("005", 1)
REP = record_id("005", 2)
TOKEN = f"{ORGANIZATION[:15]}!token"
PATIENCE = 10.0


class Stream:
    """One subscription as a client sees it."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def ask(
        self, topic: str, count: int, preset: str = "LATEST", replay: bytes = b""
    ) -> None:
        """Send a request."""
        await self.call.write(
            pb2.FetchRequest(
                topic_name=topic,
                replay_preset=pb2.ReplayPreset.Value(preset),
                replay_id=replay,
                num_requested=count,
            )
        )

    async def response(self) -> Any:
        """The next response."""
        return await asyncio.wait_for(self.call.read(), PATIENCE)

    async def nothing(self, seconds: float = 0.3) -> bool:
        """Whether nothing arrives for a moment; the stream cannot be read afterwards."""
        try:
            await asyncio.wait_for(self.call.read(), seconds)
        except TimeoutError:
            return True
        return False

    async def events(self, count: int) -> list[Any]:
        """As many events as asked for, over as many responses as it takes."""
        found: list[Any] = []
        while len(found) < count:
            response = await self.response()
            assert response is not grpc.aio.EOF, "the stream ended"
            found.extend(response.events)
        return found

    async def refusal(self) -> tuple[grpc.StatusCode, str | None]:
        """Read until the stream ends: its status and the error code in the trailers."""
        try:
            while await self.response() is not grpc.aio.EOF:
                continue
        except grpc.aio.AioRpcError as error:
            return _status(error)
        return (await self.call.code(), None)


def _status(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str | None]:
    trailers = dict(error.trailing_metadata() or ())
    code = trailers.get("error-code")
    if code is not None:
        rpc_id = trailers["rpc-id"]
        assert str(error.details()).endswith(f"rpcId: {rpc_id}")
    return error.code(), code


class World:
    """The org, what people do in it, and a client of its events."""

    def __init__(self, org: SalesforceOrg, pubsub: PubSub, ca_file: Path) -> None:
        self.org = org
        self.pubsub = pubsub
        self.ca_file = ca_file
        self.alive = True
        self.headers = {
            "accesstoken": TOKEN,
            "instanceurl": "https://127.0.0.1:8443",
            "tenantid": ORGANIZATION,
        }
        self._channel: grpc.aio.Channel | None = None
        self._schemas: dict[str, Any] = {}
        self._calls: list[Any] = []

    # what people do

    def begin(self, user: str = REP, client: str | None = None) -> Transaction:
        """A transaction of a user."""
        return self.org.begin(self.org.people[user], Origin(client=client))

    def put(self, transaction: Transaction, entity: str, number: int, **values: Any) -> str:
        """Create or change a record within a transaction; None empties a field."""
        table = self.org.table(entity)
        found = record_id(self.org.schema[entity].prefix, number)
        row: dict[str, Any] = dict(table.rows.get(found, {"Id": found, "CreatedDate": self.now()}))
        row.update(values)
        row.update(LastModifiedDate=self.now(), SystemModstamp=self.now())
        row = {name: value for name, value in row.items() if value is not None}
        transaction.put(entity, table, found, row)
        return found

    def save(self, entity: str, number: int = 1, **values: Any) -> str:
        """Create or change one record as the rep."""
        transaction = self.begin()
        found = self.put(transaction, entity, number, **values)
        self.org.commit(transaction)
        return found

    def now(self) -> datetime:
        """The org's time."""
        return self.org.now()

    # the client

    @property
    def channel(self) -> grpc.aio.Channel:
        """A channel that trusts the sandbox's authority."""
        if self._channel is None:
            credentials = grpc.ssl_channel_credentials(self.ca_file.read_bytes())
            self._channel = grpc.aio.secure_channel(self.endpoint, credentials)
        return self._channel

    @property
    def endpoint(self) -> str:
        """Where the service listens."""
        return f"127.0.0.1:{self.pubsub.server.port}"

    @property
    def stub(self) -> Any:
        """The service's methods."""
        return pb2_grpc.PubSubStub(self.channel)

    def metadata(self, **changes: str | None) -> list[tuple[str, str]]:
        """The headers of a call; None leaves one out."""
        return [(k, v) for k, v in {**self.headers, **changes}.items() if v is not None]

    def open(self, **headers: str | None) -> Stream:
        """A subscription that has not asked for anything yet."""
        call = self.stub.Subscribe(metadata=self.metadata(**headers))
        self._calls.append(call)
        return Stream(call)

    async def subscribe(
        self,
        topic: str = "/data/AccountChangeEvent",
        count: int = 100,
        preset: str = "LATEST",
        replay: bytes = b"",
    ) -> Stream:
        """An open subscription: a first keep-alive is not waited for, the server knows it."""
        before = {stream.number for stream in self.pubsub.server.streams}
        stream = self.open()
        await stream.ask(topic, count, preset, replay)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < deadline and not stream.call.done():
            if {each.number for each in self.pubsub.server.streams} - before:
                break
            await asyncio.sleep(0.005)
        return stream

    async def unary(self, method: str, request: Any, **headers: str | None) -> Any:
        """The answer of a call, or (status, error code)."""
        try:
            return await getattr(self.stub, method)(request, metadata=self.metadata(**headers))
        except grpc.aio.AioRpcError as error:
            return _status(error)

    async def decode(self, consumer: Any) -> dict[str, Any]:
        """An event read with the schema it names."""
        schema_id = consumer.event.schema_id
        if schema_id not in self._schemas:
            info = await self.unary("GetSchema", pb2.SchemaRequest(schema_id=schema_id))
            self._schemas[schema_id] = json.loads(info.schema_json)
        schema = fastavro.parse_schema(self._schemas[schema_id])
        record: Any = fastavro.schemaless_reader(io.BytesIO(consumer.event.payload), schema, None)
        header = record["ChangeEventHeader"]
        for name in ("changedFields", "nulledFields", "diffFields"):
            header[name] = field_names(self._schemas[schema_id], header[name])
        return dict(record)

    async def take(self, stream: Stream, count: int = 1) -> list[dict[str, Any]]:
        """The next decoded events of a stream."""
        return [await self.decode(consumer) for consumer in await stream.events(count)]

    async def close(self) -> None:
        """Leave."""
        for call in self._calls:
            call.cancel()
        if self._channel is not None:
            await self._channel.close()


def field_names(schema: dict[str, Any], bitmaps: list[str]) -> list[str]:
    """The fields that bitmaps name, read as the vendor's documents tell."""
    fields = schema["fields"]
    names: list[str] = []
    for bitmap in bitmaps:
        if bitmap.startswith("0x"):
            names.extend(fields[place]["name"] for place in _places(bitmap))
            continue
        position, _, nested = bitmap.partition("-")
        parent = fields[int(position)]
        parts = next(
            kind["fields"] if isinstance(kind, dict) else _record(schema, kind)
            for kind in parent["type"]
            if isinstance(kind, dict) or kind[0].isupper()
        )
        names.extend(f"{parent['name']}.{parts[place]['name']}" for place in _places(nested))
    return names


def _record(schema: dict[str, Any], name: str) -> list[dict[str, Any]]:
    for field in schema["fields"]:
        for kind in field["type"] if isinstance(field["type"], list) else ():
            if isinstance(kind, dict) and kind["name"] == name:
                return list(kind["fields"])
    raise AssertionError(f"{name} is nowhere spelled out")


def _places(bitmap: str) -> list[int]:
    assert len(bitmap) % 2 == 0
    assert bitmap[2:] == bitmap[2:].upper()
    bits = int(bitmap, 16)
    return [place for place in range(bits.bit_length()) if bits >> place & 1]


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A certificate authority for the whole run."""
    yield make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def make_world(tls: Any) -> Callable[..., World]:
    """Builds worlds; `package` is the folder that is deployed, `switches` the org's settings."""

    def make(package: Path | None = PACKAGE, **switches: Any) -> World:
        frame = Frame()
        identity = {
            "organization_id": ORGANIZATION,
            "client_id": "client",
            "client_secret": "secret",
            "username": "integration@acme.example",
            "user_id": USER,
            "rep_user_id": REP,
        }
        org = SalesforceOrg(frame, identity, package)
        world: World

        def sign_in(token: str) -> Any:
            return org.integration_user if token == TOKEN and world.alive else None

        frame.expire_sessions = lambda: setattr(world, "alive", False)
        pubsub = attach_pubsub(org, sign_in, TlsFiles(tls.cert_file, tls.key_file))
        frame.switches.update(switches)
        world = World(org, pubsub, tls.ca_file)
        return world

    return make


@pytest.fixture
async def world(make_world: Callable[..., World]) -> AsyncIterator[World]:
    """An org with the package deployed, its Pub/Sub service running."""
    made = make_world()
    serving = asyncio.ensure_future(made.pubsub.server.run())
    yield made
    await made.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
