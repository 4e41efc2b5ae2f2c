"""Do both sides agree? Read from the vendors' APIs alone, without the connector's ledger.

Every closed Salesforce Order is looked up in Business Central by its number, and what both say is
compared: how many sales orders there are, their lines, their net totals, and for what is invoiced
the amounts that Salesforce shows. Orders that Salesforce shows as parked, waiting or excluded, and
that Business Central does not have, are explained and no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.domain.identifiers import folded
from ml_connector.salesforce.client import SalesforceClient

_ZERO = Decimal(0)

_ORDER_FIELDS = (
    "Id", "OrderNumber", "TotalAmount", "BC_Order_Id__c", "BC_Order_Number__c",
    "BC_Invoiced_Amount__c", "BC_Open_Amount__c", "BC_Sync_Status__c", "BC_Sync_Message__c",
)  # fmt: skip

_UNPOSTED = ("Draft", "In Review")


@dataclass(slots=True)
class Money:
    """What both sides say about one currency."""

    salesforce: Decimal = _ZERO
    business_central: Decimal = _ZERO
    invoiced_shown: Decimal = _ZERO
    invoiced: Decimal = _ZERO
    open_shown: Decimal = _ZERO
    open: Decimal = _ZERO


@dataclass(slots=True)
class Agreement:
    """The comparison: pairs, what is explained, money by currency, and every difference."""

    orders: int = 0
    pairs: int = 0
    explained: list[str] = field(default_factory=list)
    customers: int = 0
    items: int = 0
    money: dict[str, Money] = field(default_factory=lambda: defaultdict(Money))
    differences: list[str] = field(default_factory=list)


def compare_sides(
    salesforce: SalesforceClient,
    business_central: BusinessCentralClient,
    *,
    org_currency: str,
    local_currency: str,
) -> Agreement:
    """Return how far both sides agree, as they are now.

    Source: only GET requests and queries; nothing is written and no ledger is read.
    """
    found = Agreement()
    multi = salesforce.describe("Order").has("CurrencyIsoCode")
    books = _Books(business_central)
    orders = _closed_orders(salesforce, multi=multi)
    for order in orders:
        currency = str(order.get("CurrencyIsoCode") or org_currency)
        _compare_order(found, order, books, currency)
    known = {folded(order["OrderNumber"]) for order in orders}
    for reference, twins in books.orders.items():
        if reference and reference not in known:
            found.differences.append(
                f"sales order {twins[0]['number']} names {reference}, no closed Salesforce order"
            )
    _compare_currencies(found, books, orders, local_currency)
    _compare_links(found, salesforce, business_central)
    return found


class _Books:
    """The documents of the BC company by their external document number."""

    def __init__(self, client: BusinessCentralClient) -> None:
        self.orders: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.invoices: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.credits: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in client.rows("salesOrders", expand="salesOrderLines"):
            self.orders[folded(row["externalDocumentNumber"])].append(row)
        for row in client.rows("salesInvoices"):
            if _plain(row["status"]) not in _UNPOSTED:
                self.invoices[folded(row["externalDocumentNumber"])].append(row)
        for row in client.rows("salesCreditMemos"):
            if _plain(row["status"]) not in _UNPOSTED:
                self.credits[str(row.get("invoiceId") or "").lower()].append(row)


def _plain(status: str) -> str:
    return status.replace("_x0020_", " ")


def _closed_orders(client: SalesforceClient, *, multi: bool) -> list[dict[str, Any]]:
    fields = [*_ORDER_FIELDS, *(["CurrencyIsoCode"] if multi else [])]
    condition = "StatusCode = 'Activated' AND IsReductionOrder = false"
    soql = (
        f"SELECT {', '.join(fields)}, (SELECT Id, TotalPrice FROM OrderItems) FROM Order"  # noqa: S608
        f" WHERE {condition} ORDER BY OrderNumber"
    )
    rows = [row for page in client.query(soql) for row in page]
    return [row for row in rows if _lines(row)]


def _lines(order: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    children = order.get("OrderItems")
    if isinstance(children, Mapping):
        return list(children.get("records") or ())
    return list(children or ())


def _compare_order(
    found: Agreement, order: Mapping[str, Any], books: _Books, currency: str
) -> None:
    number = str(order["OrderNumber"])
    found.orders += 1
    twins = books.orders.get(folded(number), [])
    invoices = books.invoices.get(folded(number), [])
    live = [invoice for invoice in invoices if _plain(invoice["status"]) != "Canceled"]
    if len(twins) > 1:
        found.differences.append(f"order {number}: Business Central has {len(twins)} sales orders")
        return
    if not twins and not invoices:
        if order["BC_Sync_Status__c"] in ("Parked", "Waiting", "Excluded"):
            found.explained.append(f"{number} {order['BC_Sync_Status__c']}")
        else:
            found.differences.append(f"order {number}: Business Central does not have it")
        return
    found.pairs += 1
    money = found.money[currency]
    net = _net(twins, live)
    total = order["TotalAmount"] or _ZERO
    money.salesforce += total
    money.business_central += net
    if net != total:
        found.differences.append(f"order {number}: net {total} in Salesforce, {net} in BC")
    if twins:
        _compare_head(found, order, twins[0])
    _compare_invoiced(found, order, live, books, money)


def _net(twins: Sequence[Mapping[str, Any]], live: Sequence[Mapping[str, Any]]) -> Decimal:
    """Return the net of the sales order, or of its invoices once it is gone."""
    documents = twins or live
    return sum((row["totalAmountExcludingTax"] for row in documents), _ZERO)


def _compare_head(found: Agreement, order: Mapping[str, Any], twin: Mapping[str, Any]) -> None:
    number = order["OrderNumber"]
    lines, bc_lines = len(_lines(order)), len(twin["salesOrderLines"])
    if lines != bc_lines:
        found.differences.append(f"order {number}: {lines} lines in Salesforce, {bc_lines} in BC")
    if order["BC_Order_Number__c"] != twin["number"]:
        shown = order["BC_Order_Number__c"]
        found.differences.append(f"order {number}: shows {shown}, is {twin['number']}")


def _compare_invoiced(
    found: Agreement,
    order: Mapping[str, Any],
    live: Sequence[Mapping[str, Any]],
    books: _Books,
    money: Money,
) -> None:
    number = order["OrderNumber"]
    memos = [
        memo
        for invoice in live
        for memo in books.credits.get(str(invoice["id"]).lower(), [])
        if _plain(memo["status"]) != "Corrective"
    ]
    invoiced = sum((row["totalAmountIncludingTax"] for row in live), _ZERO)
    invoiced -= sum((memo["totalAmountIncludingTax"] for memo in memos), _ZERO)
    left = sum((row["remainingAmount"] for row in live), _ZERO)
    shown = order["BC_Invoiced_Amount__c"] or _ZERO
    shown_open = order["BC_Open_Amount__c"] or _ZERO
    money.invoiced += invoiced
    money.invoiced_shown += shown
    money.open += left
    money.open_shown += shown_open
    if shown != invoiced:
        found.differences.append(f"order {number}: shows {shown} invoiced, BC says {invoiced}")
    if shown_open != left:
        found.differences.append(f"order {number}: shows {shown_open} open, BC says {left}")


def _compare_currencies(
    found: Agreement, books: _Books, orders: Sequence[Mapping[str, Any]], local_currency: str
) -> None:
    for order in orders:
        wanted = order.get("CurrencyIsoCode")
        for twin in books.orders.get(folded(order["OrderNumber"]), []) if wanted else []:
            actual = twin["currencyCode"] or local_currency
            if actual != wanted:
                found.differences.append(f"order {order['OrderNumber']}: {wanted}, in BC {actual}")


def _compare_links(
    found: Agreement, salesforce: SalesforceClient, business_central: BusinessCentralClient
) -> None:
    """Every customer and item that Salesforce shows must exist under that number."""
    found.customers = _compare_numbers(
        found,
        salesforce,
        {row["id"].lower(): row["number"] for row in business_central.rows("customers")},
        ("Account", "BC_Customer_Id__c", "BC_Customer_Number__c"),
    )
    found.items = _compare_numbers(
        found,
        salesforce,
        {row["id"].lower(): row["number"] for row in business_central.rows("items")},
        ("Product2", "BC_Item_Id__c", "BC_Item_Number__c"),
    )


def _compare_numbers(
    found: Agreement,
    salesforce: SalesforceClient,
    numbers: Mapping[str, str],
    names: tuple[str, str, str],
) -> int:
    sobject, id_field, number_field = names
    soql = f"SELECT Id, {id_field}, {number_field} FROM {sobject} WHERE {id_field} != null"  # noqa: S608
    pairs = 0
    for page in salesforce.query(soql):
        for row in page:
            pairs += 1
            actual = numbers.get(str(row[id_field]).lower())
            if actual != row[number_field]:
                shown = row[number_field]
                found.differences.append(
                    f"{sobject} {row['Id']}: shows {shown}, BC has {actual or 'nothing'}"
                )
    return pairs
