"""An allowance that is nearly used: orders still go, everything else waits and loses nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from ml_connector.changes.hand_over import due, hand_over
from ml_connector.changes.poll_feed import poll_entity
from ml_connector.errors import RateLimited
from ml_connector.exchange.budgets import CALLS, CODE, EVENTS, BudgetState, budgets
from ml_connector.exchange.check_line import Level
from ml_connector.exchange.checks import check_lines
from ml_connector.exchange.report import connection_status
from ml_connector.exchange.systems import Systems
from tests.integration.exchange.conftest import Connected, Row


def calls_of_the_day(connected: Connected, limit: int) -> None:
    """Set how many API calls the org may make in a day."""
    switches = {"daily_api_requests": limit}
    connected.sandbox.admin.post("/salesforce/switches", json=switches).raise_for_status()


def nearly_used(connected: Connected) -> None:
    """Let others use 85 of 100 calls of the day."""
    calls_of_the_day(connected, 10_000)
    connected.act("salesforce", "use_allowance", calls=8_500)


def an_hour_passes(connected: Connected) -> None:
    """Let what the ledger knows of the allowances be more than an hour old."""
    with Systems.open(connected.settings) as systems:
        known = systems.ledger.recall("budgets")
        for samples in known.values():
            for sample in samples:
                at = datetime.fromisoformat(sample["at"]) - timedelta(minutes=61)
                sample["at"] = at.isoformat()
        asked = datetime.fromisoformat(systems.ledger.recall("budgets_asked"))
        with systems.ledger.transaction() as tx:
            tx.remember("budgets", known)
            tx.remember("budgets_asked", (asked - timedelta(minutes=61)).isoformat())


def new_customer_with_order(connected: Connected) -> Row:
    """Let a rep win a customer that BC does not have, with a closed order."""
    fields = {"Name": "Newcomer Ltd", "Type": "Prospect", "BillingCountry": "United States"}
    account = connected.act("salesforce", "create", sobject="Account", fields=fields)
    known = next(row for row in connected.salesforce("OrderItem"))
    line = {"product": known["Product2Id"], "quantity": 2, "unit_price": 10}
    order: Row = connected.act(
        "salesforce", "create_order", account=account["Id"], lines=[line], activate=True
    )
    return order


def rename_somebody(connected: Connected) -> Row:
    """Let a rep change the phone of a linked Account."""
    account = next(row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c"))
    fields = {"Phone": "+1 555 0100"}
    connected.act("salesforce", "edit", sobject="Account", record=account["Id"], fields=fields)
    return account


def phone_in_bc(connected: Connected, account: Row) -> str:
    """Return the phone number of the Account's customer."""
    (customer,) = [
        row
        for row in connected.business_central("customers")
        if row["id"].lower() == account["BC_Customer_Id__c"]
    ]
    return str(customer["phoneNumber"])


def waiting_sync(connected: Connected) -> RateLimited:
    """Run the main job; it must end with what is kept for orders."""
    with pytest.raises(RateLimited) as caught:
        connected.sync()
    assert caught.value.code == CODE
    return caught.value


def test_orders_go_and_everything_else_waits(connected: Connected) -> None:
    """The new order and the customer it needs are in BC; an edit comes when there is room."""
    connected.sync()
    account = rename_somebody(connected)
    order = new_customer_with_order(connected)
    nearly_used(connected)

    fault = waiting_sync(connected)

    assert "kept for orders" in fault.message
    assert len(connected.orders_by_reference()[order["OrderNumber"]]) == 1
    assert phone_in_bc(connected, account) != "+1 555 0100"
    (shown,) = connected.salesforce("Order", Id=order["Id"])
    assert shown["BC_Order_Id__c"]

    calls_of_the_day(connected, 5_000_000)
    connected.sync()

    assert phone_in_bc(connected, account) == "+1 555 0100"
    assert len(connected.orders_by_reference()[order["OrderNumber"]]) == 1
    (linked,) = connected.salesforce("Account", Id=order["AccountId"])
    assert linked["BC_Customer_Id__c"]


