"""The main job on the seeded sandbox: one BC order each, equal to the cent, no idle work."""

from decimal import Decimal
from typing import Any

from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.report import connection_status
from ml_connector.exchange.systems import Systems

READS_OF_AN_IDLE_SYNC = 30


def activated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the Orders the default policy hands over."""
    return [
        row for row in rows if row["StatusCode"] == "Activated" and not row.get("IsReductionOrder")
    ]


def test_every_closed_order_is_written_once_or_has_a_listed_state(connected: Any) -> None:
    """Each qualifying Order has one BC order of equal net total, or waits or is parked."""
    report = connected.sync()

    with Systems.open(connected.settings) as systems:
        listed = {
            row["salesforce_id"]: row
            for row in connection_status(systems)["records"]
            if row["kind"] == "order"
        }
    orders = activated(connected.salesforce("Order"))
    written = connected.orders_by_reference()
    assert len(orders) > 30
    for order in orders:
        if order["Id"] in listed:
            assert listed[order["Id"]]["state"] in ("waiting", "parked")
            assert order["OrderNumber"] not in written
            continue
        (bc_order,) = written[order["OrderNumber"]]
        assert Decimal(str(bc_order["totalAmountExcludingTax"])) == Decimal(
            str(order["TotalAmount"])
        )
        assert order["BC_Order_Id__c"] == bc_order["id"].lower()
        assert order["BC_Order_Number__c"] == bc_order["number"]
        assert order["BC_Order_Status__c"] == "Draft"
        assert order["BC_Sync_Status__c"] == "Synced"
    assert report.by_kind["order"]["written"] == len(written)
    assert report.exit_code == 1


def test_a_second_sync_writes_nothing_and_reads_little(connected: Any) -> None:
    """Idle: no write in either system, and a handful of reads."""
    connected.sync()
    before = len(connected.writes())
    connected.reset_traffic()

    report = connected.sync()

    assert len(connected.writes()) == before
    assert sum(connected.traffic().values()) <= READS_OF_AN_IDLE_SYNC + 10
    assert report.counts["written"] == 0


def test_waiting_records_go_through_once_the_cause_is_cured(connected: Any) -> None:
    """An Order whose product had no item is written by the next sync after the item exists."""
    connected.sync()
    with Systems.open(connected.settings) as systems:
        waiting = [
            record
            for page in systems.ledger.iterate(kind=Kind.ORDER, states=(State.WAITING,))
            for record in page
            if record.cause == "missing_item"
        ]
    assert len(waiting) == 1
    assert waiting[0].waits_for[0]["kind"] == "item"
    connected.act("business-central", "create_item", number="PROTO-0", displayName="Prototype")

    connected.sync()

    (order,) = connected.salesforce("Order", Id=waiting[0].key)
    assert len(connected.orders_by_reference()[order["OrderNumber"]]) == 1
