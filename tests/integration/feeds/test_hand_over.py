"""Changes that arrived are acted on: orders go through, echoes do not, merges and deletes count."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.collect import mark_changed
from ml_connector.exchange.systems import Systems
from tasks.batches import Scope
from tasks.changes import Capture
from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.conftest import Listening, listening_to, wait_for


def edit(connected: Connected, sobject: str, record_id: str, **fields: Any) -> None:
    """Let a rep change a record."""
    connected.act("salesforce", "edit", sobject=sobject, record=record_id, fields=fields)


def arrived(here: Listening, record_id: str) -> None:
    """Wait until something about a record came by an event."""
    wait_for(
        lambda: any(each.source == "event" for each in here.systems.ledger.changes_of(record_id))
    )


def linked_accounts(connected: Connected) -> list[dict[str, Any]]:
    """Return the Accounts that are customers."""
    return [row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c")]


def test_an_activated_order_goes_through_without_a_sync(connected: Connected) -> None:
    """An Order that is activated gets its sales order, and shows its number, by events alone."""
    connected.sync()
    order = next(
        row
        for row in connected.salesforce("Order")
        if row["Status"] == "Activated" and row.get("BC_Order_Id__c")
    )
    lines = connected.salesforce("OrderItem", OrderId=order["Id"])
    with listening_to(connected) as here:
        here.settle()
        made = connected.act(
            "salesforce",
            "create_order",
            account=order["AccountId"],
            lines=[{"product": lines[0]["Product2Id"], "quantity": 3}],
            activate=True,
        )
        arrived(here, made["Id"])
        here.settle()
    shown = connected.salesforce("Order", Id=made["Id"])[0]

    assert shown["BC_Order_Number__c"]
    assert len(connected.orders_by_reference()[made["OrderNumber"]]) == 1


def test_our_own_writes_are_not_answered(connected: Connected) -> None:
    """After a sync with both feeds live nothing is pending, and nothing more is written."""
    with listening_to(connected) as here:
        here.settle()
        connected.sync()
        time.sleep(1.5)
        here.settle()
        before = len(connected.writes())
        time.sleep(1)
        here.settle()
        echoes = [
            change
            for row in linked_accounts(connected)
            for change in here.systems.ledger.changes_of(row["Id"])
            if change.source == "event"
        ]

        assert len(connected.writes()) == before
        assert echoes == []


def test_a_persons_edit_in_the_same_second_as_ours_is_not_lost(connected: Connected) -> None:
    """A rep's change right after our write-back reaches BC."""
    connected.sync()
    account = linked_accounts(connected)[0]
    with listening_to(connected) as here:
        here.settle()
        edit(connected, "Account", account["Id"], BC_Customer_Number__c="WRONG")
        edit(connected, "Account", account["Id"], Phone="+1 555 0177")
        arrived(here, account["Id"])
        time.sleep(0.5)
        here.settle()
    customer = connected.business_central("customers", id=account["BC_Customer_Id__c"])[0]
    shown = connected.salesforce("Account", Id=account["Id"])[0]

    assert customer["phoneNumber"].replace(" ", "") == "+15550177"
    assert shown["BC_Customer_Number__c"] == customer["number"]


def test_a_merge_moves_the_customer_to_the_survivor(connected: Connected) -> None:
    """The survivor without a customer of its own gets the loser's; nothing is deleted in BC."""
    connected.sync()
    loser = linked_accounts(connected)[0]
    winner = connected.act(
        "salesforce", "create", sobject="Account", fields={"Name": "Survivor of a merge"}
    )
    customers = len(connected.business_central("customers"))
    with listening_to(connected) as here:
        here.settle()
        connected.act("salesforce", "merge_accounts", winner=winner["Id"], losers=[loser["Id"]])
        wait_for(
            lambda: any(
                each.change_type == "DELETE" for each in here.systems.ledger.changes_of(loser["Id"])
            )
        )
        here.settle()
    shown = connected.salesforce("Account", Id=winner["Id"])[0]

    assert shown["BC_Customer_Id__c"] == loser["BC_Customer_Id__c"]
    assert len(connected.business_central("customers")) == customers


