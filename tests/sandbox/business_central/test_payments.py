"""Payments, balances, and the signals they do not give."""

from decimal import Decimal
from typing import Any


def _posted(tenant: Any, customer: str = "C100") -> Any:
    number = tenant.act("ship_and_invoice", order=tenant.order(customer)["number"])["invoice"]
    return tenant.values(f"salesInvoices?$filter=number eq '{number}'")[0]


def test_part_payment_gives_no_signal(tenant: Any) -> None:
    """A part payment moves the open amount alone: no stamp, no tag, no change to poll."""
    invoice = _posted(tenant)
    tenant.move_clock(3600)
    tenant.sign_in()
    tenant.act("pay", invoice=invoice["number"], amount=100)
    after = tenant.get(f"salesInvoices({invoice['id']})")
    assert after["remainingAmount"] == invoice["remainingAmount"] - 100
    assert after["status"] == "Open"
    for field in ("lastModifiedDateTime", "@odata.etag"):
        assert after[field] == invoice[field]
    stamp = invoice["lastModifiedDateTime"]
    assert tenant.values(f"salesInvoices?$filter=lastModifiedDateTime gt {stamp}") == []
    assert tenant.refusal("GET", "salesInvoices?$filter=remainingAmount gt 0") == (
        400,
        "BadRequest",
    )


def test_full_payment_flips_the_status(tenant: Any) -> None:
    """Full payment sets Paid and moves the stamp; taking it back opens the invoice again."""
    invoice = _posted(tenant)
    tenant.move_clock(60)
    said = tenant.act("pay", invoice=invoice["number"])
    after = tenant.get(f"salesInvoices({invoice['id']})")
    assert (after["status"], after["remainingAmount"]) == ("Paid", 0)
    assert after["lastModifiedDateTime"] > invoice["lastModifiedDateTime"]
    entries = tenant.values(f"generalLedgerEntries?$filter=documentNumber eq '{said['number']}'")
    assert {entry["documentType"] for entry in entries} == {"Payment"}
    tenant.act("unapply", invoice=invoice["number"], amount=5)
    again = tenant.get(f"salesInvoices({invoice['id']})")
    assert (again["status"], again["remainingAmount"]) == ("Open", 5)


def test_balances_are_local_money(tenant: Any) -> None:
    """Balance, overdue and ages follow invoices, payments and the calendar."""
    invoice = _posted(tenant, "C200")
    local = (invoice["totalAmountIncludingTax"] * Decimal("1.27")).quantize(Decimal("0.01"))
    path = f"customers({tenant.ids['C200']})"
    detail = tenant.get(f"{path}/customerFinancialDetail")
    assert (detail["balance"], detail["overdueAmount"]) == (local, 0)
    tenant.move_clock(45 * 86400)
    tenant.sign_in()
    expanded = tenant.get(f"{path}?$expand=customerFinancialDetail,agedAccountsReceivable")
    assert expanded["balanceDue"] == local
    assert expanded["customerFinancialDetail"]["overdueAmount"] == local
    assert expanded["agedAccountsReceivable"]["period1Amount"] == local
    assert tenant.get(f"salesInvoices({invoice['id']})")["status"] == "Open"
    flat = tenant.values("customerFinancialDetails?$filter=number eq 'C200'")
    assert flat[0]["balance"] == local


def test_payment_journals(tenant: Any) -> None:
    """Journal lines are pending until a person posts them."""
    invoice = _posted(tenant)
    (journal,) = tenant.values("customerPaymentJournals?$filter=code eq 'GENERAL'")
    path = f"customerPaymentJournals({journal['id']})/customerPayments"
    body = {
        "customerNumber": "C100",
        "amount": -50,
        "appliesToInvoiceId": invoice["id"],
    }
    made = tenant.create(path, **body)
    assert (made["lineNumber"], made["appliesToInvoiceNumber"]) == (10000, invoice["number"])
    assert (
        tenant.get(f"salesInvoices({invoice['id']})")["remainingAmount"]
        == (invoice["remainingAmount"])
    )
    draft = tenant.create("salesInvoices", customerNumber="C100")
    refused = tenant.refusal("POST", path, {**body, "appliesToInvoiceId": draft["id"]})
    assert refused == (400, "Application_DialogException")
    tenant.switch(payment_sign="negative")
    assert tenant.refusal("POST", path, {**body, "amount": 50})[0] == 400
    tenant.act("post_payment_journal", journal="GENERAL")
    assert tenant.values(path) == []
    assert tenant.get(f"salesInvoices({invoice['id']})")["remainingAmount"] == (
        invoice["remainingAmount"] - 50
    )
