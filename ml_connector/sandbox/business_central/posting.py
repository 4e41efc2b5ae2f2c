"""Posting: shipments, invoices and credit memos, and the checks before."""

from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central.company import ZERO, Company, is_blank
from ml_connector.sandbox.business_central.documents import (
    KINDS,
    document_totals,
    due_date,
    lines_of,
    total_document,
    total_line,
)
from ml_connector.sandbox.business_central.entities import ENTITIES
from ml_connector.sandbox.business_central.faults import (
    Refusal,
    business_rule,
    field_rule,
)
from ml_connector.sandbox.business_central.ledgers import (
    apply_credit,
    entry_of,
    post_document_entries,
    set_remaining,
)
from ml_connector.sandbox.business_central.masters import (
    check_customer_groups,
    check_item_groups,
    check_not_blocked,
    item_unit,
)
from ml_connector.sandbox.business_central.tables import Row

ORDER, INVOICE, MEMO = KINDS["salesOrders"], KINDS["salesInvoices"], KINDS["salesCreditMemos"]


def check_posting(company: Company, document: Row, *, ships: bool = False) -> Row:
    """What every posting checks; returns the customer."""
    switches = company.switches
    kind = KINDS[document["_kind"]]
    customer = company.table("customers").rows[document["customerId"]]
    if kind is not MEMO:
        check_not_blocked(customer, "invoice", posting=True)
    if ships:
        check_not_blocked(customer, "ship", posting=True)
    if customer["blocked"] == "All":
        check_not_blocked(customer, "credit memo", posting=True)
    check_customer_groups(customer)
    if switches["posting_setup_missing"]:
        raise field_rule("General Posting Setup has no account for this combination.")
    day = document["postingDate"]
    first, last = switches["posting_allowed_from"], switches["posting_allowed_to"]
    if (first and day < first) or (last and day > last):
        raise business_rule("Posting Date is not within your range of allowed posting dates.")
    if switches["external_document_number_mandatory"] and not document["externalDocumentNumber"]:
        raise field_rule(
            f"External Document No. must have a value in Sales Header: No.={document['number']}."
        )
    return customer


def _ask_nothing(goods: list[Row]) -> None:
    """A line without quantity makes posting ask a question, which nobody here can answer."""
    if not all(line["quantity"] for line in goods):
        raise Refusal(
            400,
            "Application_CallbackNotAllowed",
            "A line has no quantity; posting would ask whether to go on.",
        )


def _fail_late(company: Company, document: Row, committed: Row) -> None:
    """With the switch, a posting fails after it has committed a change of the document."""
    if company.switches["posting_fails_late"]:
        company.update(document["_kind"], document, committed)
        company.commit_point()
        raise business_rule("The posting failed after it had begun.")


def check_line(company: Company, line: Row) -> None:
    """What posting checks of a line with an object."""
    if line["lineType"] != "Item":
        return
    item = company.table("items").rows[line["itemId"]]
    if item["blocked"]:
        raise field_rule(f"Blocked must be equal to 'No' in Item: No.={item['number']}.")
    check_item_groups(item)


def move_stock(company: Company, line: Row, quantity: Decimal) -> None:
    """Take goods out of stock (or, negative, put them back)."""
    if line["lineType"] != "Item" or not quantity:
        return
    item = company.table("items").rows[line["itemId"]]
    unit = item_unit(company, item, line["unitOfMeasureCode"])
    base = quantity * (Decimal(unit["quantity"]) if unit is not None else 1)
    left = item["inventory"] - base
    if item["type"] == "Inventory":
        if left < 0 and base > 0 and company.switches["prevent_negative_inventory"]:
            raise business_rule(
                f"You have insufficient quantity of Item {item['number']} on inventory."
            )
        company.update_silently("items", item, {"inventory": left})
    if not item["_entries"]:
        company.update_silently("items", item, {"_entries": True})


