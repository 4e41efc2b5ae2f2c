"""Custom fields of the policy: either way, for every pair of records, without an idle write."""

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.configuration.fields import FieldMapping
from ml_connector.errors import GuardTripped
from ml_connector.exchange.sync import run_sync

Row = dict[str, Any]

FROM_BC = (
    ("Account.Site", "customers.type"),
    ("Contact.Department", "contacts.searchName"),
    ("Product2.Description", "items.displayName2"),
    ("Order.PoNumber", "salesOrders.sellToCity"),
)
FROM_SALESFORCE = (
    ("Account.Site", "customers.salespersonCode"),
    ("Contact.Department", "contacts.searchName"),
    ("Product2.Description", "items.displayName2"),
    ("Order.PoNumber", "salesOrders.shipToContact"),
)
SHOWN_ON = dict(pair[0].split(".") for pair in FROM_BC)
PAIRS = {
    "Account": "customers",
    "Contact": "contacts",
    "Product2": "items",
    "Order": "salesOrders",
}
LINKS = {
    "Account": "BC_Customer_Id__c",
    "Contact": "BC_Contact_Id__c",
    "Product2": "BC_Item_Id__c",
    "Order": "BC_Order_Id__c",
}


def mapped(connected: Any, pairs: tuple[tuple[str, str], ...], owner: str, **areas: Any) -> Any:
    """Return the connection with *pairs* as custom fields that *owner* wins."""
    ours = connected.with_policy(**areas)
    fields = tuple(
        FieldMapping.model_validate({"salesforce": left, "business_central": right, "owner": owner})
        for left, right in pairs
    )
    policy = ours.settings.policy.model_copy(update={"fields": fields})
    return type(connected)(connected.sandbox, ours.settings.model_copy(update={"policy": policy}))


def linked(connected: Any, sobject: str) -> list[tuple[Row, Row]]:
    """Return the linked records of an object, each with its BC record."""
    there = {row["id"].lower(): row for row in connected.business_central(PAIRS[sobject])}
    return [
        (row, there[row[LINKS[sobject]]])
        for row in connected.salesforce(sobject)
        if row.get(LINKS[sobject])
    ]


def values(connected: Any, pair: tuple[str, str]) -> list[tuple[Any, Any]]:
    """Return what both sides of a mapping hold, trimmed, per linked record."""
    (sobject, field), prop = pair[0].split("."), pair[1].split(".")[1]
    return [
        ((row.get(field) or "").strip(), (there[prop] or "").strip())
        for row, there in linked(connected, sobject)
    ]


def test_values_bc_owns_are_shown_and_follow(connected: Any) -> None:
    """On Account, Contact, Product2 and Order, though no amounts of Accounts are shown.

    Once nobody maps them any more, they are the users' own.
    """
    ours = mapped(connected, FROM_BC, "business_central", status={"accounts": False})

    ours.sync()

    for pair in FROM_BC:
        found = values(ours, pair)
        assert found, pair
        assert [each for each in found if each[0] != each[1]] == [], pair
    assert any(there["sellToCity"] for _, there in linked(ours, "Order"))

    partner = linked(ours, "Contact")[0][1]
    item = linked(ours, "Product2")[0][1]
    order = linked(ours, "Order")[0][1]
    fields = {"contacts": {"searchName": "CHANGED"}, "items": {"displayName2": "Changed"}}
    for entity, record in (("contacts", partner), ("items", item)):
        act = {"entity": entity, "record": record["id"], "fields": fields[entity]}
        ours.act("business-central", "edit", **act)
    ours.act("business-central", "edit_order", order=order["number"], fields={"sellToCity": "Ulm"})
    ours.sync()

    for pair in FROM_BC:
        assert [each for each in values(ours, pair) if each[0] != each[1]] == [], pair
    assert ours.salesforce("Order", PoNumber="Ulm")
    assert ours.salesforce("Product2", Description="Changed")
    before = len(ours.writes())
    ours.sync()
    assert len(ours.writes()) == before

    for sobject, field in SHOWN_ON.items():
        for row, _ in linked(ours, sobject)[:2]:
            edit = {"sobject": sobject, "record": row["Id"], "fields": {field: "Mine"}}
            ours.act("salesforce", "edit", **edit)
    mapped(connected, (), "business_central", status={"accounts": False}).sync()
    for sobject, field in SHOWN_ON.items():
        assert len(ours.salesforce(sobject, **{field: "Mine"})) == 2, sobject


def test_a_field_mapped_later_reaches_orders_that_were_handed_over(connected: Any) -> None:
    """The next sync shows it, once somebody has allowed so many; nobody has to touch the orders."""
    connected.sync()
    ours = mapped(connected, FROM_BC[3:], "business_central")

    with pytest.raises(GuardTripped):
        ours.sync()
    run_sync(ours.settings, allow_changes=Decimal(100))

    found = values(ours, FROM_BC[3])
    assert found
    assert [each for each in found if each[0] != each[1]] == []


def test_values_salesforce_owns_are_written_and_follow(connected: Any) -> None:
    """To customers, contacts, items and sales orders; an item's update is repeated by nobody."""
    ours = mapped(connected, FROM_SALESFORCE, "salesforce")
    for sobject, field in (("Account", "Site"), ("Contact", "Department"), ("Order", "PoNumber")):
        for row in ours.salesforce(sobject):
            edit = {"sobject": sobject, "record": row["Id"], "fields": {field: "JO"}}
            ours.act("salesforce", "edit", **edit)
    ours.sync()
    for pair in FROM_SALESFORCE:
        found = values(ours, pair)
        assert found, pair
        assert [each for each in found if each[0] != each[1]] == [], pair

    for sobject, field in (("Product2", "Description"), ("Order", "PoNumber")):
        row = linked(ours, sobject)[0][0]
        edit = {"sobject": sobject, "record": row["Id"], "fields": {field: "Later"}}
        ours.act("salesforce", "edit", **edit)
    ours.fault("business-central", method="PATCH", path="items", drop="after", times=1)
    ours.sync_through_faults()
    ours.sync()

    for pair in FROM_SALESFORCE:
        assert [each for each in values(ours, pair) if each[0] != each[1]] == [], pair
    assert ours.business_central("items", displayName2="Later")
    patches = [each for each in ours.writes() if each.get("entity") == "items"]
    assert len(patches) <= len(linked(ours, "Product2")) + 1
    before = len(ours.writes())
    ours.sync()
    assert len(ours.writes()) == before
