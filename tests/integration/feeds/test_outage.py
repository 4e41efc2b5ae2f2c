"""Away for more than three days while both sides lived on: after the restart they agree again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.findings import Finding
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.run_ids import RunIds
from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.both_feeds import both_feeds

HOUR = 3600
AWAY = timedelta(hours=81)


def differences(connected: Connected) -> dict[tuple[str, str], Finding]:
    """Return what the two sides differ in, by kind and number."""
    with Systems.open(connected.settings, RunIds(flow_run_id="reconcile")) as systems:
        report = reconcile(systems, heal=False)
    return {(str(each.kind), each.key): each for each in report.findings}


class Before:
    """Records to live on with, none of them used twice."""

    def __init__(self, connected: Connected) -> None:
        orders = connected.salesforce("Order")
        drafts = [
            row
            for row in orders
            if row.get("BC_Order_Number__c") and row["BC_Order_Status__c"] == "Draft"
        ]
        self.shipped, self.invoiced, self.canceled = drafts[:3]
        linked = [row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c")]
        ordering = {row["AccountId"] for row in orders}
        quiet = [row for row in linked if row["Id"] not in ordering]
        self.edited, self.gone, self.removed = quiet[:3]
        busy = {row["AccountId"] for row in drafts}
        self.winner, self.loser = [row for row in linked if row["Id"] in busy][:2]
        self.person = next(
            row
            for row in connected.salesforce("Contact")
            if row.get("BC_Contact_Id__c") and row["AccountId"] in busy
        )


def live_on(connected: Connected, before: Before) -> str:
    """Let people work on both sides for 81 hours; returns the Id of an Order made meanwhile."""
    connected.later(HOUR)
    rep(connected, "edit", sobject="Account", record=before.edited["Id"], fields={"Phone": "1234"})
    rep(connected, "delete", sobject="Account", record=before.gone["Id"])
    rep(connected, "edit", sobject="Contact", record=before.person["Id"], fields={"Title": "Buyer"})
    (line, *_) = connected.salesforce("OrderItem", OrderId=before.shipped["Id"])
    made = rep(
        connected,
        "create_order",
        account=before.winner["Id"],
        lines=[{"product": line["Product2Id"], "quantity": 2}],
        activate=True,
    )
    clerk(connected, "ship", order=before.shipped["BC_Order_Number__c"])
    customer = before.edited["BC_Customer_Number__c"]
    clerk(connected, "block_customer", customer=customer, blocked="Ship")
    connected.later(80 * HOUR)
    winner, loser = before.winner, before.loser
    rep(connected, "merge_accounts", winner=winner["Id"], losers=[loser["Id"]])
    clerk(
        connected,
        "merge_customers",
        winner=winner["BC_Customer_Number__c"],
        loser=loser["BC_Customer_Number__c"],
    )
    number = before.invoiced["BC_Order_Number__c"]
    clerk(connected, "ship_and_invoice", order=number)
    (invoice,) = connected.business_central("salesInvoices", orderNumber=number)
    clerk(connected, "pay", invoice=invoice["number"], amount="1.00")
    clerk(connected, "delete_order", order=before.canceled["BC_Order_Number__c"])
    clerk(connected, "delete", entity="customers", record=before.removed["BC_Customer_Id__c"])
    return str(made["Id"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_edits_deletes_and_merges_on_both_sides_are_caught_up_with(connected: Connected) -> None:
    """81 hours off: events and notifications are gone, the polls find all of it."""
    connected.sync()
    with both_feeds(connected) as feeds:
        feeds.settle()
    known = differences(connected)
    before = Before(connected)
    made = live_on(connected, before)
    with both_feeds(connected, clock_ahead=AWAY) as feeds:
        feeds.settle()
        feeds.cycle()
        flagged = feeds.systems.ledger.records(
            Kind.CUSTOMER, [before.gone["Id"], before.removed["Id"]]
        )

    assert shown_orders(connected, before, made) == {
        "made": ("Draft", 0),
        "shipped": ("Shipped", 0),
        "invoiced": ("Invoiced", 1),
        "canceled": ("Canceled", 0),
    }
    accounts = {row["Id"]: row for row in connected.salesforce("Account")}
    (customer,) = connected.business_central("customers", id=before.edited["BC_Customer_Id__c"])
    (contact,) = connected.business_central("contacts", id=before.person["BC_Contact_Id__c"])
    survivor = accounts[before.winner["Id"]]
    assert customer["phoneNumber"] == "1234"
    assert accounts[before.edited["Id"]]["BC_Blocked__c"] == "Ship"
    assert contact["jobTitle"] == "Buyer"
    assert survivor["BC_Customer_Id__c"] == before.winner["BC_Customer_Id__c"]
    assert survivor["BC_Sync_Status__c"] == "Synced"
    assert {record.cause for record in flagged.values()} == {
        "deleted_in_salesforce",
        "deleted_in_bc",
    }
    new = [each for key, each in differences(connected).items() if key not in known]
    assert {each.what for each in new} == {"deleted_in_salesforce", "deleted_in_bc"}


def shown_orders(connected: Connected, before: Before, made: str) -> dict[str, tuple[str, Any]]:
    """Return status and paid amount that the Orders show."""
    orders = {row["Id"]: row for row in connected.salesforce("Order")}
    names = {
        "made": made,
        "shipped": before.shipped["Id"],
        "invoiced": before.invoiced["Id"],
        "canceled": before.canceled["Id"],
    }
    (order,) = connected.orders_by_reference()[orders[made]["OrderNumber"]]
    assert order["number"] == orders[made]["BC_Order_Number__c"]
    return {
        name: (orders[key]["BC_Order_Status__c"], orders[key]["BC_Paid_Amount__c"])
        for name, key in names.items()
    }


def rep(connected: Connected, act: str, **arguments: Any) -> Any:
    """Let a rep do something."""
    return connected.act("salesforce", act, **arguments)


def clerk(connected: Connected, act: str, **arguments: Any) -> Any:
    """Let a clerk do something."""
    return connected.act("business-central", act, **arguments)
