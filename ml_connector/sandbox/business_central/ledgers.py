"""The customer ledger and the general ledger: what is owed, paid, credited, and its evidence."""

from decimal import Decimal

from ml_connector.sandbox.business_central.company import ZERO, Company, option
from ml_connector.sandbox.business_central.faults import business_rule
from ml_connector.sandbox.business_central.foundation import BANK, RECEIVABLES, SALES, TAX
from ml_connector.sandbox.business_central.tables import Row


def general_entry(
    company: Company, kind: str, number: str, day: str, account: str, amount: Decimal, text: str
) -> None:
    """One G/L entry in local money; debits are positive."""
    found = company.table("accounts").first("number", account)
    company.entry_number += 1
    row = company.blank_row("generalLedgerEntries")
    row |= {
        "entryNumber": company.entry_number,
        "postingDate": day,
        "documentNumber": number,
        "documentType": option(kind),
        "accountId": found["id"] if found is not None else row["accountId"],
        "accountNumber": account,
        "description": text[:100],
        "debitAmount": max(amount, ZERO),
        "creditAmount": max(-amount, ZERO),
    }
    company.insert("generalLedgerEntries", row)
    if found is not None:
        company.update_silently("accounts", found, {"netChange": found["netChange"] + amount})


def post_document_entries(company: Company, document: Row, kind: str) -> None:
    """The entries of a posted invoice or credit memo, and its open customer ledger entry."""
    sign = 1 if kind == "Invoice" else -1
    code, number, day = document["currencyCode"], document["number"], document["postingDate"]
    gross = sign * company.local(document["totalAmountIncludingTax"], code)
    tax = sign * company.local(document["totalTaxAmount"], code)
    text = f"{kind} {number}"
    general_entry(company, kind, number, day, RECEIVABLES, gross, text)
    general_entry(company, kind, number, day, SALES, tax - gross, text)
    if tax:
        general_entry(company, kind, number, day, TAX, -tax, text)
    amount = sign * document["totalAmountIncludingTax"]
    add_ledger_entry(company, document, kind, amount)
    customer = company.table("customers").rows[document["customerId"]]
    company.update_silently("customers", customer, {"_sales": customer["_sales"] + gross - tax})


def add_ledger_entry(company: Company, document: Row, kind: str, amount: Decimal) -> Row:
    """An open customer ledger entry in the document's currency."""
    return company.insert(
        "_ledger",
        {
            "id": company.new_id(),
            "customerId": document["customerId"],
            "documentId": document["id"],
            "kind": kind,
            "number": document["number"],
            "dueDate": document.get("dueDate", document["postingDate"]),
            "currencyCode": document["currencyCode"],
            "rate": company.rate(document["currencyCode"]),
            "amount": amount,
            "remaining": amount,
        },
    )


def entry_of(company: Company, document_id: str) -> Row | None:
    """The customer ledger entry of a posted document."""
    return company.table("_ledger").first("documentId", document_id)


def set_remaining(company: Company, entry: Row, remaining: Decimal) -> None:
    """Move what is open of an entry and of its document.

    The document's stored row changes only when its status does: a part payment moves neither
    stamp nor tag.
    """
    company.update("_ledger", entry, {"remaining": remaining})
    entity = "salesInvoices" if entry["kind"] == "Invoice" else "salesCreditMemos"
    document = company.row(entity, entry["documentId"])
    if document is None:
        return
    company.update_silently(entity, document, {"_remaining": abs(remaining)})
    if document["status"] in ("Open", "Paid"):
        status = "Paid" if not remaining else "Open"
        if status != document["status"]:
            company.update(entity, document, {"status": status})


def take_payment(company: Company, invoice: Row, amount: Decimal | None, day: str) -> Row:
    """Post a payment against an invoice and apply it."""
    entry = entry_of(company, invoice["id"])
    if not invoice["_posted"] or entry is None:
        raise business_rule("Only a posted invoice can be paid.")
    paid = entry["remaining"] if amount is None else amount
    if paid <= 0 or paid > entry["remaining"]:
        raise business_rule(f"{paid} cannot be applied to {entry['remaining']}.")
    number = company.take_number("payments")
    local = company.local(paid, entry["currencyCode"])
    text = f"Payment of {invoice['number']}"
    general_entry(company, "Payment", number, day, BANK, local, text)
    general_entry(company, "Payment", number, day, RECEIVABLES, -local, text)
    set_remaining(company, entry, entry["remaining"] - paid)
    return {"number": number, "amount": paid, "remaining": entry["remaining"]}


def unapply_payment(company: Company, invoice: Row, amount: Decimal) -> None:
    """Take a payment back from an invoice."""
    entry = entry_of(company, invoice["id"])
    if entry is None or entry["remaining"] + amount > entry["amount"]:
        raise business_rule("There is not that much applied to the invoice.")
    set_remaining(company, entry, entry["remaining"] + amount)


def apply_credit(
    company: Company, memo: Row, invoice: Row, amount: Decimal | None = None
) -> Decimal:
    """Apply a posted credit memo to a posted invoice; what was applied."""
    credit, debt = entry_of(company, memo["id"]), entry_of(company, invoice["id"])
    if credit is None or debt is None:
        raise business_rule("Both documents have to be posted.")
    if credit["currencyCode"] != debt["currencyCode"]:
        raise business_rule("The documents are in different currencies.")
    applied: Decimal = min(-credit["remaining"], debt["remaining"])
    if amount is not None:
        applied = min(applied, amount)
    if applied > 0:
        set_remaining(company, credit, credit["remaining"] + applied)
        set_remaining(company, debt, debt["remaining"] - applied)
    return applied
