"""Salesforce records, valid by default; a test names only what matters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ml_connector.salesforce.models import (
    Account,
    Contact,
    Order,
    OrderItem,
    PricebookEntry,
    Product2,
    parse,
)

STAMP = "2026-03-01T08:00:00.000+0000"


def salesforce_id(prefix: str, number: int) -> str:
    """Return an 18-character id; ids without capitals in their first 15 end in AAA."""
    return f"{prefix}{number:012d}AAA"


ACCOUNT_ID = salesforce_id("001", 1)
PRODUCT_ID = salesforce_id("01t", 1)
ORDER_ID = salesforce_id("801", 1)


def account(**fields: Any) -> Account:
    """Return an Account by vendor field names."""
    record = {"Id": ACCOUNT_ID, "SystemModstamp": STAMP, "Name": "Adatum Corporation"}
    return parse(Account, record | fields)


def contact(**fields: Any) -> Contact:
    """Return a Contact of the default Account."""
    record = {
        "Id": salesforce_id("003", 1),
        "SystemModstamp": STAMP,
        "AccountId": ACCOUNT_ID,
        "FirstName": "Robert",
        "LastName": "Townes",
    }
    return parse(Contact, record | fields)


def product(**fields: Any) -> Product2:
    """Return an active Product2 with the code 1896-S."""
    record = {
        "Id": PRODUCT_ID,
        "SystemModstamp": STAMP,
        "Name": "ATHENS Desk",
        "ProductCode": "1896-S",
        "IsActive": True,
    }
    return parse(Product2, record | fields)


def price_entry(**fields: Any) -> PricebookEntry:
    """Return a PricebookEntry of the default product."""
    record = {
        "Id": salesforce_id("01u", 1),
        "SystemModstamp": STAMP,
        "Product2Id": PRODUCT_ID,
        "Pricebook2Id": salesforce_id("01s", 1),
        "UnitPrice": Decimal("1000.80"),
        "IsActive": True,
    }
    return parse(PricebookEntry, record | fields)


def order_item(number: int = 1, /, **fields: Any) -> OrderItem:
    """Return line *number*: two of the default product at 10.00."""
    record: dict[str, Any] = {
        "Id": salesforce_id("802", number),
        "SystemModstamp": STAMP,
        "OrderItemNumber": f"{number:010d}",
        "Product2Id": PRODUCT_ID,
        "Quantity": Decimal(2),
        "UnitPrice": Decimal("10.00"),
    } | fields
    if "TotalPrice" not in record and record["UnitPrice"] is not None:
        record["TotalPrice"] = record["Quantity"] * record["UnitPrice"]
    return parse(OrderItem, record)


def order(*items: OrderItem, **fields: Any) -> Order:
    """Return an activated Order with *items* (one default line when none is given)."""
    lines = items if items or "OrderItems" in fields else (order_item(),)
    record: dict[str, Any] = {
        "Id": ORDER_ID,
        "SystemModstamp": STAMP,
        "OrderNumber": "00000102",
        "AccountId": ACCOUNT_ID,
        "Status": "Activated",
        "StatusCode": "Activated",
        "EffectiveDate": "2026-03-01",
        "TotalAmount": sum((line.total_price or Decimal(0) for line in lines), Decimal(0)),
    }
    return parse(Order, {**record, "OrderItems": lines, **fields})
