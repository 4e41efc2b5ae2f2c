"""What a clerk does in the company, outside the API."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central import services
from ml_connector.sandbox.business_central.company import ZERO, Actor, Company, is_blank
from ml_connector.sandbox.business_central.documents import (
    KINDS,
    lines_of,
    total_document,
)
from ml_connector.sandbox.business_central.entities import ENTITIES, encode_option
from ml_connector.sandbox.business_central.faults import Refusal
from ml_connector.sandbox.business_central.foundation import SALES
from ml_connector.sandbox.business_central.ledgers import (
    apply_credit,
    take_payment,
    unapply_payment,
)
from ml_connector.sandbox.business_central.masters import merge_customer, set_item_unit
from ml_connector.sandbox.business_central.posting import (
    ORDER,
    cancel_invoice,
    draft_corrective_memo,
    part_line,
    post_draft,
    post_order,
)
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.frame.admin import AdminError

Arguments = dict[str, Any]


def find(company: Company, entity: str, named: str) -> Row:
    """A record by id, number or code; an order also by its external document number."""
    table = company.table(entity)
    text = str(named)
    row = table.rows.get(text.lower())
    for field in ("number", "code", "externalDocumentNumber"):
        if row is None and table.indexed(field):
            row = table.first(field, text.strip().upper())
    if row is None:
        raise AdminError(f"{entity} has no {named}")
    return row


class Clerk:
    """A person at the company's desk; every method is an act."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def acts(self) -> dict[str, Callable[..., Any]]:
        """The acts by name."""
        return {
            name: getattr(self, name)
            for name in dir(self)
            if not name.startswith("_") and name not in ("acts", "do")
        }

    def do(self, name: str, arguments: Arguments) -> Any:
        """Carry out an act as the clerk, all or nothing."""
        act = self.acts().get(name)
        if act is None:
            raise AdminError(f"there is no act {name}; there are {sorted(self.acts())}")
        before = self._company.actor
        self._company.actor = Actor()
        try:
            with self._company.transaction():
                return act(**arguments)
        except Refusal as refusal:
            raise AdminError(f"{refusal.code}: {refusal.message}") from refusal
        finally:
            self._company.actor = before

    # -- orders -------------------------------------------------------------------------------

    def _set_quantities(
        self,
        order: Row,
        field: str,
        available: Callable[[Row], Decimal],
        share: Any,
        quantities: dict[str, Any] | None,
    ) -> None:
        """Set what the next posting handles: all, a share, or quantities by line sequence."""
        for line in lines_of(self._company, ORDER, order["id"]):
            if line["lineType"] == "Comment":
                continue
            wanted = available(line)
            if quantities is not None:
                wanted = Decimal(str(quantities.get(str(line["sequence"]), 0)))
            elif share is not None:
                part = line["quantity"] * Decimal(str(share))
                wanted = min(part.to_integral_value(rounding="ROUND_CEILING"), wanted)
            if line[field] != wanted:
                self._company.update("salesOrderLines", line, {field: wanted})

    def ship(
        self,
        order: str,
        share: Any = None,
        quantities: dict[str, Any] | None = None,
    ) -> Any:
        """Ship all, a share of each line, or quantities by line sequence."""
        row = find(self._company, "salesOrders", order)
        self._set_quantities(
            row, "shipQuantity", lambda line: line["quantity"] - line["shippedQuantity"],
            share, quantities,
        )  # fmt: skip
        return post_order(self._company, row, ship=True, invoice=False)

    def invoice(
        self,
        order: str,
        share: Any = None,
        quantities: dict[str, Any] | None = None,
    ) -> Any:
        """Invoice what was shipped: all, a share of each line, or quantities by sequence."""
        row = find(self._company, "salesOrders", order)
        self._set_quantities(
            row, "invoiceQuantity", lambda line: line["shippedQuantity"] - line["invoicedQuantity"],
            share, quantities,
        )  # fmt: skip
        return post_order(self._company, row, ship=False, invoice=True)

    def ship_and_invoice(
        self,
        order: str,
        share: Any = None,
        quantities: dict[str, Any] | None = None,
    ) -> Any:
        """Ship and invoice all, a share of each line, or quantities by line sequence."""
        row = find(self._company, "salesOrders", order)
        self._set_quantities(
            row, "shipQuantity", lambda line: line["quantity"] - line["shippedQuantity"],
            share, quantities,
        )  # fmt: skip
        shares = {
            line["id"]: line["shipQuantity"] + line["shippedQuantity"] - line["invoicedQuantity"]
            for line in lines_of(self._company, ORDER, row["id"])
        }
        self._set_quantities(row, "invoiceQuantity", lambda line: shares[line["id"]], None, None)
        return post_order(self._company, row, ship=True, invoice=True)

    def draft_invoice(
        self,
        order: str,
        share: Any = None,
        quantities: dict[str, Any] | None = None,
        link: bool = True,
        carry_order: bool = True,
        external_document_number: str | None = None,
        ship: bool = True,
    ) -> Any:
        """Make a draft invoice for an order, from what is shipped and not invoiced.

        What is not shipped yet is shipped first unless `ship` is false. With `link` the draft's
        posting counts on the order; `carry_order` shows the order's id and number on the draft;
        the external document number is the order's unless another is given.
        """
        company = self._company
        row = find(company, "salesOrders", order)
        if ship and link:
            lines = lines_of(company, ORDER, row["id"])
            if any(line["shippedQuantity"] == line["invoicedQuantity"] for line in lines):
                self._ship_for_draft(row, share, quantities)
        number = row["externalDocumentNumber"]
        body: Row = {
            "customerId": row["customerId"],
            "externalDocumentNumber": (
                number if external_document_number is None else external_document_number
            ),
            "currencyCode": row["currencyCode"] or company.identity.local_currency,
        }
        draft = services.create(company, "salesInvoices", body, None)
        values: Row = {"pricesIncludeTax": row["pricesIncludeTax"]}
        if carry_order:
            values |= {"orderId": row["id"], "orderNumber": row["number"]}
        company.update("salesInvoices", draft, values)
        self._copy_lines(row, draft, share, quantities, link=link)
        if not lines_of(company, KINDS["salesInvoices"], draft["id"]):
            raise AdminError(f"order {row['number']} has nothing to invoice")
        total_document(company, draft)
        return _said(draft)

    def _ship_for_draft(self, row: Row, share: Any, quantities: dict[str, Any] | None) -> None:
        before = row["status"]
        self._set_quantities(
            row, "shipQuantity", lambda line: line["quantity"] - line["shippedQuantity"],
            share, quantities,
        )  # fmt: skip
        if any(line["shipQuantity"] for line in lines_of(self._company, ORDER, row["id"])):
            post_order(self._company, row, ship=True, invoice=False)
        elif before != row["status"]:
            self._company.update("salesOrders", row, {"status": before})

    def _copy_lines(
        self,
        order: Row,
        draft: Row,
        share: Any,
        quantities: dict[str, Any] | None,
        *,
        link: bool,
    ) -> None:
        company = self._company
        discount = ZERO
        for line in lines_of(company, ORDER, order["id"]):
            free = line["shippedQuantity"] - line["invoicedQuantity"]
            if not link:
                free = line["quantity"] - line["invoicedQuantity"]
            if quantities is not None:
                free = Decimal(str(quantities.get(str(line["sequence"]), 0)))
            elif share is not None and not link:
                part = line["quantity"] * Decimal(str(share))
                free = min(part.to_integral_value(rounding="ROUND_CEILING"), free)
            if not free:
                continue
            copy = part_line(company, order, line, "salesInvoiceLines", draft["id"], free)
            discount += copy["invoiceDiscountAllocation"]
            copy["_order_line"] = line["id"] if link else ""
            company.insert("salesInvoiceLines", copy)
        if discount:
            company.update("salesInvoices", draft, {"_manual_discount": discount})

    def post(self, document: str, entity: str = "salesInvoices") -> Any:
        """Post a draft invoice, or with `entity` salesCreditMemos a draft credit memo."""
        row = find(self._company, entity, document)
        post_draft(self._company, row)
        return _said(row)

    def release_order(self, order: str) -> Any:
        """Release an order: its API status becomes Open."""
        return self._set_status(order, "Open")

    def reopen_order(self, order: str) -> Any:
        """Reopen an order: its API status becomes Draft."""
        return self._set_status(order, "Draft")

    def review_order(self, order: str) -> Any:
        """Send an order for approval: its API status becomes In Review."""
        return self._set_status(order, "In Review")

    def _set_status(self, order: str, status: str) -> Any:
        row = find(self._company, "salesOrders", order)
        self._company.update("salesOrders", row, {"status": encode_option(status)})
        return _said(row)

    def release_invoice(self, invoice: str) -> Any:
        """Release a draft invoice: unposted, yet its API status is Open."""
        row = find(self._company, "salesInvoices", invoice)
        if row["_posted"]:
            raise AdminError("the invoice is posted")
        self._company.update("salesInvoices", row, {"status": "Open"})
        return _said(row)

    def reopen_invoice(self, invoice: str) -> Any:
        """Take a released draft invoice back to Draft."""
        row = find(self._company, "salesInvoices", invoice)
        if row["_posted"]:
            raise AdminError("the invoice is posted")
        self._company.update("salesInvoices", row, {"status": "Draft"})
        return _said(row)

    def delete_order(self, order: str) -> Any:
        """Delete an order by hand."""
        row = find(self._company, "salesOrders", order)
        services.remove(self._company, "salesOrders", row)
        return {"deleted": row["number"]}

    def edit_order(self, order: str, fields: Row) -> Any:
        """Change header fields of an order."""
        row = find(self._company, "salesOrders", order)
        services.change(self._company, "salesOrders", row, fields)
        return _said(row)

    def edit_order_line(self, order: str, sequence: int, fields: Row) -> Any:
        """Change fields of an order's line."""
        row = find(self._company, "salesOrders", order)
        for line in lines_of(self._company, ORDER, row["id"]):
            if line["sequence"] == int(sequence):
                services.change(self._company, "salesOrderLines", line, fields)
                return _said(row)
        raise AdminError(f"order {row['number']} has no line {sequence}")

    def add_order_line(self, order: str, fields: Row) -> Any:
        """Add a line to an order."""
        row = find(self._company, "salesOrders", order)
        services.create(self._company, "salesOrderLines", fields, row)
        return _said(row)

    def delete_order_line(self, order: str, sequence: int) -> Any:
        """Delete a line of an order."""
        row = find(self._company, "salesOrders", order)
        for line in lines_of(self._company, ORDER, row["id"]):
            if line["sequence"] == int(sequence):
                services.remove(self._company, "salesOrderLines", line)
                return _said(row)
        raise AdminError(f"order {row['number']} has no line {sequence}")

    # -- money --------------------------------------------------------------------------------

    def pay(self, invoice: str, amount: Any = None, date: str | None = None) -> Any:
        """Take a payment for an invoice: all that is open, or an amount."""
        row = find(self._company, "salesInvoices", invoice)
        paid = None if amount is None else Decimal(str(amount))
        return take_payment(self._company, row, paid, date or self._company.today()) | {
            "invoice": row["number"],
            "status": row["status"],
        }

    def unapply(self, invoice: str, amount: Any) -> Any:
        """Take a payment back."""
        row = find(self._company, "salesInvoices", invoice)
        unapply_payment(self._company, row, Decimal(str(amount)))
        return _said(row)

    def credit(self, invoice: str, amount: Any = None, apply: bool = True) -> Any:
        """Post a credit memo over an invoice, all or an amount with tax, and apply it."""
        company = self._company
        row = find(company, "salesInvoices", invoice)
        body: Row = {
            "customerId": row["customerId"],
            "externalDocumentNumber": row["externalDocumentNumber"],
            "currencyCode": row["currencyCode"] or company.identity.local_currency,
        }
        if apply:
            body["invoiceId"] = row["id"]
        memo = services.create(company, "salesCreditMemos", body, None)
        if amount is None:
            self._credit_lines(row, memo)
        else:
            self._credit_amount(memo, Decimal(str(amount)))
        post_draft(company, memo)
        return _said(memo)

    def _credit_lines(self, invoice: Row, memo: Row) -> None:
        company = self._company
        discount = ZERO
        for line in lines_of(company, KINDS["salesInvoices"], invoice["id"]):
            copy = part_line(
                company, invoice, line, "salesCreditMemoLines", memo["id"], line["quantity"]
            )
            copy["_order_line"] = ""
            discount += copy["invoiceDiscountAllocation"]
            company.insert("salesCreditMemoLines", copy)
        if discount:
            company.update("salesCreditMemos", memo, {"_manual_discount": discount})

    def _credit_amount(self, memo: Row, amount: Decimal) -> None:
        """One line without tax, so that the memo is over exactly this amount."""
        line = {
            "lineType": "Account",
            "lineObjectNumber": SALES,
            "description": "Allowance",
            "taxCode": "NONTAXABLE",
            "quantity": 1,
            "unitPrice": amount,
        }
        services.create(self._company, "salesCreditMemoLines", line, memo)

    def apply_credit_memo(self, credit_memo: str, invoice: str, amount: Any = None) -> Any:
        """Apply a posted credit memo to an invoice."""
        memo = find(self._company, "salesCreditMemos", credit_memo)
        row = find(self._company, "salesInvoices", invoice)
        part = None if amount is None else Decimal(str(amount))
        applied = apply_credit(self._company, memo, row, part)
        return {"applied": applied, "invoice": row["number"], "status": row["status"]}

    def corrective_credit_memo(self, invoice: str, post: bool = False) -> Any:
        """Make a corrective credit memo over an invoice; a draft unless `post`."""
        row = find(self._company, "salesInvoices", invoice)
        memo = draft_corrective_memo(self._company, row)
        if post:
            post_draft(self._company, memo)
        return _said(memo)

    def cancel_invoice(self, invoice: str) -> Any:
        """Cancel a posted invoice."""
        row = find(self._company, "salesInvoices", invoice)
        memo = cancel_invoice(self._company, row)
        return {"invoice": row["number"], "status": row["status"], "credit_memo": memo["number"]}

    def post_payment_journal(self, journal: str) -> Any:
        """Post a customer payment journal: its lines become payments."""
        company = self._company
        row = find(company, "customerPaymentJournals", journal)
        posted = []
        for line in company.table("customerPayments").find("journalId", row["id"]):
            if is_blank(line["appliesToInvoiceId"]):
                raise AdminError(f"line {line['lineNumber']} applies to no invoice")
            invoice = company.table("salesInvoices").rows[line["appliesToInvoiceId"]]
            posted.append(take_payment(company, invoice, abs(line["amount"]), line["postingDate"]))
            company.delete("customerPayments", line)
        return posted

    # -- master data --------------------------------------------------------------------------

    def create(self, entity: str, fields: Row) -> Any:
        """Create a record of a set as a person would."""
        _known(entity)
        return _said(services.create(self._company, entity, fields, None))

    def edit(self, entity: str, record: str, fields: Row) -> Any:
        """Change a record of a set as a person would."""
        _known(entity)
        row = find(self._company, entity, record)
        services.change(self._company, entity, row, fields)
        return _said(row)

    def delete(self, entity: str, record: str) -> Any:
        """Delete a record of a set as a person would."""
        _known(entity)
        row = find(self._company, entity, record)
        services.remove(self._company, entity, row)
        return {"deleted": record}

    def create_customer(self, **fields: Any) -> Any:
        """Create a customer."""
        return self.create("customers", fields)

    def create_item(self, **fields: Any) -> Any:
        """Create an item."""
        return self.create("items", fields)

    def create_currency(self, code: str, exchange_rate: Any = 1, **fields: Any) -> Any:
        """Create a currency worth this much local money."""
        said = self.create("currencies", {"code": code, **fields})
        row = find(self._company, "currencies", code)
        self._company.update_silently("currencies", row, {"_rate": Decimal(str(exchange_rate))})
        return said

    def create_order(self, **fields: Any) -> Any:
        """Create a sales order, with lines when given."""
        return self.create("salesOrders", fields)

    def create_invoice(self, **fields: Any) -> Any:
        """Create a draft invoice by hand, with lines when given."""
        return self.create("salesInvoices", fields)

    def block_customer(self, customer: str, blocked: str = "All") -> Any:
        """Block a customer: Ship, Invoice or All."""
        return self.edit("customers", customer, {"blocked": blocked})

    def unblock_customer(self, customer: str) -> Any:
        """Take a customer's block away."""
        return self.edit("customers", customer, {"blocked": " "})

    def block_item(self, item: str) -> Any:
        """Block an item."""
        return self.edit("items", item, {"blocked": True})

    def unblock_item(self, item: str) -> Any:
        """Take an item's block away."""
        return self.edit("items", item, {"blocked": False})

    def set_credit_limit(self, customer: str, amount: Any) -> Any:
        """Set a customer's credit limit."""
        return self.edit("customers", customer, {"creditLimit": Decimal(str(amount))})

    def set_price(self, item: str, amount: Any) -> Any:
        """Set an item's unit price."""
        return self.edit("items", item, {"unitPrice": Decimal(str(amount))})

    def rename_customer(self, customer: str, number: str) -> Any:
        """Give a customer another number."""
        return self.edit("customers", customer, {"number": number})

    def merge_customers(self, winner: str, loser: str) -> Any:
        """Merge a duplicate into another customer, which takes over its documents and entries."""
        into = find(self._company, "customers", winner)
        row = find(self._company, "customers", loser)
        if row is into:
            raise AdminError("a customer is merged into another one")
        with self._company.transaction():
            merge_customer(self._company, row, into)
        return _said(into)

    def add_item_unit(self, item: str, code: str, quantity: Any) -> Any:
        """Give an item a further unit that holds this many base units."""
        row = find(self._company, "items", item)
        find(self._company, "unitsOfMeasure", code)
        set_item_unit(self._company, row, code.upper(), Decimal(str(quantity)))
        return _said(row)

    def remove_posting_groups(self, customer: str | None = None, item: str | None = None) -> Any:
        """Leave a customer or an item without posting groups."""
        if customer is not None:
            row = find(self._company, "customers", customer)
            self._company.update("customers", row, {"_group": ""})
        if item is not None:
            row = find(self._company, "items", item)
            self._company.update("items", row, {"generalProductPostingGroupCode": ""})
        return {}

    def set_next_number(self, series: str, number: str) -> Any:
        """Set the next number of a series."""
        if series not in self._company.series:
            raise AdminError(f"there is no series {series}; there are {[*self._company.series]}")
        self._company.series[series].next_number = number
        return {"series": series, "next": number}


def _known(entity: str) -> None:
    if entity not in ENTITIES or ENTITIES[entity].derived:
        raise AdminError(f"there is no set {entity}")


def _said(row: Row) -> Row:
    """What an act says of a record."""
    names = ("id", "number", "code", "status", "orderNumber", "totalAmountIncludingTax")
    return {name: row[name] for name in names if name in row}