def post_order(company: Company, order: Row, *, ship: bool, invoice: bool) -> dict[str, Any]:
    """Post what the lines say is to be shipped and invoiced; what came of it."""
    lines = lines_of(company, ORDER, order["id"])
    goods = [line for line in lines if line["lineType"] != "Comment"]
    if not goods:
        raise business_rule("Please add at least one line item to the estimate.")
    shipping = {line["id"]: line["shipQuantity"] if ship else ZERO for line in goods}
    invoicing = {}
    for line in goods:
        shipped = line["shippedQuantity"] + shipping[line["id"]]
        free = shipped - line["invoicedQuantity"]
        wanted = line["invoiceQuantity"] if invoice else ZERO
        invoicing[line["id"]] = wanted if abs(wanted) <= abs(free) else free
    if not any(shipping.values()) and not any(invoicing.values()):
        raise business_rule(
            "There is nothing to post because the document does not contain a quantity or amount."
        )
    _ask_nothing(goods)
    ships = any(shipping.values())
    check_posting(company, order, ships=ships)
    for line in goods:
        if shipping[line["id"]] or invoicing[line["id"]]:
            check_line(company, line)
    if (
        ships
        and not order["partialShipping"]
        and any(
            line["shippedQuantity"] + shipping[line["id"]] != line["quantity"] for line in goods
        )
    ):
        raise business_rule("This document must be shipped completely.")
    _fail_late(company, order, {"status": "Open"})
    result: dict[str, Any] = {"order": order["number"], "shipment": None, "invoice": None}
    if ships:
        for line in goods:
            move_stock(company, line, shipping[line["id"]])
        result["shipment"] = _post_shipment(company, order, lines, shipping)["number"]
    posted = None
    if any(invoicing.values()):
        posted = _invoice_order(company, order, lines, invoicing)
        result["invoice"] = posted["number"]
    for line in goods:
        _advance(company, line, shipping[line["id"]], invoicing[line["id"]])
    result["order_gone"] = settle_order(company, order)
    return result


def _advance(company: Company, line: Row, shipped: Decimal, invoiced: Decimal) -> None:
    shipped_all = line["shippedQuantity"] + shipped
    invoiced_all = line["invoicedQuantity"] + invoiced
    values = {
        "shippedQuantity": shipped_all,
        "invoicedQuantity": invoiced_all,
        "shipQuantity": line["quantity"] - shipped_all,
        "invoiceQuantity": line["quantity"] - invoiced_all,
    }
    if any(line[name] != value for name, value in values.items()):
        company.update("salesOrderLines", line, values)


def settle_order(company: Company, order: Row) -> bool:
    """Let a fully invoiced order vanish; release one that is partly posted. Says if it is gone."""
    lines = lines_of(company, ORDER, order["id"])
    goods = [line for line in lines if line["lineType"] != "Comment"]
    done = all(
        line["shippedQuantity"] == line["quantity"] == line["invoicedQuantity"] for line in goods
    )
    if done:
        for line in lines:
            company.delete("salesOrderLines", line)
        company.delete("salesOrders", order)
        return True
    shipped = all(line["shippedQuantity"] == line["quantity"] for line in goods)
    company.update("salesOrders", order, {"status": "Open", "fullyShipped": shipped})
    return False


def _post_shipment(
    company: Company, order: Row, lines: list[Row], shipping: dict[str, Decimal]
) -> Row:
    row = company.blank_row("salesShipments")
    for name in row:
        if name in order and name not in ("id", "number", "lastModifiedDateTime"):
            row[name] = order[name]
    terms = company.row("paymentTerms", order["paymentTermsId"])
    method = company.row("shipmentMethods", order["shipmentMethodId"])
    row |= {
        "number": company.take_number("postedShipments"),
        "invoiceDate": order["orderDate"],
        "dueDate": order["orderDate"],
        "currencyCode": order["currencyCode"],
        "orderNumber": order["number"],
        "paymentTermsCode": terms["code"] if terms is not None else "",
        "shipmentMethodCode": method["code"] if method is not None else "",
        "_order": order["id"],
    }
    company.insert("salesShipments", row)
    fields = ENTITIES["salesShipmentLines"].fields
    for line in lines:
        quantity = shipping.get(line["id"], ZERO)
        if not quantity and line["lineType"] != "Comment":
            continue
        copy = company.blank_row("salesShipmentLines")
        copy |= {name: line[name] for name in fields if name in line and name != "id"}
        copy |= {"documentId": row["id"], "documentNo": row["number"], "quantity": quantity}
        company.insert("salesShipmentLines", copy)
    return row


