"""The life of an order: draft, activated, what may change when, and its totals."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.transactions import Transaction
from ml_connector.sandbox.salesforce.values import Row, Value, rounded

_FROZEN = ("AccountId", "Pricebook2Id", "CurrencyIsoCode")
Given = Mapping[str, Value | None]


def category(org: SalesforceOrg, status: object) -> str:
    """The category that an order status belongs to."""
    return org.order_statuses.get(str(status), "Draft")


def _broken(message: str, *fields: str) -> SalesforceFault:
    return SalesforceFault("FIELD_INTEGRITY_EXCEPTION", message, fields)


def derive_order(org: SalesforceOrg, row: Row) -> None:
    """Fills the status category, the number and the empty total."""
    row["StatusCode"] = category(org, row.get("Status"))
    if "OrderNumber" not in row:
        row["OrderNumber"] = org.next_number("Order", 8)
    row.setdefault("TotalAmount", Decimal("0.00"))


def before_order(
    org: SalesforceOrg, transaction: Transaction, old: Row | None, row: Row, given: Given
) -> None:
    """Refuses what the order's state forbids."""
    if "AccountId" not in row:
        raise SalesforceFault("REQUIRED_FIELD_MISSING", "An order needs an account")
    _check_dates(row)
    if old is None:
        if category(org, row["Status"]) != "Draft":
            raise SalesforceFault("FAILED_ACTIVATION", "A new order is a draft", ("Status",))
        _check_reduction_order(org, row)
        _check_book(org, row)
        return
    changed = {name for name in given if old.get(name) != row.get(name)}
    was, becomes = category(org, old.get("Status")), category(org, row.get("Status"))
    if was == "Draft" and becomes == "Activated":
        _check_activation(org, transaction, row, changed)
        row["ActivatedDate"] = transaction.at
        row["ActivatedById"] = transaction.person.user_id
    elif was == "Activated":
        _check_activated_edit(org, transaction, changed, set(given))
        if becomes == "Draft":
            _check_back_to_draft(org, row)
            row.pop("ActivatedDate", None)
            row.pop("ActivatedById", None)
    else:
        _check_draft_edit(org, row, changed)


def _check_dates(row: Row) -> None:
    start, end = row.get("EffectiveDate"), row.get("EndDate")
    if isinstance(start, date) and isinstance(end, date) and end < start:
        raise _broken("The order ends before it starts", "EndDate")


def _check_reduction_order(org: SalesforceOrg, row: Row) -> None:
    if not row.get("IsReductionOrder"):
        if "OriginalOrderId" in row:
            raise _broken("Only a reduction order has an original order", "OriginalOrderId")
        return
    original = org.row("Order", str(row.get("OriginalOrderId")))
    if original is None:
        raise _broken("A reduction order needs its original order", "OriginalOrderId")
    if original["AccountId"] != row["AccountId"] or original["StatusCode"] != "Activated":
        raise _broken("The original order is of another account or no longer active")


def _check_book(org: SalesforceOrg, row: Row) -> None:
    if "Pricebook2Id" in row:
        book = org.row("Pricebook2", str(row["Pricebook2Id"]))
        if book is not None and not book.get("IsActive"):
            raise _broken("The price book is not active", "Pricebook2Id")


def _check_activation(
    org: SalesforceOrg, transaction: Transaction, row: Row, changed: set[str]
) -> None:
    if not transaction.person.access.has("ActivateOrder"):
        raise SalesforceFault("INSUFFICIENT_ACCESS_OR_READONLY", "No right to activate orders")
    if changed - {"Status"}:
        raise SalesforceFault(
            "FAILED_ACTIVATION", "Nothing else may change when an order is activated"
        )
    items = org.table("OrderItem").live("OrderId", row["Id"])
    if not items and not org.switch("activate_without_items"):
        raise SalesforceFault("FAILED_ACTIVATION", "The order has no products")