def test_a_merge_of_two_customers_is_parked_with_both(connected: Connected) -> None:
    """Two Accounts with a customer each: the survivor is parked until one customer is blocked."""
    connected.sync()
    winner, loser = linked_accounts(connected)[:2]
    with listening_to(connected) as here:
        here.settle()
        connected.act("salesforce", "merge_accounts", winner=winner["Id"], losers=[loser["Id"]])
        wait_for(
            lambda: any(
                each.change_type == "DELETE" for each in here.systems.ledger.changes_of(loser["Id"])
            )
        )
        here.settle()
        parked = here.systems.ledger.record(Kind.CUSTOMER, winner["Id"])
        assert parked is not None
        assert parked.cause == "merge_conflict"
        assert {each["bc_id"] for each in parked.candidates} == {
            winner["BC_Customer_Id__c"],
            loser["BC_Customer_Id__c"],
        }
    number = connected.business_central("customers", id=loser["BC_Customer_Id__c"])[0]["number"]
    connected.act("business-central", "block_customer", customer=number, blocked="All")
    connected.sync()
    shown = connected.salesforce("Account", Id=winner["Id"])[0]

    assert shown["BC_Sync_Status__c"] == "Synced"
    assert shown["BC_Customer_Id__c"] == winner["BC_Customer_Id__c"]


def two_linked_contacts(connected: Connected) -> list[dict[str, Any]]:
    """Return two Contacts of one Account that are contacts in BC."""
    by_account: dict[str, list[dict[str, Any]]] = {}
    for row in connected.salesforce("Contact"):
        if row.get("BC_Contact_Id__c"):
            by_account.setdefault(row["AccountId"], []).append(row)
    return next(rows[:2] for rows in by_account.values() if len(rows) > 1)


def merge_contacts(here: Listening, winner: str, loser: str) -> None:
    """Merge two Contacts in Salesforce and deal with what arrives."""
    here.connected.act("salesforce", "merge_contacts", winner=winner, losers=[loser])
    wait_for(
        lambda: any(each.change_type == "DELETE" for each in here.systems.ledger.changes_of(loser))
    )
    here.settle()


def test_a_merged_contact_gives_its_partner_to_the_survivor(connected: Connected) -> None:
    """The survivor without a BC contact gets the loser's; none is made and none is deleted."""
    connected.sync()
    loser = two_linked_contacts(connected)[0]
    before = len(connected.business_central("contacts"))
    with listening_to(connected) as here:
        here.settle()
        winner = connected.act(
            "salesforce",
            "create",
            sobject="Contact",
            fields={"LastName": "Survivor"},
        )
        merge_contacts(here, winner["Id"], loser["Id"])
        gone = here.systems.ledger.record(Kind.CONTACT, loser["Id"])
        edit(connected, "Contact", winner["Id"], AccountId=loser["AccountId"])
        arrived(here, winner["Id"])
        here.settle()
    shown = connected.salesforce("Contact", Id=winner["Id"])[0]
    (contact,) = connected.business_central("contacts", id=loser["BC_Contact_Id__c"])

    assert shown["BC_Contact_Id__c"] == loser["BC_Contact_Id__c"]
    assert contact["displayName"] == "Survivor"
    assert len(connected.business_central("contacts")) == before
    assert gone is not None
    assert (gone.state, winner["Id"] in gone.message) == ("excluded", True)


def test_a_merge_of_two_bc_contacts_is_parked_with_both(connected: Connected) -> None:
    """Two Contacts with a BC contact each: the survivor is parked until one of them is gone."""
    connected.sync()
    winner, loser = two_linked_contacts(connected)
    with listening_to(connected) as here:
        here.settle()
        merge_contacts(here, winner["Id"], loser["Id"])
        parked = here.systems.ledger.record(Kind.CONTACT, winner["Id"])
        assert parked is not None
        assert parked.cause == "merge_conflict"
        assert {each["bc_id"] for each in parked.candidates} == {
            winner["BC_Contact_Id__c"],
            loser["BC_Contact_Id__c"],
        }
    connected.act(
        "business-central", "delete", entity="contacts", record=winner["BC_Contact_Id__c"]
    )
    connected.sync()
    shown = connected.salesforce("Contact", Id=winner["Id"])[0]

    assert shown["BC_Contact_Id__c"] == loser["BC_Contact_Id__c"]


def test_a_deleted_account_is_flagged_and_its_customer_stays(connected: Connected) -> None:
    """Deleting in Salesforce deletes nothing in BC; the record is parked with the reason."""
    connected.sync()
    made = connected.act(
        "salesforce",
        "create",
        sobject="Account",
        fields={"Name": "Soon gone", "Type": "Customer - Direct"},
    )
    connected.sync()
    with listening_to(connected) as here:
        here.settle()
        connected.act("salesforce", "delete", sobject="Account", record=made["Id"])
        wait_for(
            lambda: any(
                each.change_type == "DELETE" for each in here.systems.ledger.changes_of(made["Id"])
            )
        )
        here.settle()
        record = here.systems.ledger.record(Kind.CUSTOMER, made["Id"])

    assert record is not None
    assert record.cause == "deleted_in_salesforce"
    assert connected.business_central("customers", id=record.bc_id)