def _invoice_order(
    company: Company, order: Row, lines: list[Row], invoicing: dict[str, Decimal]
) -> Row:
    """A posted invoice over part of an order."""
    invoice = company.blank_row("salesInvoices")
    for name in invoice:
        if name in order and name not in ("id", "number", "lastModifiedDateTime"):
            invoice[name] = order[name]
    invoice |= {name: value for name, value in order.items() if name.startswith("_")}
    invoice |= {
        "_kind": "salesInvoices",
        "_posted": True,
        "_manual_discount": None,
        "invoiceDate": order["orderDate"],
        "orderId": order["id"],
        "orderNumber": order["number"],
        "number": company.take_number("postedInvoices"),
        "status": "Open",
    }
    invoice["dueDate"] = due_date(company, invoice, invoice["invoiceDate"])
    copies = []
    for line in lines:
        quantity = invoicing.get(line["id"], ZERO)
        if not quantity and line["lineType"] != "Comment":
            continue
        copies.append(part_line(company, order, line, "salesInvoiceLines", invoice["id"], quantity))
    return _finish_posting(company, invoice, copies, "Invoice")


def part_line(
    company: Company, header: Row, line: Row, lines: str, document_id: str, quantity: Decimal
) -> Row:
    """A copy of a line over part of its quantity, with its share of the invoice discount."""
    copy = company.blank_row(lines)
    copy |= {name: line[name] for name in copy if name in line and name != "id"}
    copy |= {
        "documentId": document_id,
        "_lines": lines,
        "_discount_by": "percent",
        "_priced": True,
        "_order_line": line["id"],
        "quantity": quantity,
    }
    total_line(company, header, copy)
    share = ZERO
    if line["quantity"] and line["invoiceDiscountAllocation"]:
        share = company.round_amount(
            line["invoiceDiscountAllocation"] * quantity / line["quantity"], header["currencyCode"]
        )
    copy["invoiceDiscountAllocation"] = share
    copy["netAmount"] = copy["amountExcludingTax"] - share
    copy["netTaxAmount"] = company.round_amount(
        copy["netAmount"] * Decimal(copy["taxPercent"]) / 100, header["currencyCode"]
    )
    copy["netAmountIncludingTax"] = copy["netAmount"] + copy["netTaxAmount"]
    return copy


def _finish_posting(company: Company, document: Row, lines: list[Row], kind: str) -> Row:
    """Insert a posted document with its lines and make the entries."""
    entity = document["_kind"]
    document |= document_totals(lines)
    document["discountAmount"] = sum((line["invoiceDiscountAllocation"] for line in lines), ZERO)
    if document["totalAmountIncludingTax"] < 0:
        raise business_rule("The total amount of the document must be 0 or greater.")
    document["_remaining"] = document["totalAmountIncludingTax"]
    if not document["_remaining"]:
        document["status"] = "Paid"
    company.insert(entity, document)
    for line in lines:
        company.insert(KINDS[entity].lines, line)
    post_document_entries(company, document, kind)
    return document


