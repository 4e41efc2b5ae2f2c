"""What the end of a stream calls for: every documented code, and statuses without one."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ml_connector.salesforce.event_stream import REACTIONS, Reaction, fault_of, topic_of

PREFIX = "sfdc.platform.eventbus.grpc."


class Ended:
    """A gRPC call that ended."""

    def __init__(self, status: grpc.StatusCode, code: str = "") -> None:
        self._status = status
        self._trailers: tuple[tuple[str, str], ...] = (
            (("error-code", PREFIX + code), ("rpc-id", "7")) if code else ()
        )

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._status

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        """The trailers."""
        return self._trailers


@pytest.mark.parametrize("code", sorted(REACTIONS))
def test_the_vendors_code_decides_whatever_the_status_is(code: str) -> None:
    """Each documented code has its reaction under any gRPC status, and names itself."""
    faults = [fault_of(Ended(status, code)) for status in grpc.StatusCode]

    assert {fault.reaction for fault in faults} == {REACTIONS[code]}
    assert faults[0].code == code
    assert faults[0].request_id == "7"
    assert faults[0].remedy


@pytest.mark.parametrize(
    ("status", "reaction"),
    [
        (grpc.StatusCode.UNAVAILABLE, Reaction.RECONNECT),
        (grpc.StatusCode.INTERNAL, Reaction.RECONNECT),
        (grpc.StatusCode.UNAUTHENTICATED, Reaction.NEW_SESSION),
        (grpc.StatusCode.PERMISSION_DENIED, Reaction.STOP),
        (grpc.StatusCode.NOT_FOUND, Reaction.STOP),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Reaction.WAIT),
    ],
)
def test_without_a_known_code_the_status_decides(status: Any, reaction: Reaction) -> None:
    """A lost connection and codes of tomorrow are sorted by status."""
    assert fault_of(Ended(status)).reaction is reaction
    assert fault_of(Ended(status, "code.of.tomorrow")).reaction is reaction


def test_a_refused_position_is_never_retried_as_it_is() -> None:
    """A position that the server does not know calls for the poll."""
    assert REACTIONS["subscription.fetch.replayid.corrupted"] is Reaction.POLL


def test_topics_of_standard_and_custom_objects() -> None:
    """A custom object's topic keeps its double underscore."""
    assert topic_of("Order") == "/data/OrderChangeEvent"
    assert topic_of("Plan__c") == "/data/Plan__ChangeEvent"
