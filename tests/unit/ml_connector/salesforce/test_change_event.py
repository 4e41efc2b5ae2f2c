"""Change events become changes: bitmaps to names, and every way they can be unreadable."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import fastavro
import pytest

from ml_connector.salesforce.change_event import EventDecoder, Undecodable, expand
from ml_connector.salesforce.event_stream import RawEvent, Reaction, StreamFault

FIELDS = ("ChangeEventHeader", "Name", "BillingAddress", "Phone", "LastModifiedDate")
NESTED = {2: ("Street", "City", "State")}
ADDRESS = {
    "type": "record",
    "name": "Address",
    "fields": [
        {"name": name, "type": ["null", "string"], "default": None}
        for name in ("Street", "City", "State")
    ],
}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "AccountChangeEvent",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {
            "name": "ChangeEventHeader",
            "type": {
                "type": "record",
                "name": "ChangeEventHeader",
                "fields": [
                    {"name": "entityName", "type": "string"},
                    {"name": "recordIds", "type": {"type": "array", "items": "string"}},
                    {
                        "name": "changeType",
                        "type": {
                            "type": "enum",
                            "name": "ChangeType",
                            "symbols": ["CREATE", "UPDATE", "DELETE", "GAP_OVERFLOW"],
                        },
                    },
                    {"name": "changeOrigin", "type": "string"},
                    {"name": "transactionKey", "type": "string"},
                    {"name": "sequenceNumber", "type": "int"},
                    {"name": "commitTimestamp", "type": "long"},
                    {"name": "commitNumber", "type": "long"},
                    {"name": "commitUser", "type": "string"},
                    {"name": "nulledFields", "type": {"type": "array", "items": "string"}},
                    {"name": "diffFields", "type": {"type": "array", "items": "string"}},
                    {"name": "changedFields", "type": {"type": "array", "items": "string"}},
                ],
            },
        },
        {"name": "Name", "type": ["null", "string"], "default": None},
        {"name": "BillingAddress", "type": ["null", ADDRESS], "default": None},
        {"name": "ShippingAddress", "type": ["null", "Address"], "default": None},
    ],
}


def event(**header: Any) -> RawEvent:
    """Return an event as it is delivered."""
    record = {
        "ChangeEventHeader": {
            "entityName": "Account",
            "recordIds": ["0015g0000000001AAA"],
            "changeType": "UPDATE",
            "changeOrigin": "com/salesforce/api/rest/65.0;client=ml-connector",
            "transactionKey": "0000-1",
            "sequenceNumber": 1,
            "commitTimestamp": 1_770_000_000_000,
            "commitNumber": 2**60,
            "commitUser": "0055g0000000001AAA",
            "nulledFields": [],
            "diffFields": [],
            "changedFields": ["0x02", "3-0x02"],
            **header,
        }
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(SCHEMA))), record)
    return RawEvent("e1", "schema", out.getvalue(), b"1")


def decoder() -> EventDecoder:
    """Return a decoder that knows one schema."""
    return EventDecoder(lambda _: json.dumps(SCHEMA))


def test_bitmaps_name_fields_from_the_last_bit_on() -> None:
    """Bits count from the least significant one; nested bitmaps name the part."""
    assert expand(["0x1A", "2-0x06"], FIELDS, NESTED) == (
        "Name", "Phone", "LastModifiedDate", "BillingAddress.City", "BillingAddress.State",
    )  # fmt: skip


def test_only_nested_parts_may_have_changed() -> None:
    """Without a bitmap of the whole, the first one is a nested one already."""
    assert expand(["2-0x02"], FIELDS, NESTED) == ("BillingAddress.City",)


@pytest.mark.parametrize("bitmaps", [["0x8000"], ["2-0x10"], ["1-0x02"], ["9-0x02"], ["zz"]])
def test_a_bitmap_that_fits_no_field_is_refused(bitmaps: list[str]) -> None:
    """A bitmap longer than the schema, or of a field without parts, is never guessed at."""
    with pytest.raises(ValueError):  # the message is for a person only
        expand(bitmaps, FIELDS, NESTED)


def test_an_event_is_decoded_with_names_of_referenced_records() -> None:
    """A record type that is only referred to by name has its parts named too."""
    change = decoder().decode(event())

    assert change.changed_fields == ("Name", "ShippingAddress.City")
    assert change.client == "ml-connector"
    assert change.committed_at.isoformat() == "2026-02-02T02:40:00+00:00"


def test_an_overflow_concerns_records_it_does_not_name() -> None:
    """Overflows and wildcard ids concern all records."""
    assert decoder().decode(event(changeType="GAP_OVERFLOW", recordIds=[])).concerns_all
    assert decoder().decode(event(recordIds=["001*"])).concerns_all


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(lambda payload: payload[:-2] + b"\xff", id="another body"),
        pytest.param(lambda payload: payload[:-1], id="cut"),
        pytest.param(lambda payload: payload + b"\x00", id="too long"),
    ],
)
def test_a_body_that_does_not_fit_spoils_the_event_and_leaves_the_records_known(
    spoiled: Callable[[bytes], bytes],
) -> None:
    """The payload can be put aside with its reason; the records of its header are read again."""
    whole = event()
    with pytest.raises(Undecodable, match="does not fit its schema") as caught:
        decoder().decode(replace(whole, payload=spoiled(whole.payload)))

    assert caught.value.header is not None
    assert caught.value.header.record_ids == decoder().decode(whole).record_ids


def test_changed_fields_that_cannot_be_told_leave_the_records_known() -> None:
    """A bitmap that fits no field spoils the event; whom it is about is kept."""
    with pytest.raises(Undecodable) as caught:
        decoder().decode(event(changedFields=["0x8000"]))

    assert caught.value.header is not None
    assert caught.value.header.record_ids == ("0015g0000000001AAA",)
    assert caught.value.header.changed_fields == ()


def test_a_header_that_is_none_is_undecodable() -> None:
    """A schema that lets the header be absent decodes to nothing that could be told."""
    schema = json.loads(json.dumps(SCHEMA))
    schema["fields"][0]["type"] = ["null", schema["fields"][0]["type"]]
    absent = RawEvent("e", "schema", b"\x00", b"1")
    with pytest.raises(Undecodable):
        EventDecoder(lambda _: json.dumps(schema)).decode(absent)


def test_a_payload_of_noise_is_undecodable_without_a_header() -> None:
    """Noise is refused as such."""
    with pytest.raises(Undecodable) as caught:
        decoder().decode(RawEvent("e", "schema", b"\xff\xff\xff", b"1"))

    assert caught.value.header is None


def test_an_unknown_schema_is_asked_for_once() -> None:
    """A schema the server does not have spoils the event, and is not asked for again."""
    asked: list[str] = []

    def fetch(schema_id: str) -> str:
        asked.append(schema_id)
        raise StreamFault("gone", reaction=Reaction.STOP, code="schema.validation.failed")

    reader = EventDecoder(fetch)
    for _ in range(2):
        with pytest.raises(Undecodable):
            reader.decode(event())

    assert asked == ["schema"]


def test_a_schema_that_cannot_be_had_now_is_no_fault_of_the_event() -> None:
    """A service that stays away ends the stream, so that the event comes again."""

    def fetch(_: str) -> str:
        raise StreamFault("later", reaction=Reaction.RECONNECT, code="schema.api.unavailable")

    with pytest.raises(StreamFault):
        EventDecoder(fetch).decode(event())


def test_a_schema_that_never_comes_puts_its_events_aside_in_the_end() -> None:
    """After a few tries the event is given up, so that the feed goes on; a later one tries anew."""
    schemas: dict[str, str] = {}

    def fetch(schema_id: str) -> str:
        if schema_id not in schemas:
            raise StreamFault("later", reaction=Reaction.RECONNECT, code="internal")
        return schemas[schema_id]

    reader = EventDecoder(fetch)
    for _ in range(6):
        with pytest.raises(StreamFault):
            reader.decode(event())
    with pytest.raises(Undecodable):
        reader.decode(event())
    schemas["schema"] = json.dumps(SCHEMA)

    assert reader.decode(event()).entity == "Account"
