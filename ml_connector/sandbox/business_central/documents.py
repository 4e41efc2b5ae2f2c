"""Sales orders, draft invoices and draft credit memos: headers, totals, deletion."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central.company import (
    ZERO,
    Company,
    is_blank,
    wire_date,
)
from ml_connector.sandbox.business_central.date_formula import add_formula
from ml_connector.sandbox.business_central.entities import BLANK_DATE, BLANK_GUID
from ml_connector.sandbox.business_central.entry import (
    Validate,
    check_country,
    commit_entered,
    currency_rules,
    email,
    enter,
    only_id,
    phone,
)
from ml_connector.sandbox.business_central.faults import bad_request, business_rule, field_rule
from ml_connector.sandbox.business_central.masters import check_customer_groups, check_not_blocked
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets one kind of document apart."""

    entity: str
    lines: str
    date: str
    noun: str


KINDS: dict[str, Kind] = {
    kind.entity: kind
    for kind in (
        Kind("salesOrders", "salesOrderLines", "orderDate", "order"),
        Kind("salesInvoices", "salesInvoiceLines", "invoiceDate", "invoice"),
        Kind("salesCreditMemos", "salesCreditMemoLines", "creditMemoDate", "credit memo"),
    )
}

_ADDRESS = (
    ("AddressLine1", "addressLine1"),
    ("AddressLine2", "addressLine2"),
    ("City", "city"),
    ("Country", "country"),
    ("State", "state"),
    ("PostCode", "postalCode"),
)
_POSTED_CHANGES = {"dueDate", "promisedPayDate", "disputeStatus", "disputeStatusId"}


def lines_of(company: Company, kind: Kind, document_id: str) -> list[Row]:
    """The lines of a document in their sequence."""
    return company.table(kind.lines).find("documentId", document_id)


def set_customer(company: Company, row: Row, customer: Row) -> None:
    """Take over everything a document gets from its customer."""
    kind = KINDS[row["_kind"]]
    check_not_blocked(customer, kind.noun)
    check_customer_groups(customer)
    if row.get("_v") and customer["id"] != row["customerId"] and lines_of(company, kind, row["id"]):
        raise business_rule("The customer of a document with lines cannot be changed.")
    row["customerId"], row["customerNumber"] = customer["id"], customer["number"]
    row["customerName"] = customer["displayName"]
    for suffix, field in _ADDRESS:
        for part in ("sellTo", "billTo", "shipTo"):
            if part + suffix in row:
                row[part + suffix] = customer[field]
    if "shipToName" in row:
        row["shipToName"], row["shipToContact"] = customer["displayName"], ""
    _set_bill_to(row, customer)
    row["phoneNumber"], row["email"] = customer["phoneNumber"], customer["email"]
    row["currencyCode"], row["currencyId"] = customer["currencyCode"], customer["currencyId"]
    row["paymentTermsId"] = customer["paymentTermsId"]
    row["shipmentMethodId"] = customer["shipmentMethodId"]
    row["salesperson"] = customer["salespersonCode"]
    area = company.row("taxAreas", customer["taxAreaId"])
    percent = Decimal(area["_percent"]) if area is not None else ZERO
    sales_tax = area is not None and area["_sales_tax"]
    row["_tax_percent"] = percent if customer["taxLiable"] or not sales_tax else ZERO
    row["_sales_tax"] = sales_tax
    _set_due_date(company, row)


def _set_bill_to(row: Row, customer: Row) -> None:
    row["billToCustomerId"], row["billToCustomerNumber"] = customer["id"], customer["number"]
    row["billToName"] = customer["displayName"]
    for suffix, field in _ADDRESS:
        row["billTo" + suffix] = customer[field]


def due_date(company: Company, row: Row, start: str) -> str:
    """When a document of this date is due by its payment terms."""
    terms = company.row("paymentTerms", row["paymentTermsId"])
    if terms is None or start == BLANK_DATE:
        return start
    return add_formula(wire_date(start), terms["dueDateCalculation"]).isoformat()


