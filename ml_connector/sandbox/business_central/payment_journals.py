"""Customer payment journals: payments entered but not posted."""

from decimal import Decimal

from ml_connector.sandbox.business_central.company import Company, is_blank
from ml_connector.sandbox.business_central.entities import BLANK_GUID
from ml_connector.sandbox.business_central.entry import Validate, commit_entered, enter
from ml_connector.sandbox.business_central.faults import business_rule
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.values import Entered


def _customer(by: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        customer = company.table("customers").first(by, value)
        if customer is None:
            raise business_rule("The customer cannot be found.")
        if not is_blank(row["customerId"]) and row["customerId"] != customer["id"]:
            raise business_rule("The customer values do not match to a specific Customer.")
        row["customerId"], row["customerNumber"] = customer["id"], customer["number"]

    return rule


def _invoice(by: str) -> Validate:
    def rule(company: Company, row: Row, value: str, _seen: set[str]) -> None:
        if not value or value == BLANK_GUID:
            row["appliesToInvoiceId"], row["appliesToInvoiceNumber"] = BLANK_GUID, ""
            return
        invoice = company.table("salesInvoices").first(by, value)
        if invoice is None or not invoice["_posted"]:
            raise business_rule(
                'The "appliesToInvoiceId" should be the ID of an Open, Paid, Corrective, or '
                "Canceled Invoice."
            )
        row["appliesToInvoiceId"] = invoice["id"]
        row["appliesToInvoiceNumber"] = invoice["number"]

    return rule


def _amount(company: Company, row: Row, value: Decimal, _seen: set[str]) -> None:
    if company.switches["payment_sign"] == "negative" and value > 0:
        raise business_rule('The "amount" should be a negative number.')
    row["amount"] = value


def _journal(company: Company, row: Row, value: str, _seen: set[str]) -> None:
    journal = company.row("customerPaymentJournals", value)
    if journal is None or (not is_blank(row["journalId"]) and row["journalId"] != value):
        raise business_rule('The "journalId" does not match to a journal.')
    row["journalId"], row["journalDisplayName"] = value, journal["code"]


def _line_number(company: Company, row: Row, value: int, _seen: set[str]) -> None:
    for other in company.table("customerPayments").find("journalId", row["journalId"]):
        if other["lineNumber"] == value and other["id"] != row["id"]:
            raise business_rule("A journal line with this line number already exists.")
    row["lineNumber"] = value


_RULES: dict[str, Validate] = {
    "journalId": _journal,
    "customerId": _customer("id"),
    "customerNumber": _customer("number"),
    "appliesToInvoiceId": _invoice("id"),
    "appliesToInvoiceNumber": _invoice("number"),
    "amount": _amount,
    "lineNumber": _line_number,
}


def create_payment(company: Company, entered: Entered, parent: Row | None = None) -> Row:
    """Enter a payment in a journal."""
    row = company.blank_row("customerPayments")
    row["postingDate"] = company.today()
    if parent is not None:
        row["journalId"], row["journalDisplayName"] = parent["id"], parent["code"]
    enter(company, row, entered, _RULES)
    if is_blank(row["journalId"]):
        raise business_rule("Give a journal ID to write a journal line.")
    if not row["lineNumber"]:
        lines = company.table("customerPayments").find("journalId", row["journalId"])
        row["lineNumber"] = (lines[-1]["lineNumber"] if lines else 0) + 10000
    if not row["documentNumber"]:
        row["documentNumber"] = company.take_number("payments")
    return company.insert("customerPayments", row)


def change_payment(company: Company, row: Row, entered: Entered) -> None:
    """PATCH of an entered payment."""
    work = dict(row)
    names = {field.name for field, _ in entered}
    if names & {"customerId", "customerNumber"}:
        work["customerId"], work["customerNumber"] = BLANK_GUID, ""
    enter(company, work, entered, _RULES)
    commit_entered(company, "customerPayments", row, work)
