"""What is calculated on reading: shown currencies, balances, ages, contacts of a customer."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from ml_connector.sandbox.business_central.company import ZERO, Company, wire_date
from ml_connector.sandbox.business_central.entities import Entity, decode_option
from ml_connector.sandbox.business_central.tables import Row

Computed = Callable[[Company, Row], Any]


def _shown_currency(company: Company, row: Row) -> str:
    code: str = row["currencyCode"]
    return code or company.identity.local_currency


def _area_name(company: Company, row: Row) -> str:
    area = company.row("taxAreas", row["taxAreaId"])
    return area["displayName"] if area is not None else ""


def open_entries(company: Company, customer_id: str) -> list[Row]:
    """The open customer ledger entries."""
    return [
        entry
        for entry in company.table("_ledger").find("customerId", customer_id)
        if entry["remaining"]
    ]


def balance(company: Company, customer_id: str) -> Decimal:
    """What the customer owes in local money."""
    return sum(
        (
            company.round_amount(entry["remaining"] * entry["rate"], "")
            for entry in open_entries(company, customer_id)
        ),
        ZERO,
    )


def overdue(company: Company, customer_id: str) -> Decimal:
    """What of it is past its due date."""
    today = company.today()
    return sum(
        (
            company.round_amount(entry["remaining"] * entry["rate"], "")
            for entry in open_entries(company, customer_id)
            if entry["dueDate"] < today
        ),
        ZERO,
    )


def _balance_due(company: Company, row: Row) -> Decimal:
    return balance(company, row["id"])


def _remaining(_company: Company, row: Row) -> Any:
    if not row["_posted"]:
        return row["totalAmountIncludingTax"]
    return row["_remaining"]


COMPUTED: dict[str, dict[str, Computed]] = {
    "customers": {
        "currencyCode": _shown_currency,
        "balanceDue": _balance_due,
        "taxAreaDisplayName": _area_name,
    },
    "salesOrders": {"currencyCode": _shown_currency},
    "salesInvoices": {"currencyCode": _shown_currency, "remainingAmount": _remaining},
    "salesCreditMemos": {"currencyCode": _shown_currency},
    "salesShipments": {},
}


def financial_detail(company: Company, customer: Row) -> Row:
    """The balances of a customer in local money."""
    return {
        "id": customer["id"],
        "number": customer["number"],
        "balance": balance(company, customer["id"]),
        "totalSalesExcludingTax": customer["_sales"],
        "overdueAmount": overdue(company, customer["id"]),
        "lastModifiedDateTime": customer["lastModifiedDateTime"],
        "_v": customer["_v"],
    }


def aged(company: Company, customer: Row) -> Row:
    """The customer's receivables by age."""
    today = company.frame.clock.today()
    amounts = [ZERO, ZERO, ZERO, ZERO]
    for entry in open_entries(company, customer["id"]):
        days = (today - wire_date(entry["dueDate"])).days
        place = 0 if days <= 0 else min(3, 1 + (days - 1) // 30)
        amounts[place] += company.round_amount(entry["remaining"] * entry["rate"], "")
    return {
        "customerId": customer["id"],
        "customerNumber": customer["number"],
        "name": customer["displayName"],
        "currencyCode": "",
        "balanceDue": sum(amounts, ZERO),
        "currentAmount": amounts[0],
        "period1Label": "1 - 30 days",
        "period1Amount": amounts[1],
        "period2Label": "31 - 60 days",
        "period2Amount": amounts[2],
        "period3Label": "Over 60 days",
        "period3Amount": amounts[3],
        "agedAsOfDate": today.isoformat(),
        "periodLengthFilter": "30D",
        "_v": customer["_v"],
    }


def contacts_of_customer(company: Company, customer: Row) -> list[Row]:
    """The company contact of a customer and its persons."""
    table = company.table("contacts")
    main = table.rows.get(customer["_contact"])
    if main is None:
        return []
    rows = [main]
    rows += [
        person
        for person in table.find("companyNumber", main["number"])
        if person["id"] != main["id"]
    ]
    return [
        {
            "contactId": contact["id"],
            "contactNumber": contact["number"],
            "contactName": contact["displayName"],
            "contactType": contact["type"],
            "relatedId": customer["id"],
            "relatedType": "Customer",
            "_v": contact["_v"],
        }
        for contact in rows
    ]


def _customer_contacts(company: Company, customer: Row) -> list[Row]:
    table = company.table("contacts")
    rows = []
    for entry in contacts_of_customer(company, customer):
        if entry["contactType"] != "Person":
            continue
        contact = table.rows[entry["contactId"]]
        first, _, last = contact["displayName"].rpartition(" ")
        rows.append(
            {
                "id": contact["id"],
                "email": contact["email"],
                "firstName": first[:30],
                "lastName": last[:30],
                "professionalTitle": contact["jobTitle"],
                "customerId": customer["id"],
                "customerName": customer["displayName"],
                "primaryPhoneNumber": contact["phoneNumber"],
                "_v": contact["_v"],
            }
        )
    return rows


def derived_rows(company: Company, entity: str, customers: Iterable[Row]) -> list[Row]:
    """The rows of a derived set for these customers."""
    if entity == "customerFinancialDetails":
        return [financial_detail(company, customer) for customer in customers]
    if entity == "agedAccountsReceivables":
        return [aged(company, customer) for customer in customers]
    if entity == "contactsInformation":
        return [row for customer in customers for row in contacts_of_customer(company, customer)]
    return [row for customer in customers for row in _customer_contacts(company, customer)]


def show(company: Company, entity: Entity, row: Row, select: tuple[str, ...] | None) -> Row:
    """A row as it goes out."""
    names = entity.fields if select is None else select
    out: Row = {"@odata.etag": company.etag(row)}
    computed = COMPUTED.get(entity.name, {})
    for name in names:
        out[name] = computed[name](company, row) if name in computed else row[name]
    if company.switches["enum_style"] == "plain":
        for name in names:
            if entity.fields[name].type == "enum":
                out[name] = decode_option(out[name])
    return out
