"""An event service of another make: real gRPC over TLS, says what a test tells it to say."""

from __future__ import annotations

import io
import json
import queue
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import fastavro
import grpc
import trustme

from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2
from ml_connector.pubsub_stubs import pubsub_api_pb2_grpc as pb2_grpc

CODES = "sfdc.platform.eventbus.grpc."
NOBODY = "0055g00000ZZZZZAAA"
Speech = Callable[["Stream"], Iterable[Any]]


def schema_of(*fields: str) -> dict[str, Any]:
    """Return the schema of an Account's change events with these text fields."""
    strings = {"type": "array", "items": "string"}
    kinds = ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_UPDATE", "GAP_OVERFLOW", "SNAPSHOT"]
    header = {
        "type": "record",
        "name": "ChangeEventHeader",
        "fields": [
            {"name": "entityName", "type": "string"},
            {"name": "recordIds", "type": strings},
            {
                "name": "changeType",
                "type": {"type": "enum", "name": "ChangeType", "symbols": kinds},
            },
            *({"name": name, "type": "string"} for name in ("changeOrigin", "transactionKey")),
            {"name": "sequenceNumber", "type": "int"},
            {"name": "commitTimestamp", "type": "long"},
            {"name": "commitNumber", "type": "long"},
            {"name": "commitUser", "type": "string"},
            *({"name": name, "type": strings} for name in ("nulledFields", "diffFields")),
            {"name": "changedFields", "type": strings},
        ],
    }
    return {
        "type": "record",
        "name": "AccountChangeEvent",
        "namespace": "com.sforce.eventbus",
        "fields": [
            {"name": "ChangeEventHeader", "type": header},
            *({"name": name, "type": ["null", "string"], "default": None} for name in fields),
        ],
    }


class Stream:
    """One subscription as the service sees it."""

    def __init__(self, first: Any, requests: queue.SimpleQueue[Any], context: Any) -> None:
        self.first = first
        self.demand = first.num_requested
        self._requests = requests
        self._context = context

    def asked(self, seconds: float = 10.0) -> int:
        """Wait for the next request and return how many events it asks for."""
        more = self._requests.get(timeout=seconds)
        self.demand += more.num_requested
        return int(more.num_requested)

    def refuse(self, status: grpc.StatusCode, code: str = "") -> NoReturn:
        """End the stream with a status, and with a code in the trailers if there is one."""
        refuse(self._context, status, code)

    def idle(self) -> None:
        """Say nothing until the subscriber is gone."""
        while self._context.is_active():
            time.sleep(0.02)


def refuse(context: Any, status: grpc.StatusCode, code: str = "") -> NoReturn:
    """End a call with a status, and with a code in the trailers if there is one."""
    if code:
        context.set_trailing_metadata((("error-code", CODES + code), ("rpc-id", "made-up")))
    context.abort(status, "worded by another make")
    raise AssertionError("unreachable")


class OtherService(pb2_grpc.PubSubServicer):
    """Each subscription of a topic is served by the next speech; without one it stays silent."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.ca_pem = ""
        self.subscriptions: dict[str, list[Any]] = defaultdict(list)
        self.speeches: deque[Speech] = deque()
        self.schemas: dict[str, str] = {}
        self.schema_calls: list[str] = []
        self.schema_refusal = (grpc.StatusCode.INVALID_ARGUMENT, "schema.validation.failed")
        self.can_subscribe = True

    def add_schema(self, schema_id: str, *fields: str) -> str:
        """Keep a schema under an id; returns the id."""
        self.schemas[schema_id] = json.dumps(schema_of(*fields))
        return schema_id

    def event(self, schema_id: str, replay_id: bytes, **header: Any) -> Any:
        """Return an event encoded with a schema that was added."""
        schema = fastavro.parse_schema(json.loads(self.schemas[schema_id]))
        facts = {
            "entityName": "Account",
            "recordIds": [],
            "changeType": "UPDATE",
            "changeOrigin": "",
            "transactionKey": replay_id.hex(),
            "sequenceNumber": 1,
            "commitTimestamp": int(time.time() * 1000),
            "commitNumber": 2**60,
            "commitUser": NOBODY,
            "nulledFields": [],
            "diffFields": [],
            "changedFields": ["0x02"],
        }
        payload = io.BytesIO()
        fastavro.schemaless_writer(payload, schema, {"ChangeEventHeader": {**facts, **header}})
        produced = pb2.ProducerEvent(schema_id=schema_id, payload=payload.getvalue())
        return pb2.ConsumerEvent(event=produced, replay_id=replay_id)

    def Subscribe(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802  # the contract's name
        """Serve one stream by the next speech."""
        first = next(request_iterator)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        reader = ThreadPoolExecutor(1)
        reader.submit(lambda: [requests.put(each) for each in request_iterator])
        self.subscriptions[first.topic_name].append(first)
        stream = Stream(first, requests, context)
        if self.speeches:
            yield from self.speeches.popleft()(stream)
        else:
            stream.idle()

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802  # the contract's name
        """Return a schema, or refuse one that nobody added."""
        self.schema_calls.append(request.schema_id)
        text = self.schemas.get(request.schema_id)
        if text is None:
            refuse(context, *self.schema_refusal)
        return pb2.SchemaInfo(schema_json=text, schema_id=request.schema_id)

    def GetTopic(self, request: Any, context: Any) -> Any:  # noqa: N802  # the contract's name
        """Return a topic; whether it can be subscribed is up to the test."""
        del context
        return pb2.TopicInfo(topic_name=request.topic_name, can_subscribe=self.can_subscribe)


@contextmanager
def other_service() -> Iterator[OtherService]:
    """Run a service on a port of its own for as long as the block lasts."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    credentials = grpc.ssl_server_credentials(
        [(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes())]
    )
    service = OtherService()
    server = grpc.server(ThreadPoolExecutor(16))
    pb2_grpc.add_PubSubServicer_to_server(service, server)
    port = server.add_secure_port("localhost:0", credentials)
    service.endpoint = f"localhost:{port}"
    service.ca_pem = authority.cert_pem.bytes().decode()
    server.start()
    try:
        yield service
    finally:
        server.stop(0).wait(5)