def _check_activated_edit(
    org: SalesforceOrg, transaction: Transaction, changed: set[str], given: set[str]
) -> None:
    frozen = [name for name in _FROZEN if name in changed]
    if frozen:
        raise SalesforceFault(
            "ENTITY_IS_LOCKED", f"{', '.join(frozen)} is fixed once activated", tuple(frozen)
        )
    if given - {"Status"} and not transaction.person.access.has("EditActivatedOrders"):
        raise SalesforceFault(
            str(org.switch("edit_activated_refusal")), "No right to edit activated orders"
        )
    if "Status" in changed and not transaction.person.access.has("ActivateOrder"):
        raise SalesforceFault("INSUFFICIENT_ACCESS_OR_READONLY", "No right to activate orders")


def _check_back_to_draft(org: SalesforceOrg, row: Row) -> None:
    table = org.table("OrderItem")
    for found in table.live("OrderId", row["Id"]):
        item = table.rows[found]
        if item.get("AvailableQuantity") != item.get("Quantity"):
            raise SalesforceFault("FAILED_ACTIVATION", "The order has been reduced")


def _check_draft_edit(org: SalesforceOrg, row: Row, changed: set[str]) -> None:
    fixed = [name for name in ("Pricebook2Id", "CurrencyIsoCode") if name in changed]
    if fixed and org.table("OrderItem").live("OrderId", row["Id"]):
        raise _broken(f"{', '.join(fixed)} is fixed once the order has products", *fixed)
    _check_book(org, row)


def after_order(org: SalesforceOrg, transaction: Transaction, old: Row, row: Row) -> None:
    """Lets an activated or re-opened reduction order act on the order it reduces."""
    if row.get("IsReductionOrder") and old["StatusCode"] != row["StatusCode"]:
        for found in org.table("OrderItem").live("OrderId", row["Id"]):
            note_reduction(org, transaction, org.table("OrderItem").rows[found])


def before_order_delete(org: SalesforceOrg, row: Row) -> None:
    """Refuses to delete an activated order."""
    if category(org, row.get("Status")) != "Draft":
        raise SalesforceFault("DELETE_FAILED", f"{row['OrderNumber']} is activated")


def before_item(
    org: SalesforceOrg, transaction: Transaction, old: Row | None, row: Row, given: Given
) -> None:
    """Refuses what the order's state, its price book or the quantities forbid."""
    order = org.row("Order", str(row["OrderId"]))
    if order is None:
        raise SalesforceFault(
            "INVALID_CROSS_REFERENCE_KEY", "OrderId names no record", ("OrderId",)
        )
    org.check_lock(str(row["OrderId"]))
    activated = order["StatusCode"] == "Activated"
    if old is None:
        if activated:
            raise SalesforceFault("ENTITY_IS_LOCKED", "The order is activated")
        _check_price(org, order, row)
    elif activated and given and not transaction.person.access.has("EditActivatedOrders"):
        raise SalesforceFault(
            str(org.switch("edit_activated_refusal")), "No right to edit activated orders"
        )
    if "UnitPrice" not in row:
        raise SalesforceFault("REQUIRED_FIELD_MISSING", "A unit price is needed", ("UnitPrice",))
    _check_quantity(org, order, row)
    start, end = row.get("ServiceDate"), row.get("EndDate")
    order_start, order_end = order["EffectiveDate"], order.get("EndDate")
    if isinstance(start, date) and isinstance(order_start, date) and start < order_start:
        raise _broken("The product starts before the order", "ServiceDate")
    if isinstance(end, date) and isinstance(order_end, date) and end > order_end:
        raise _broken("The product ends after the order", "EndDate")


def _check_price(org: SalesforceOrg, order: Row, row: Row) -> None:
    if "Pricebook2Id" not in order:
        raise _broken("The order has no price book")
    entry = org.row("PricebookEntry", str(row["PricebookEntryId"]))
    if entry is None:
        raise SalesforceFault(
            "INVALID_CROSS_REFERENCE_KEY", "PricebookEntryId names no price", ("PricebookEntryId",)
        )
    if entry["Pricebook2Id"] != order["Pricebook2Id"]:
        raise _broken("The price is of another price book", "PricebookEntryId")
    if entry.get("CurrencyIsoCode") != order.get("CurrencyIsoCode"):
        raise _broken("The price is in another currency", "PricebookEntryId")
    if not entry.get("IsActive"):
        raise _broken("The price is not active", "PricebookEntryId")
    if row.setdefault("Product2Id", entry["Product2Id"]) != entry["Product2Id"]:
        raise _broken("The product is not the price's", "Product2Id")