def test_the_customer_of_a_deleted_account_goes_to_the_account_that_takes_its_number(
    connected: Connected,
) -> None:
    """An Account made anew is no second owner of the customer; of the old one nothing is left."""
    connected.sync()
    fields = {"Name": "Made twice", "Type": "Customer - Direct"}
    old = connected.act("salesforce", "create", sobject="Account", fields=fields)
    connected.sync()
    with listening_to(connected) as here:
        here.settle()
        ledger = here.systems.ledger
        connected.act("salesforce", "delete", sobject="Account", record=old["Id"])
        wait_for(lambda: any(each.change_type == "DELETE" for each in ledger.changes_of(old["Id"])))
        here.settle()
        before = ledger.record(Kind.CUSTOMER, old["Id"])
        assert before is not None
        assert before.cause == "deleted_in_salesforce"
        new = connected.act(
            "salesforce",
            "create",
            sobject="Account",
            fields={**fields, "AccountNumber": before.bc_number},
        )
        arrived(here, new["Id"])
        here.settle()
    connected.sync()
    record = ledger.record(Kind.CUSTOMER, new["Id"])
    gone = ledger.record(Kind.CUSTOMER, old["Id"])

    assert record is not None
    assert (record.bc_id, record.cause) == (before.bc_id, "")
    (customer,) = connected.business_central("customers", displayName="Made twice")
    assert customer["id"].lower() == before.bc_id
    assert gone is not None
    assert (gone.state, gone.cause) == ("excluded", "deleted")


def test_an_outage_beyond_retention_loses_nothing(connected: Connected) -> None:
    """After 80 hours off, with edits, a deletion and a merge, everything is as if never off."""
    connected.sync()
    accounts = linked_accounts(connected)
    with listening_to(connected) as here:
        here.settle()
        edit(connected, "Account", accounts[0]["Id"], Phone="+1 555 0180")
        arrived(here, accounts[0]["Id"])
        here.settle()
    connected.later(3600)
    edit(connected, "Account", accounts[0]["Id"], Phone="+1 555 0181")
    winner = connected.act("salesforce", "create", sobject="Account", fields={"Name": "Taker"})
    connected.act("salesforce", "merge_accounts", winner=winner["Id"], losers=[accounts[1]["Id"]])
    connected.later(80 * 3600)
    edit(connected, "Account", accounts[2]["Id"], Phone="+1 555 0182")
    with listening_to(connected) as here:
        wait_for(lambda: here.systems.ledger.checkpoint("salesforce/Product2/poll"))
        wait_for(lambda: accounts[0]["Id"] in here.pending("Account"))
        time.sleep(2)
        here.settle()
    phones = {
        row["id"]: row["phoneNumber"].replace(" ", "")
        for row in connected.business_central("customers")
    }
    shown = connected.salesforce("Account", Id=winner["Id"])[0]

    assert phones[accounts[0]["BC_Customer_Id__c"]] == "+15550181"
    assert phones[accounts[2]["BC_Customer_Id__c"]] == "+15550182"
    assert shown["BC_Customer_Id__c"] == accounts[1]["BC_Customer_Id__c"]


class NobodySpeaks:
    """A listener that hears nothing."""

    is_over = False

    def wait(self, seconds: float) -> bool:
        """Hear nothing for a moment."""
        time.sleep(min(seconds, 0.1))
        return False


async def first_round(systems: Systems) -> bool:
    """Wait for the next round of work; tells whether Orders are due."""
    listener: Any = NobodySpeaks()
    async for work in Capture(Scope(systems), listener, minutes=1).rounds():
        return work.orders
    return False


def test_a_query_that_fails_while_work_is_looked_for_does_not_end_the_listener(
    connected: Connected, caplog: pytest.LogCaptureFixture
) -> None:
    """The hint stays in the inbox, and its Orders are due as soon as Salesforce answers again."""
    order = next(row for row in connected.salesforce("Order") if row.get("OpportunityId"))
    with Systems.open(connected.settings) as systems:
        mark_changed(systems, "Opportunity", [order["OpportunityId"]], "test")
        connected.fault("salesforce", method="GET", path="/queryAll", status=503, times=1)

        assert asyncio.run(first_round(systems))
        assert order["Id"] in systems.ledger.pending_ids("salesforce", "Order")
    assert "Looking for work again" in caplog.text
