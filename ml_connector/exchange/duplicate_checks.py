"""Preflight of the data: records that could be the same one twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ml_connector.customers.matching import matches, possible_duplicate
from ml_connector.exchange.check_line import CheckLine, Level, examined, fine
from ml_connector.exchange.company_setup_checks import named
from ml_connector.exchange.customers import customer_index
from ml_connector.exchange.systems import Systems
from ml_connector.salesforce.models import Account, parse
from ml_connector.salesforce.soql import select

ACCOUNTS_LOOKED_AT = 2_000
"""Accounts without a partner that are compared with BC's customers; a plan compares them all."""


def duplicate_lines(systems: Systems) -> list[CheckLine]:
    """Name candidates; each is a notice, since the record alone is parked and nothing is lost."""
    return [
        *examined("duplicate_products", "Double product codes", partial(_products, systems)),
        *examined("duplicate_accounts", "Possible duplicates", partial(_accounts, systems)),
    ]


def _products(systems: Systems) -> Iterator[CheckLine]:
    code = "duplicate_products"
    rows = systems.salesforce.query_rows(
        "SELECT ProductCode FROM Product2 WHERE IsActive = true AND ProductCode != null "
        "GROUP BY ProductCode HAVING COUNT(Id) > 1"
    )
    double = sorted(str(row["ProductCode"]) for row in rows if row.get("ProductCode"))
    if not double:
        yield fine(code, "Every product code is there once.")
        return
    yield CheckLine(
        code,
        Level.NOTICE,
        f"Several products carry the code {named(double)}: none of them can be linked to the item.",
        "Give each product a code of its own, or make the others inactive.",
        "Salesforce: Products",
    )


def _accounts(systems: Systems) -> Iterator[CheckLine]:
    code = "duplicate_accounts"
    fields = systems.salesforce.fields_for(Account)
    soql = select(
        "Account",
        fields,
        where="BC_Customer_Id__c = null",
        order_by="Id",
        limit=ACCOUNTS_LOOKED_AT,
    )
    index, policy = customer_index(systems), systems.policy.customers
    found: list[str] = []
    for row in systems.salesforce.query_rows(soql):
        account = parse(Account, row)
        candidates = index.candidates(account, policy)
        if not matches(account, candidates, policy)[0] and possible_duplicate(account, candidates):
            found.append(account.account_number or account.name or account.id)
    if not found:
        yield fine(code, "No Account without partner resembles a customer of Business Central.")
        return
    yield CheckLine(
        code,
        Level.NOTICE,
        f"{len(found)} Accounts resemble a customer of Business Central: {named(found)}. Those "
        "that qualify will be parked as possible_duplicate for a person to decide.",
        "Give the Account the customer's number, or decide later; `sync --plan` lists them all.",
        "Salesforce: Account → Account Number",
    )