def test_a_first_load_stops_before_it_takes_what_orders_need(connected: Connected) -> None:
    """Nothing of the catalog was dealt with, nothing is marked as done; later all goes through."""
    nearly_used(connected)

    waiting_sync(connected)

    assert all(row.get("BC_Item_Id__c") is None for row in connected.salesforce("Product2"))
    calls_of_the_day(connected, 5_000_000)
    report = connected.sync()
    assert report.counts["written"] > 100


def test_changes_that_arrive_are_kept_for_later(connected: Connected) -> None:
    """Of what the feeds brought only the order is due; the rest stays in the inbox."""
    connected.sync()
    account = rename_somebody(connected)
    order = new_customer_with_order(connected)
    nearly_used(connected)

    with Systems.open(connected.settings) as systems:
        for entity in ("Account", "Order"):
            poll_entity(systems, entity)
        found = due(systems)
        fault = hand_over(systems)
        left = systems.ledger.pending_ids("salesforce", "Account")

    assert fault is None
    assert found.orders
    assert not (found.customers or found.items or found.status)
    assert len(connected.orders_by_reference()[order["OrderNumber"]]) == 1
    assert account["Id"] in left


def test_deliveries_that_run_out_hold_everything_but_orders(connected: Connected) -> None:
    """Writing back makes events of its own, so it waits as well."""
    connected.sync()
    switches = {"delivered_events_per_day": 10_000}
    connected.sandbox.admin.post("/salesforce/switches", json=switches).raise_for_status()
    connected.act("salesforce", "use_allowance", deliveries=9_000)
    order = new_customer_with_order(connected)
    an_hour_passes(connected)

    waiting_sync(connected)

    assert len(connected.orders_by_reference()[order["OrderNumber"]]) == 1


def by_name(document: dict[str, Any]) -> dict[str, Any]:
    """Return the budgets of a status document by name."""
    return {each["name"]: each for each in document["budgets"]}


def test_status_and_check_show_the_budgets(connected: Connected) -> None:
    """Used, limit, forecast and reserve; a warning where it is nearly used."""
    connected.sync()
    with Systems.open(connected.settings) as systems:
        fresh = by_name(connection_status(systems))
    assert fresh[CALLS]["state"] == BudgetState.OK
    assert fresh[CALLS]["used"] > 0
    assert fresh[EVENTS]["limit"] == 1_000_000
    assert fresh["business_central_rate"]["limit"] > 0

    nearly_used(connected)
    lines = {line.code: line for line in check_lines(connected.settings)}

    assert lines["salesforce_daily_calls"].level is Level.WARNING
    assert "Everything but orders waits" in lines["salesforce_daily_calls"].message
    assert lines["business_central_rate"].level is Level.OK


def test_an_idle_sync_asks_for_the_limits_once_an_hour(connected: Connected) -> None:
    """The usage of calls comes with every answer; only deliveries cost a call."""
    connected.sync()
    connected.reset_traffic()

    connected.sync()
    connected.sync()

    kinds = connected.sandbox.admin.get("/salesforce/traffic").json()["kinds"]
    assert kinds.get("limits", 0) == 0
    an_hour_passes(connected)
    connected.sync()
    kinds = connected.sandbox.admin.get("/salesforce/traffic").json()["kinds"]
    assert kinds["limits"] == 1


def test_a_vendor_that_tells_nothing_holds_nothing(connected: Connected) -> None:
    """Without limits and without the header there is no budget, and everything goes on."""
    connected.fault(
        "salesforce", path="/limits", status=403, code="INSUFFICIENT_ACCESS", times=None
    )

    with Systems.open(connected.settings) as systems:
        known = {budget.name for budget in budgets(systems)}
    report = connected.sync()

    assert known == {"business_central_rate"}
    assert report.counts["written"] > 100