def _check_quantity(org: SalesforceOrg, order: Row, row: Row) -> None:
    quantity = row["Quantity"]
    if not isinstance(quantity, Decimal):
        raise TypeError("a quantity is a number")
    if quantity == 0 and not org.switch("allow_zero_quantity"):
        raise _broken("The quantity is zero", "Quantity")
    if not order.get("IsReductionOrder"):
        if quantity < 0 and not org.switch("allow_negative_quantity"):
            raise _broken("The quantity is negative", "Quantity")
        return
    original = org.row("OrderItem", str(row.get("OriginalOrderItemId")))
    if original is None or original["OrderId"] != order.get("OriginalOrderId"):
        raise _broken("A reduction names the product it reduces", "OriginalOrderItemId")
    available = original.get("AvailableQuantity")
    if quantity >= 0 or (isinstance(available, Decimal) and -quantity > available):
        raise _broken("A reduction is negative and at most what is available", "Quantity")


def derive_item(org: SalesforceOrg, row: Row) -> None:
    """Fills number, product, list price, total and currency of an order product."""
    quantity, price = row["Quantity"], row["UnitPrice"]
    if not isinstance(quantity, Decimal) or not isinstance(price, Decimal):
        raise TypeError("quantity and price are numbers")
    row["TotalPrice"] = rounded(quantity * price, 2)
    if "OrderItemNumber" not in row:
        row["OrderItemNumber"] = org.next_number("OrderItem", 10)
    entry = org.table("PricebookEntry").rows.get(str(row["PricebookEntryId"]), {})
    for name, value in (
        ("ListPrice", entry.get("UnitPrice")),
        ("Product2Id", entry.get("Product2Id")),
        ("CurrencyIsoCode", entry.get("CurrencyIsoCode")),
    ):
        if name not in row and value is not None:
            row[name] = value
    row["AvailableQuantity"] = rounded(quantity - _reduced(org, row), 2)


def _reduced(org: SalesforceOrg, row: Row) -> Decimal:
    """How much activated reduction orders took off this product."""
    total = Decimal(0)
    table = org.table("OrderItem")
    for found in table.live("OriginalOrderItemId", row["Id"]):
        item = table.rows[found]
        order = org.row("Order", str(item["OrderId"]))
        quantity = item["Quantity"]
        if order and order["StatusCode"] == "Activated" and isinstance(quantity, Decimal):
            total -= quantity
    return total


def note_reduction(org: SalesforceOrg, transaction: Transaction, item: Row) -> None:
    """Brings the available quantity of the reduced product up to date."""
    original_id = item.get("OriginalOrderItemId")
    table = org.table("OrderItem")
    old = table.rows.get(str(original_id))
    if old is not None:
        row = dict(old)
        derive_item(org, row)
        if row != old:
            row["LastModifiedDate"] = row["SystemModstamp"] = transaction.at
            transaction.put("OrderItem", table, str(original_id), row)


def before_item_delete(org: SalesforceOrg, row: Row) -> None:
    """Refuses to take a product off an activated order."""
    order = org.row("Order", str(row["OrderId"]))
    if order is not None and order["StatusCode"] == "Activated":
        raise SalesforceFault("ENTITY_IS_LOCKED", "The order is activated")


def total_of(org: SalesforceOrg, order_id: str) -> Decimal:
    """The sum of an order's products."""
    table = org.table("OrderItem")
    prices = (table.rows[found]["TotalPrice"] for found in table.live("OrderId", order_id))
    return sum((price for price in prices if isinstance(price, Decimal)), Decimal("0.00"))


def roll_up(org: SalesforceOrg, transaction: Transaction, order_id: str) -> None:
    """Brings the order's total up to date."""
    table = org.table("Order")
    old = table.rows.get(order_id)
    if old is None or old.get("IsDeleted"):
        return
    total = total_of(org, order_id)
    if total != old.get("TotalAmount"):
        row: Row = {**old, "TotalAmount": total}
        row["LastModifiedDate"] = row["SystemModstamp"] = transaction.at
        row["LastModifiedById"] = transaction.person.user_id
        transaction.put("Order", table, order_id, row)
