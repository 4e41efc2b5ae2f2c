"""What the platform does by itself when a record is saved or deleted, object by object."""

from collections.abc import Mapping
from decimal import Decimal

from ml_connector.sandbox.salesforce import order_rules, price_rules
from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.transactions import Transaction
from ml_connector.sandbox.salesforce.values import Row, Value

_STAGES = {
    "Prospecting": (10, False, False, "Pipeline"),
    "Qualification": (10, False, False, "Pipeline"),
    "Negotiation/Review": (90, False, False, "Commit"),
    "Closed Won": (100, True, True, "Closed"),
    "Closed Lost": (0, True, False, "Omitted"),
}


def before_save(
    org: SalesforceOrg,
    transaction: Transaction,
    sobject: SObject,
    old: Row | None,
    row: Row,
    given: Mapping[str, Value | None],
) -> None:
    """Refuses what the object's own rules forbid, and fills what the platform derives."""
    if sobject.name == "Order":
        order_rules.before_order(org, transaction, old, row, given)
    elif sobject.name == "OrderItem":
        order_rules.before_item(org, transaction, old, row, given)
    elif sobject.name == "PricebookEntry":
        price_rules.before_entry(org, old, row)
    elif sobject.name == "Pricebook2":
        price_rules.before_book(old, row)
    elif sobject.name == "PermissionSetAssignment":
        _before_assignment(org, transaction, row)
    derive(org, sobject.name, row)


def derive(org: SalesforceOrg, sobject: str, row: Row) -> None:
    """Fills the fields that follow from others."""
    if sobject == "Contact":
        parts = (row.get("FirstName"), row.get("LastName"))
        row["Name"] = " ".join(str(part) for part in parts if part)
    elif sobject == "Opportunity":
        known = _STAGES.get(str(row["StageName"]))
        chance, closed, won, category = known or (50, False, False, "Pipeline")
        row.setdefault("Probability", Decimal(chance))
        row["IsClosed"], row["IsWon"] = closed, won
        row["ForecastCategoryName"] = category
    elif sobject == "Order":
        order_rules.derive_order(org, row)
    elif sobject == "OrderItem":
        order_rules.derive_item(org, row)
    elif sobject == "PricebookEntry":
        price_rules.derive_entry(org, row)


def after_save(
    org: SalesforceOrg, transaction: Transaction, sobject: SObject, old: Row | None, row: Row
) -> None:
    """Carries a saved record's effect to its relatives."""
    if sobject.name == "OrderItem":
        order_rules.roll_up(org, transaction, str(row["OrderId"]))
        order_rules.note_reduction(org, transaction, row)
    elif sobject.name == "Product2" and old is not None:
        price_rules.rename_entries(org, transaction, row)
    elif sobject.name == "Order" and old is not None:
        order_rules.after_order(org, transaction, old, row)
    elif sobject.name == "PermissionSetAssignment":
        org.assign_package(str(row["AssigneeId"]))


def _before_assignment(org: SalesforceOrg, transaction: Transaction, row: Row) -> None:
    """Only who may assign permission sets does it, and each once."""
    if not transaction.person.access.has("AssignPermissionSets"):
        raise SalesforceFault(
            "INSUFFICIENT_ACCESS_OR_READONLY", "You may not assign permission sets"
        )
    pair = (row["AssigneeId"], row["PermissionSetId"])
    for other in org.table("PermissionSetAssignment").rows.values():
        if (other["AssigneeId"], other["PermissionSetId"]) == pair:
            raise SalesforceFault("DUPLICATE_VALUE", "The permission set is assigned already")


def before_delete(org: SalesforceOrg, transaction: Transaction, sobject: SObject, row: Row) -> None:
    """Refuses a delete that the object's rules forbid."""
    found = str(row["Id"])
    if sobject.name == "Order":
        order_rules.before_order_delete(org, row)
    elif sobject.name == "OrderItem":
        order_rules.before_item_delete(org, row)
    elif sobject.name == "Account":
        orders = (
            org.table("Order").live("AccountId", found) if "Order" in org.schema.objects else ()
        )
        for order_id in orders:
            order_rules.before_order_delete(org, org.table("Order").rows[order_id])
        for deal_id in org.table("Opportunity").live("AccountId", found):
            if org.table("Opportunity").rows[deal_id].get("IsWon"):
                raise SalesforceFault("DELETE_FAILED", f"{found} has a won opportunity {deal_id}")
    elif sobject.name in ("Product2", "PricebookEntry", "Pricebook2"):
        price_rules.before_delete(org, sobject.name, row)
    del transaction


def after_delete(org: SalesforceOrg, transaction: Transaction, sobject: SObject, row: Row) -> None:
    """Carries a delete's (or an undelete's) effect to its relatives."""
    if sobject.name == "OrderItem":
        order_rules.roll_up(org, transaction, str(row["OrderId"]))
