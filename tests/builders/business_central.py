"""Business Central records, valid by default; a test names only what matters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import (
    Contact,
    Customer,
    CustomerFinancialDetail,
    Item,
    SalesCreditMemo,
    SalesInvoice,
    SalesOrder,
    SalesShipment,
    parse,
)


def guid(number: int) -> str:
    """Return a GUID that is easy to recognise."""
    return f"00000000-0000-0000-0000-{number:012x}"


CUSTOMER_ID = guid(0xC1)
ITEM_ID = guid(0x11)
BC_ORDER_ID = guid(0x01)


def customer(**properties: Any) -> Customer:
    """Return a customer that was read in full, blank where nothing is said."""
    blank = dict.fromkeys(
        (
            "addressLine1", "addressLine2", "city", "state", "country", "postalCode",
            "phoneNumber", "email", "website", "taxRegistrationNumber", "currencyCode",
        ),
        "",
    )  # fmt: skip
    record = {
        "id": CUSTOMER_ID,
        "@odata.etag": 'W/"customer"',
        "number": "10000",
        "displayName": "Adatum Corporation",
        "type": "Company",
        "blocked": "_x0020_",
    }
    return parse(Customer, blank | record | properties)


def contact(**properties: Any) -> Contact:
    """Return a person contact that was read in full."""
    blank = dict.fromkeys(
        (
            "jobTitle", "companyNumber", "addressLine1", "addressLine2", "city", "state",
            "country", "postalCode", "phoneNumber", "mobilePhoneNumber", "email",
        ),
        "",
    )  # fmt: skip
    record = {
        "id": guid(0xD1),
        "@odata.etag": 'W/"contact"',
        "number": "003000000000001AAA",
        "type": "Person",
        "displayName": "Robert Townes",
    }
    return parse(Contact, blank | record | properties)


def item(**properties: Any) -> Item:
    """Return the item 1896-S."""
    record = {
        "id": ITEM_ID,
        "@odata.etag": 'W/"item"',
        "number": "1896-S",
        "displayName": "ATHENS Desk",
        "blocked": False,
        "unitPrice": Decimal("1000.80"),
        "priceIncludesTax": False,
        "baseUnitOfMeasureCode": "PCS",
    }
    return parse(Item, record | properties)


def line(number: int = 1, /, **properties: Any) -> dict[str, Any]:
    """Return a document line: two of the default item at 10.00."""
    record: dict[str, Any] = {
        "id": guid(0x1000 + number),
        "@odata.etag": f'W/"line{number}"',
        "sequence": number * 10000,
        "lineType": "Item",
        "itemId": ITEM_ID,
        "lineObjectNumber": "1896-S",
        "unitOfMeasureCode": "PCS",
        "quantity": Decimal(2),
        "unitPrice": Decimal("10.00"),
        "discountPercent": Decimal(0),
        "shippedQuantity": Decimal(0),
        "invoicedQuantity": Decimal(0),
    } | properties
    record.setdefault("netAmount", record["quantity"] * record["unitPrice"])
    return record


def _totals(lines: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    net = sum((each["netAmount"] for each in lines), Decimal(0))
    return {"totalAmountExcludingTax": net, "totalAmountIncludingTax": net}


def sales_order(*lines: dict[str, Any], **properties: Any) -> SalesOrder:
    """Return a draft order of the default customer with *lines* (one when none is given)."""
    lines = lines or (line(),)
    record = {
        "id": BC_ORDER_ID,
        "@odata.etag": 'W/"order"',
        "number": "S-ORD101001",
        "externalDocumentNumber": "00000102",
        "orderDate": "2026-03-01",
        "customerId": CUSTOMER_ID,
        "customerNumber": "10000",
        "customerName": "Adatum Corporation",
        "currencyCode": "USD",
        "status": "Draft",
        "fullyShipped": False,
        "salesOrderLines": list(lines),
    }
    return parse(SalesOrder, record | _totals(lines) | properties)


def invoice(number: int = 1, /, *lines: dict[str, Any], **properties: Any) -> SalesInvoice:
    """Return a posted, unpaid invoice of the default order over 20.00."""
    lines = lines or (line(),)
    totals = _totals(lines)
    record = {
        "id": guid(0x2000 + number),
        "@odata.etag": f'W/"invoice{number}"',
        "number": f"PS-INV{number:06d}",
        "externalDocumentNumber": "00000102",
        "postingDate": "2026-03-05",
        "invoiceDate": "2026-03-05",
        "dueDate": "2026-04-05",
        "customerId": CUSTOMER_ID,
        "customerNumber": "10000",
        "customerName": "Adatum Corporation",
        "currencyCode": "USD",
        "orderId": BC_ORDER_ID,
        "orderNumber": "S-ORD101001",
        "status": "Open",
        "remainingAmount": totals["totalAmountIncludingTax"],
        "salesInvoiceLines": list(lines),
    }
    return parse(SalesInvoice, record | totals | properties)


def shipment(number: int = 1, /, **properties: Any) -> SalesShipment:
    """Return a posted shipment of the default order."""
    record = {
        "id": guid(0x3000 + number),
        "number": f"S-SHPT{number:05d}",
        "externalDocumentNumber": "00000102",
        "customerId": CUSTOMER_ID,
        "orderNumber": "S-ORD101001",
    }
    return parse(SalesShipment, record | properties)


def credit_memo(number: int = 1, /, **properties: Any) -> SalesCreditMemo:
    """Return a posted credit memo of 5.00 applied to the first invoice."""
    record = {
        "id": guid(0x4000 + number),
        "number": f"PS-CR{number:06d}",
        "customerId": CUSTOMER_ID,
        "totalAmountExcludingTax": Decimal("5.00"),
        "totalAmountIncludingTax": Decimal("5.00"),
        "status": "Paid",
        "invoiceId": guid(0x2001),
        "invoiceNumber": "PS-INV000001",
    }
    return parse(SalesCreditMemo, record | properties)


def financial_detail(**properties: Any) -> CustomerFinancialDetail:
    """Return balance 100.00 of which 40.00 are overdue."""
    record = {
        "id": CUSTOMER_ID,
        "number": "10000",
        "balance": Decimal("100.00"),
        "overdueAmount": Decimal("40.00"),
    }
    return parse(CustomerFinancialDetail, record | properties)