def post_draft(company: Company, draft: Row) -> None:
    """Post a draft invoice or credit memo: the id stays, the number changes."""
    kind = KINDS[draft["_kind"]]
    if draft["_posted"]:
        raise business_rule(f"The action can be applied to a draft {kind.noun} only.")
    lines = lines_of(company, kind, draft["id"])
    goods = [line for line in lines if line["lineType"] != "Comment"]
    if not goods:
        raise business_rule(f"Please add at least one line item to the {kind.noun}.")
    if not any(line["quantity"] for line in goods):
        raise business_rule(
            "There is nothing to post because the document does not contain a quantity or amount."
        )
    _ask_nothing(goods)
    linked = any(line["_order_line"] for line in goods)
    check_posting(company, draft, ships=kind is INVOICE and not linked)
    total_document(company, draft)
    if draft["totalAmountIncludingTax"] < 0:
        raise business_rule("The total amount of the document must be 0 or greater.")
    orders: dict[str, Row] = {}
    for line in goods:
        check_line(company, line)
        if line["_order_line"] and kind is INVOICE:
            _advance_order(company, line, orders)
        elif kind is INVOICE:
            move_stock(company, line, line["quantity"])
        else:
            move_stock(company, line, -line["quantity"])
    _fail_late(company, draft, {})
    posted = {
        "_posted": True,
        "number": company.take_number("postedInvoices" if kind is INVOICE else "postedCreditMemos"),
        "status": "Open" if draft["totalAmountIncludingTax"] else "Paid",
        "_remaining": draft["totalAmountIncludingTax"],
    }
    if len(orders) == 1 and company.switches["draft_posting_fills_order"]:
        order = next(iter(orders.values()))
        posted |= {"orderId": order["id"], "orderNumber": order["number"]}
    company.update(draft["_kind"], draft, posted)
    for line in lines:
        _renew_line(company, kind.lines, line)
    post_document_entries(company, draft, "Invoice" if kind is INVOICE else "Credit Memo")
    if kind is MEMO and not is_blank(draft["_invoice"]):
        invoice = company.row("salesInvoices", draft["_invoice"])
        if invoice is not None:
            apply_credit(company, draft, invoice)
    if company.switches["drafts_close_orders"]:
        for order in orders.values():
            settle_order(company, order)
    company.commit_point()


def _renew_line(company: Company, lines: str, line: Row) -> None:
    """Posted lines have ids of their own."""
    company.delete(lines, line)
    company.insert(lines, {**line, "id": company.new_id()})


def _advance_order(company: Company, line: Row, orders: dict[str, Row]) -> None:
    """Raise what is invoiced of the order line a draft's line came from."""
    source = company.row("salesOrderLines", line["_order_line"])
    if source is None:
        raise business_rule("The shipment line of this invoice line is gone.")
    if source["invoicedQuantity"] + line["quantity"] > source["shippedQuantity"]:
        raise business_rule("The quantity exceeds what was shipped and is not invoiced.")
    order = company.table("salesOrders").rows[source["documentId"]]
    orders[order["id"]] = order
    _advance(company, source, ZERO, line["quantity"])


def check_can_be_cancelled(company: Company, invoice: Row) -> None:
    """The guards of a cancellation."""
    if not invoice["_posted"]:
        raise business_rule("The action can be applied to a posted invoice only.")
    if invoice["status"] == "Canceled":
        raise business_rule("The invoice cannot be canceled because it has already been canceled.")
    if invoice["status"] == "Corrective":
        raise business_rule("The document is corrective and cannot be canceled.")
    entry = entry_of(company, invoice["id"])
    if entry is None or entry["remaining"] != entry["amount"]:
        raise business_rule(
            "You cannot cancel this posted sales document because it is fully or partially paid."
        )


