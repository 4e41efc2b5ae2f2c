"""Answer lost, run again, exactly one record: for every kind of write."""

from typing import Any

import pytest


def plain(rows: list[dict[str, Any]], field: str) -> list[Any]:
    """Return one field of each row."""
    return [row[field] for row in rows]


@pytest.mark.parametrize("times", [1, 3])
def test_an_order_whose_answer_was_lost_is_written_once(connected: Any, times: int) -> None:
    """BC committed, the connection was cut: the next run adopts what it finds."""
    connected.fault(
        "business-central", method="POST", path="salesOrders", drop="after", times=times
    )

    connected.sync_through_faults()
    connected.sync()

    references = plain(connected.business_central("salesOrders"), "externalDocumentNumber")
    assert len(references) == len(set(references))
    assert len(references) > 30


def test_an_order_that_never_arrived_is_written_by_the_next_run(connected: Any) -> None:
    """The connection was cut before BC saw the request: looked for, not found, written once."""
    connected.fault("business-central", method="POST", path="salesOrders", drop="before", times=2)

    connected.sync_through_faults()
    first = len(connected.business_central("salesOrders"))
    connected.sync()

    references = plain(connected.business_central("salesOrders"), "externalDocumentNumber")
    assert len(references) == first + 2
    assert len(references) == len(set(references))


@pytest.mark.parametrize("entity", ["customers", "contacts"])
def test_a_master_record_whose_answer_was_lost_is_written_once(connected: Any, entity: str) -> None:
    """The next run finds the record by its number and links it."""
    connected.fault("business-central", method="POST", path=f"{entity}$", drop="after", times=2)

    connected.sync_through_faults()
    connected.sync()

    names = [
        (row["displayName"], row.get("companyNumber")) for row in connected.business_central(entity)
    ]
    connected.sync()
    again = [
        (row["displayName"], row.get("companyNumber")) for row in connected.business_central(entity)
    ]
    assert sorted(names) == sorted(again)
    numbers = plain(connected.business_central(entity), "number")
    assert len(numbers) == len(set(numbers))


def test_a_write_back_whose_answer_was_lost_is_repeated_harmlessly(connected: Any) -> None:
    """Salesforce committed the status, the answer was lost: the next run agrees with it."""
    connected.fault("salesforce", method="PATCH", path="composite/sobjects", drop="after", times=2)

    connected.sync_through_faults()
    connected.sync()

    shown = [row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c")]
    ids = plain(shown, "BC_Order_Id__c")
    assert len(ids) == len(set(ids)) == len(connected.business_central("salesOrders"))
