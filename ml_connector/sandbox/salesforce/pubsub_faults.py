"""What the Pub/Sub API refuses: error codes with their statuses, and the faults asked for."""

import uuid
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc

from ml_connector.sandbox.salesforce.event_making import ChangeEvent

CODE_PREFIX = "sfdc.platform.eventbus.grpc."
CONNECTION_LOST = "connection.lost"
"""Not a code of the vendor: the stream ends without trailers, as when a connection is reset."""

STATUSES: dict[str, grpc.StatusCode] = {
    CONNECTION_LOST: grpc.StatusCode.UNAVAILABLE,
    "service.unavailable": grpc.StatusCode.UNAVAILABLE,
    "service.auth.error": grpc.StatusCode.UNAUTHENTICATED,
    "service.auth.headers.invalid": grpc.StatusCode.UNAUTHENTICATED,
    "service.auth.refresh.invalid": grpc.StatusCode.UNAUTHENTICATED,
    "service.protection.triggered": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "service.protection.stream.limit.triggered": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "service.tenant.license": grpc.StatusCode.PERMISSION_DENIED,
    "concurrent.client.limit.exceeded": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "topic.not.found": grpc.StatusCode.NOT_FOUND,
    "topic.meta.permission": grpc.StatusCode.PERMISSION_DENIED,
    "topic.api.unavailable": grpc.StatusCode.UNAVAILABLE,
    "topic.validation.empty": grpc.StatusCode.INVALID_ARGUMENT,
    "schema.meta.permission": grpc.StatusCode.PERMISSION_DENIED,
    "schema.api.unavailable": grpc.StatusCode.UNAVAILABLE,
    "schema.validation.failed": grpc.StatusCode.INVALID_ARGUMENT,
    "subscription.topic.cannot.subscribe": grpc.StatusCode.PERMISSION_DENIED,
    "subscription.internal.error": grpc.StatusCode.INTERNAL,
    "subscription.limit.exceeded": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "subscription.fetch.replayid.corrupted": grpc.StatusCode.INVALID_ARGUMENT,
    "subscription.fetch.replayid.validation.failed": grpc.StatusCode.INVALID_ARGUMENT,
    "subscription.fetch.replay.repeated": grpc.StatusCode.INTERNAL,
    "subscription.fetch.requested.events.invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "subscription.fetch.topic.mismatch": grpc.StatusCode.INVALID_ARGUMENT,
    "subscription.fetch.request.invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "subscription.fetch.overflow": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "publish.topic.cannot.publish": grpc.StatusCode.PERMISSION_DENIED,
    "managed.subscription.developer.name.not.found": grpc.StatusCode.NOT_FOUND,
    "managed.subscription.subscription.id.not.found": grpc.StatusCode.NOT_FOUND,
}
METHODS = ("Subscribe", "GetTopic", "GetSchema")
SPOILS = ("payload", "body", "schema", "bitmap", "record_ids")


class PubSubRefusal(Exception):
    """The service refuses a call or ends a stream with one of its error codes."""

    def __init__(self, code: str, message: str) -> None:
        if code not in STATUSES:
            raise ValueError(
                f"{code} is no error code of the service; there are {sorted(STATUSES)}"
            )
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def status(self) -> grpc.StatusCode:
        """The gRPC status that goes with the code."""
        return STATUSES[self.code]


async def refuse(context: Any, refusal: PubSubRefusal) -> NoReturn:
    """End the call as the service does: status, description with the rpc id, and trailers."""
    if refusal.code == CONNECTION_LOST:
        await context.abort(refusal.status, "the stream was closed")
    rpc_id = str(uuid.uuid4())
    context.set_trailing_metadata(
        (("error-code", CODE_PREFIX + refusal.code), ("rpc-id", rpc_id)),
    )
    await context.abort(refusal.status, f"{refusal.message} rpcId: {rpc_id}")
    raise AssertionError("abort does not return")


@dataclass(slots=True)
class _Refusal:
    code: str
    method: str
    topic: str | None
    times: int


@dataclass(slots=True)
class _Spoil:
    how: str
    entity: str | None
    times: int


@dataclass(slots=True)
class FaultDesk:
    """The faults that were asked for and are still to come."""

    refusals: list[_Refusal] = field(default_factory=list)
    spoils: list[_Spoil] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Topics that say nothing; "*" for all."""

    def refuse_next(self, code: str, method: str, topic: str | None, times: int) -> None:
        """Refuse the next calls of a method."""
        PubSubRefusal(code, "")
        if method not in METHODS:
            raise ValueError(f"no method {method}; there are {METHODS}")
        self.refusals.append(_Refusal(code, method, topic, times))

    def check(self, method: str, topic: str | None = None) -> None:
        """Raise the refusal that waits for this call, if there is one."""
        for rule in self.refusals:
            if rule.method == method and rule.topic in (None, topic):
                rule.times -= 1
                if rule.times <= 0:
                    self.refusals.remove(rule)
                raise PubSubRefusal(rule.code, "Refused by the fault plan.")

    def spoil_next(self, how: str, entity: str | None, times: int) -> None:
        """Spoil the next events of an entity."""
        if how not in SPOILS:
            raise ValueError(f"no way {how} to spoil an event; there are {SPOILS}")
        self.spoils.append(_Spoil(how, entity, times))

    def spoil(self, event: ChangeEvent) -> None:
        """Spoil an event, if a rule waits for it."""
        for rule in self.spoils:
            if rule.entity in (None, event.entity):
                event.spoiled = rule.how
                rule.times -= 1
                if rule.times <= 0:
                    self.spoils.remove(rule)
                return

    def is_silent(self, topic: str) -> bool:
        """Whether a topic says nothing now."""
        return "*" in self.silent or topic in self.silent

    def clear(self) -> None:
        """Forget all faults that are still to come."""
        self.refusals.clear()
        self.spoils.clear()
        self.silent.clear()
