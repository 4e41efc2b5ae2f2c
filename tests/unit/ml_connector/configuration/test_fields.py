"""Custom fields, either way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from ml_connector.configuration.fields import FieldMapping, incoming, nearest, outgoing
from ml_connector.domain.identifiers import BLANK_ID
from tests.builders.business_central import customer, item, sales_order
from tests.builders.salesforce import account, order


def mapping(salesforce: str, business_central: str, owner: str = "salesforce") -> FieldMapping:
    """Return a checked mapping."""
    return FieldMapping.model_validate(
        {"salesforce": salesforce, "business_central": business_central, "owner": owner}
    )


MAPPINGS = (
    mapping("Account.Person__c", "customers.salespersonCode"),
    mapping("Account.Limit__c", "customers.creditLimit"),
    mapping("Account.Taxable__c", "customers.taxLiable"),
    mapping("Account.Area__c", "customers.taxAreaDisplayName", "business_central"),
    mapping("Account.Balance__c", "customers.balanceDue", "business_central"),
    mapping("Order.Wanted__c", "salesOrders.requestedDeliveryDate"),
    mapping("Order.Posting__c", "salesOrders.postingDate", "business_central"),
)


def test_values_salesforce_owns_go_out_as_json() -> None:
    """In the order of the mappings; only those of the entity."""
    out = outgoing(
        MAPPINGS, "customers", account(Person__c="JO", Limit__c=Decimal(5), Taxable__c=True)
    )

    assert out == {"salespersonCode": "JO", "creditLimit": Decimal(5), "taxLiable": True}


def test_empty_values_go_out_as_bc_spells_empty() -> None:
    """Blank text, zero, false, and the first of January of the year one."""
    assert outgoing(MAPPINGS, "customers", account()) == {
        "salespersonCode": "",
        "creditLimit": 0,
        "taxLiable": False,
    }
    assert outgoing(MAPPINGS, "salesOrders", order()) == {"requestedDeliveryDate": "0001-01-01"}


@pytest.mark.parametrize(
    ("business_central", "value", "sent", "empty"),
    [
        ("customers.blocked", "Ship", "Ship", "_x0020_"),
        ("customers.taxAreaId", f" {'AB' * 4}-0000-0000-0000-{'AB' * 6}", None, BLANK_ID),
        ("customers.salespersonCode", Decimal("7.50"), "7.50", ""),
        ("customers.creditLimit", Decimal("7.50"), Decimal("7.50"), Decimal(0)),
    ],
)
def test_values_go_out_as_their_property_takes_them(
    business_central: str, value: Any, sent: Any, empty: Any
) -> None:
    """Enums encoded, ids in lower case, numbers as text in a text; each with its own blank."""
    one = (mapping("Account.X__c", business_central),)
    name = business_central.partition(".")[2]
    wanted = sent if sent is not None else str(value).strip().lower()

    assert outgoing(one, "customers", account(X__c=value)) == {name: wanted}
    assert outgoing(one, "customers", account(X__c=None)) == {name: empty}


def test_values_bc_owns_come_in() -> None:
    """Blank text is null; dates are text."""
    shown = incoming(MAPPINGS, "customers", customer(taxAreaDisplayName="ATLANTA, GA"))
    blank = incoming(MAPPINGS, "customers", customer(taxAreaDisplayName="", balanceDue=None))
    dated = incoming(MAPPINGS, "salesOrders", sales_order(postingDate="2026-03-01"))

    assert shown["Area__c"] == "ATLANTA, GA"
    assert blank["Area__c"] is None
    assert blank["Balance__c"] == 0
    assert dated == {"Posting__c": "2026-03-01"}
    assert incoming(MAPPINGS, "items", item()) == {}


def test_what_was_not_read_does_not_come_in() -> None:
    """A short select must not blank Salesforce."""
    assert incoming(MAPPINGS, "customers", customer()) == {}


def test_instants_are_written_in_utc() -> None:
    """With Z."""
    stamp = mapping("Order.Changed__c", "salesOrders.lastModifiedDateTime", "business_central")
    shown = incoming(
        [stamp], "salesOrders", sales_order(lastModifiedDateTime="2026-03-01T10:00:00.5Z")
    )

    assert shown == {"Changed__c": "2026-03-01T10:00:00.500000Z"}


def test_inventory_is_never_written() -> None:
    """Writing it would post an adjustment."""
    with pytest.raises(ValidationError, match="cannot be written"):
        mapping("Product2.Stock__c", "items.inventory")
    assert mapping("Product2.Stock__c", "items.inventory", "business_central").target == (
        "Product2.Stock__c"
    )


def test_a_mapping_knows_its_parts() -> None:
    """Object, field, entity set, property and what it writes."""
    first = MAPPINGS[0]

    assert (first.sobject, first.field) == ("Account", "Person__c")
    assert (first.entity_set, first.property_name) == ("customers", "salespersonCode")
    assert first.target == "customers.salespersonCode"


def test_the_nearest_word_is_offered_when_there_is_one() -> None:
    """Case does not matter; nothing like it gives nothing."""
    assert nearest("NAEM", ["name", "owner"]) == '; did you mean "name"?'
    assert nearest("zzz", ["name"]) == ""