def _set_due_date(company: Company, row: Row) -> None:
    if "dueDate" in row:
        row["dueDate"] = due_date(company, row, row[KINDS[row["_kind"]].date])


def _customer_rule(by: str) -> Validate:
    other = "customerNumber" if by == "id" else "customerId"

    def rule(company: Company, row: Row, value: str, seen: set[str]) -> None:
        table = company.table("customers")
        customer = table.first("id" if by == "id" else "number", value)
        if customer is None:
            raise business_rule("The sell-to customer cannot be found.")
        if other in seen and row["customerId"] != customer["id"]:
            raise business_rule("The sell-to customer values do not match to a specific Customer.")
        if row["customerId"] != customer["id"]:
            set_customer(company, row, customer)

    return rule


def _bill_to_rule(by: str) -> Validate:
    other = "billToCustomerNumber" if by == "id" else "billToCustomerId"

    def rule(company: Company, row: Row, value: str, seen: set[str]) -> None:
        if not value or value == BLANK_GUID:
            return
        customer = company.table("customers").first("id" if by == "id" else "number", value)
        if customer is None:
            raise business_rule("The bill-to customer cannot be found.")
        if other in seen and row["billToCustomerId"] != customer["id"]:
            raise business_rule("The bill-to customer values do not match to a specific Customer.")
        check_not_blocked(customer, KINDS[row["_kind"]].noun)
        check_customer_groups(customer)
        _set_bill_to(row, customer)

    return rule


def _document_date(name: str) -> Validate:
    def rule(company: Company, row: Row, value: str, seen: set[str]) -> None:
        row[name] = value
        if "dueDate" not in seen:
            _set_due_date(company, row)

    return rule


def _terms(company: Company, row: Row, value: str, seen: set[str]) -> None:
    only_id("paymentTerms", "paymentTermsId", "Payment Terms")(company, row, value, seen)
    if "dueDate" not in seen:
        _set_due_date(company, row)