def cancel_invoice(company: Company, invoice: Row) -> Row:
    """Cancel a posted invoice by a posted corrective credit memo, which is returned."""
    check_can_be_cancelled(company, invoice)
    check_posting(company, invoice)
    memo = _memo_of(company, invoice)
    lines = lines_of(company, INVOICE, invoice["id"])
    copies = [
        part_line(company, invoice, line, "salesCreditMemoLines", memo["id"], line["quantity"])
        for line in lines
    ]
    for line, copy in zip(lines, copies, strict=True):
        copy["_order_line"] = ""
        move_stock(company, line, -line["quantity"])
        _take_back(company, line)
    memo |= {
        "_posted": True,
        "number": company.take_number("postedCreditMemos"),
        "status": "Corrective",
    }
    _finish_posting(company, memo, copies, "Credit Memo")
    if memo["status"] != "Corrective":
        company.update("salesCreditMemos", memo, {"status": "Corrective"})
    debt, credit = entry_of(company, invoice["id"]), entry_of(company, memo["id"])
    company.update("salesInvoices", invoice, {"status": "Canceled"})
    if debt is not None and credit is not None:
        set_remaining(company, debt, ZERO)
        set_remaining(company, credit, ZERO)
    company.commit_point()
    return memo


def _take_back(company: Company, line: Row) -> None:
    """A cancelled invoice gives its quantities back to the order, when that is still there."""
    source = company.row("salesOrderLines", line["_order_line"]) if line["_order_line"] else None
    if source is not None:
        _advance(company, source, -line["quantity"], -line["quantity"])


def cancel_memo(company: Company, memo: Row) -> None:
    """Cancel a posted credit memo that is still open."""
    if not memo["_posted"]:
        raise business_rule("The action can be applied to a posted credit memo only.")
    if memo["status"] in ("Canceled", "Corrective"):
        raise business_rule("The credit memo has already been canceled or is corrective.")
    entry = entry_of(company, memo["id"])
    if entry is None or entry["remaining"] != entry["amount"]:
        raise business_rule("You cannot cancel this credit memo because it is applied.")
    company.update("salesCreditMemos", memo, {"status": "Canceled"})
    set_remaining(company, entry, ZERO)
    company.commit_point()


def _memo_of(company: Company, invoice: Row) -> Row:
    """A credit memo header over an invoice, not yet inserted."""
    memo = company.blank_row("salesCreditMemos")
    for name in memo:
        if name in invoice and name not in ("id", "number", "lastModifiedDateTime"):
            memo[name] = invoice[name]
    memo |= {name: value for name, value in invoice.items() if name.startswith("_")}
    today = company.today()
    memo |= {
        "_kind": "salesCreditMemos",
        "_posted": False,
        "_invoice": invoice["id"],
        "invoiceId": invoice["id"],
        "invoiceNumber": invoice["number"],
        "creditMemoDate": today,
        "postingDate": today,
        "dueDate": today,
        "status": "Draft",
        "_manual_discount": invoice["discountAmount"] or None,
    }
    memo.pop("_v", None)
    return memo


def draft_corrective_memo(company: Company, invoice: Row) -> Row:
    """Leave a draft credit memo over the whole of a posted, unpaid invoice."""
    if not invoice["_posted"]:
        raise business_rule("The action can be applied to a posted invoice only.")
    entry = entry_of(company, invoice["id"])
    if invoice["status"] in ("Canceled", "Corrective") or entry is None or not entry["remaining"]:
        raise business_rule(
            "The invoice is closed. The corrective credit memo will not be applied to the invoice."
        )
    if entry["remaining"] != entry["amount"]:
        raise business_rule(
            "The invoice is partially paid or credited. The corrective credit memo may not be "
            "fully closed by the invoice."
        )
    memo = _memo_of(company, invoice)
    memo["number"] = company.take_number("salesCreditMemos")
    memo["_remaining"] = ZERO
    company.insert("salesCreditMemos", memo)
    for line in lines_of(company, INVOICE, invoice["id"]):
        copy = part_line(
            company, invoice, line, "salesCreditMemoLines", memo["id"], line["quantity"]
        )
        copy["_order_line"] = ""
        company.insert("salesCreditMemoLines", copy)
    total_document(company, memo)
    return memo
