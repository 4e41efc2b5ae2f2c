"""Transactions become events: the rare shapes, made without a server."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ml_connector.sandbox.salesforce.event_making import (
    MERGED_RECORDS,
    Change,
    Commit,
    Making,
    make_events,
)
from ml_connector.sandbox.salesforce.event_schema import build_event_schema, hex_bitmap
from ml_connector.sandbox.salesforce.objects import standard_schema

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = standard_schema(multi_currency=True, orders_enabled=True, order_statuses=("Draft",))
ACCOUNT = build_event_schema(SCHEMA["Account"])


def commit(*changes: Change) -> Commit:
    """A transaction of these changes."""
    return Commit("key", AT, "005", "", changes)


def update(record_id: str, before: dict[str, Any], after: dict[str, Any]) -> Change:
    """An update of an Account."""
    return Change("Account", record_id, "UPDATE", before, after)


def events_of(made: Commit, making: Making | None = None) -> list[Any]:
    """The events of a transaction when Accounts alone are selected."""
    return make_events(made, {"Account": ACCOUNT}, 1, making or Making())


def test_an_update_without_a_change_names_its_time_alone() -> None:
    """An idle update makes an event that changes nothing but the time, unless switched off."""
    idle = commit(update("a", {"Name": "A"}, {"Name": "A", "LastModifiedDate": AT}))

    assert [event.changed for event in events_of(idle)] == [("LastModifiedDate",)]
    assert events_of(idle, Making(idle_updates=False)) == []


def test_a_merged_event_stays_small() -> None:
    """Records beyond the size of one merged event go into another one."""
    changes = [Change("Account", str(n), "DELETE", {"Name": "A"}, None) for n in range(1500)]

    found = events_of(commit(*changes))

    assert [len(event.record_ids) for event in found] == [MERGED_RECORDS, 500]
    assert [event.sequence for event in found] == [1, MERGED_RECORDS + 1]


def test_an_event_beyond_a_megabyte_is_a_gap() -> None:
    """Values that do not fit leave a GAP event with the record's id."""
    row = {"Name": "A", "Description": "x" * 1_000_001}

    found = events_of(commit(Change("Account", "a", "CREATE", None, row)))

    assert [(event.kind, event.record_ids, event.values) for event in found] == [
        ("GAP_CREATE", ["a"], {})
    ]


def test_different_values_are_not_merged() -> None:
    """The same field with another value is another event."""
    changes = [update(n, {"Name": "A"}, {"Name": n}) for n in ("b", "c")]

    assert [event.record_ids for event in events_of(commit(*changes))] == [["b"], ["c"]]


@pytest.mark.parametrize(
    ("bits", "text"), [(0b10, "0x02"), (1 << 7, "0x80"), (1 << 8, "0x0100"), (0xABC << 4, "0xABC0")]
)
def test_bitmaps_are_whole_bytes_in_upper_case(bits: int, text: str) -> None:
    """Bit n counts from the right, and the length is only what is needed."""
    assert hex_bitmap(bits) == text


def test_the_header_comes_first_and_ids_never() -> None:
    """Field 0 is the header; the record id, deletion and viewing marks are no fields of events."""
    names = ["ChangeEventHeader", *(field.name for field in ACCOUNT.fields)]

    assert names[:5] == ["ChangeEventHeader", "Name", "Type", "ParentId", "BillingAddress"]
    absent = {"Id", "IsDeleted", "SystemModstamp", "LastViewedDate", "BillingCity"}
    assert absent.isdisjoint(names)


def test_a_schema_survives_pickling() -> None:
    """A snapshot keeps schemas, so that stored events stay readable."""
    rebuilt, arguments = ACCOUNT.__reduce__()

    assert rebuilt(*arguments).schema_id == ACCOUNT.schema_id