def _country_of(field: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        check_country(company, field, value)
        row[field] = value

    return rule


def _salesperson(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    if value and company.by_code("salespeoplePurchasers", value) is None:
        raise business_rule(f"The salesperson {value} cannot be found.")
    row["salesperson"] = value


def _prices_include_tax(_company: Company, row: Row, value: bool, _seen: set[str]) -> None:
    if value and row["_sales_tax"]:
        raise business_rule("Prices cannot include tax where US sales tax applies.")
    row["pricesIncludeTax"] = value


def _discount(_company: Company, row: Row, value: Decimal, _seen: set[str]) -> None:
    if value < 0:
        raise field_rule("discountAmount must not be negative.")
    row["_manual_discount"] = value
    row["discountAmount"] = value


def _ignored(_company: Company, _row: Row, _value: Any, _seen: set[str]) -> None:
    """Writable on paper, without effect."""


def _refused_on_draft(field: str) -> Validate:
    def rule(_company: Company, row: Row, value: Any, _seen: set[str]) -> None:
        if not row.get("_posted"):
            raise business_rule(f"The {field} can be set on a posted invoice only.")
        row[field] = value

    return rule


def _invoice_rule(by: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        if not value or value == BLANK_GUID:
            row["invoiceId"], row["invoiceNumber"], row["_invoice"] = BLANK_GUID, "", BLANK_GUID
            return
        invoice = company.table("salesInvoices").first("id" if by == "id" else "number", value)
        if invoice is None or not invoice["_posted"]:
            raise business_rule('The "invoiceId" should be the ID of a posted invoice.')
        if not is_blank(row["customerId"]) and invoice["customerId"] != row["customerId"]:
            raise business_rule("The invoice belongs to another customer.")
        row["invoiceId"] = row["_invoice"] = invoice["id"]
        row["invoiceNumber"] = invoice["number"]

    return rule


def _reprice(_company: Company, row: Row) -> None:
    row["_reprice"] = True


_RULES: dict[str, Validate] = {
    "customerId": _customer_rule("id"),
    "customerNumber": _customer_rule("number"),
    "billToCustomerId": _bill_to_rule("id"),
    "billToCustomerNumber": _bill_to_rule("number"),
    "orderDate": _document_date("orderDate"),
    "invoiceDate": _document_date("invoiceDate"),
    "creditMemoDate": _document_date("creditMemoDate"),
    "paymentTermsId": _terms,
    "shipmentMethodId": only_id("shipmentMethods", "shipmentMethodId", "Shipment Method"),
    "sellToCountry": _country_of("sellToCountry"),
    "shipToCountry": _country_of("shipToCountry"),
    "billToCountry": _country_of("billToCountry"),
    "salesperson": _salesperson,
    "pricesIncludeTax": _prices_include_tax,
    "discountAmount": _discount,
    "fullyShipped": _ignored,
    "phoneNumber": phone("phoneNumber"),
    "email": email,
    "promisedPayDate": _refused_on_draft("promisedPayDate"),
    "disputeStatus": _refused_on_draft("disputeStatus"),
    "disputeStatusId": _refused_on_draft("disputeStatusId"),
    "invoiceId": _invoice_rule("id"),
    "invoiceNumber": _invoice_rule("number"),
    **currency_rules(_reprice),
}


def new_header(company: Company, entity: str) -> Row:
    """A header before anything is entered."""
    kind = KINDS[entity]
    row = company.blank_row(entity)
    today = company.today()
    row |= {
        kind.date: today,
        "postingDate": today,
        "status": "Draft",
        "_kind": entity,
        "_posted": False,
        "_tax_percent": ZERO,
        "_sales_tax": False,
        "_manual_discount": None,
        "_reprice": False,
        "_remaining": ZERO,
        "_invoice": BLANK_GUID,
    }
    if entity == "salesOrders":
        row["partialShipping"] = True
    if "dueDate" in row:
        row["dueDate"] = today
    return row


def create_header(company: Company, entity: str, entered: Entered) -> Row:
    """Insert a document without lines."""
    row = new_header(company, entity)
    enter(company, row, entered, _RULES)
    if is_blank(row["customerId"]):
        raise business_rule('A "customerNumber" or a "customerId" must be provided.')
    if row["billToCustomerId"] == row["customerId"]:
        for suffix, _ in _ADDRESS:
            row["billTo" + suffix] = row["sellTo" + suffix]
    row["_reprice"] = False
    row["number"] = company.take_number(entity)
    return company.insert(entity, row)


def check_open(row: Row) -> None:
    """Refuse a change of a document that is posted, released or under review."""
    kind = KINDS[row["_kind"]]
    if row["_posted"]:
        raise business_rule(f"The {kind.noun} has been posted and can no longer be modified.")
    if row["status"] != "Draft":
        raise field_rule(f"Status must be equal to 'Open' in Sales Header: No.={row['number']}.")


def change_header(
    company: Company, row: Row, entered: Entered, reprice: Callable[[Company, Row], None]
) -> None:
    """PATCH of a document header."""
    names = {field.name for field, _ in entered}
    if row["_posted"]:
        if row["_kind"] != "salesInvoices" or names - _POSTED_CHANGES:
            check_open(row)
    elif row["status"] != "Draft":
        check_open(row)
    work = dict(row)
    enter(company, work, entered, _RULES)
    due = work["_reprice"]
    work["_reprice"] = False
    commit_entered(company, row["_kind"], row, work)
    if row["_posted"]:
        return
    if due:
        reprice(company, row)
    total_document(company, row)


def delete_document(company: Company, row: Row) -> None:
    """Delete a draft with its lines."""
    kind = KINDS[row["_kind"]]
    if row["_posted"]:
        raise business_rule(f"A posted {kind.noun} cannot be deleted.")
    if row["status"] != "Draft":
        check_open(row)
    lines = lines_of(company, kind, row["id"])
    if row["_kind"] == "salesOrders" and any(
        line["shippedQuantity"] != line["invoicedQuantity"] for line in lines
    ):
        raise business_rule(f"Order {row['number']} has shipments that are not invoiced.")
    for line in lines:
        company.delete(kind.lines, line)
    company.delete(row["_kind"], row)


# -- totals ---------------------------------------------------------------------------------


def total_line(company: Company, header: Row, line: Row) -> None:
    """Fill the amounts of a line (a working copy) before the invoice discount."""

    def rounded(amount: Decimal) -> Decimal:
        return company.round_amount(amount, header["currencyCode"])

    gross = rounded(Decimal(line["quantity"]) * Decimal(line["unitPrice"]))
    if line["_discount_by"] == "amount":
        line["discountPercent"] = (
            (Decimal(line["discountAmount"]) * 100 / gross).quantize(Decimal("0.00001"))
            if gross
            else ZERO
        )
    else:
        line["discountAmount"] = rounded(gross * Decimal(line["discountPercent"]) / 100)
    amount = gross - Decimal(line["discountAmount"])
    if header["pricesIncludeTax"]:
        amount = rounded(amount / (1 + Decimal(line["taxPercent"]) / 100))
    line["amountExcludingTax"] = amount
    line["totalTaxAmount"] = rounded(amount * Decimal(line["taxPercent"]) / 100)
    line["amountIncludingTax"] = amount + line["totalTaxAmount"]


def total_document(company: Company, header: Row) -> None:
    """Spread the invoice discount, add up, and store what changed on lines and header."""
    kind = KINDS[header["_kind"]]
    lines = lines_of(company, kind, header["id"])
    works = [dict(line) for line in lines]
    for work in works:
        total_line(company, header, work)
    net = sum((work["amountExcludingTax"] for work in works), ZERO)
    wanted = header["_manual_discount"]
    discount = ZERO if wanted is None or not net else min(Decimal(wanted), net)
    _spread_discount(company, header, works, net, discount)
    for line, work in zip(lines, works, strict=True):
        changed = {name: value for name, value in work.items() if line[name] != value}
        if changed:
            company.update(kind.lines, line, changed)
    totals = document_totals(works)
    totals["discountAmount"] = discount
    if header["_kind"] == "salesOrders":
        goods = [work for work in works if work["lineType"] != "Comment"]
        totals["fullyShipped"] = bool(goods) and all(
            work["shippedQuantity"] == work["quantity"] for work in goods
        )
    company.update(header["_kind"], header, totals)


def _spread_discount(
    company: Company, header: Row, works: list[Row], net: Decimal, discount: Decimal
) -> None:
    left, net_left = discount, net
    for work in works:
        amount = work["amountExcludingTax"]
        share = ZERO
        if left and net_left:
            share = company.round_amount(left * amount / net_left, header["currencyCode"])
            left, net_left = left - share, net_left - amount
        work["invoiceDiscountAllocation"] = share
        work["netAmount"] = amount - share
        work["netTaxAmount"] = company.round_amount(
            work["netAmount"] * Decimal(work["taxPercent"]) / 100, header["currencyCode"]
        )
        work["netAmountIncludingTax"] = work["netAmount"] + work["netTaxAmount"]


def document_totals(lines: list[Row]) -> Row:
    """The header totals over lines."""
    net = sum((line["netAmount"] for line in lines), ZERO)
    tax = sum((line["netTaxAmount"] for line in lines), ZERO)
    return {
        "totalAmountExcludingTax": net,
        "totalTaxAmount": tax,
        "totalAmountIncludingTax": net + tax,
    }


def require_document(company: Company, entity: str, document_id: str) -> Row:
    """The header that a line names."""
    header = company.row(entity, document_id)
    if header is None:
        raise bad_request("The document of the line does not exist.")
    return header
