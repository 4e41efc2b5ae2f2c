"""The tables of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.table import Table
from rich.text import Text

from ml_connector.cli.agreement import Agreement
from ml_connector.cli.record_tables import STATES, records_table
from ml_connector.salesforce.client import SalesforceClient

_SHOWN = (
    "OrderNumber", "BC_Order_Number__c", "BC_Order_Status__c", "BC_Shipped_Percent__c",
    "BC_Invoiced_Amount__c", "BC_Paid_Amount__c", "BC_Open_Amount__c", "BC_Payment_Status__c",
)  # fmt: skip

_ROWS = 16


def shown_orders(client: SalesforceClient) -> list[dict[str, Any]]:
    """Return the orders as Salesforce shows them, those with the most to tell first."""
    soql = (
        f"SELECT {', '.join(_SHOWN)} FROM Order WHERE BC_Order_Id__c != null"  # noqa: S608
        " ORDER BY OrderNumber"
    )
    rows = [row for page in client.query(soql) for row in page]
    rows.sort(key=lambda row: (not row["BC_Invoiced_Amount__c"], not row["BC_Shipped_Percent__c"]))
    return rows


def orders(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the first orders as a table."""
    table = _plain_table()
    headings = ("order", "in BC", "status", "shipped %", "invoiced", "paid", "open", "payment")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if 3 <= place <= 6 else "left")
    for row in rows[:_ROWS]:
        table.add_row(*(Text(_shown(row[name])) for name in _SHOWN))
    if len(rows) > _ROWS:
        table.caption = f"and {len(rows) - _ROWS} more"
    return table


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    return "" if value is None else str(value)


def counts(by_state: Mapping[str, int]) -> Text:
    """Return the counts of the connection as one line."""
    return Text("    " + ", ".join(f"{by_state.get(state, 0)} {state}" for state in STATES))


def needing_someone(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the records that wait or are parked."""
    return records_table([row for row in rows if row["state"] in ("waiting", "parked")])


def money(found: Agreement) -> Table:
    """Return what both sides say, by currency."""
    table = _plain_table()
    for heading in (
        "currency", "net in Salesforce", "net in BC", "shown as invoiced", "invoiced in BC",
        "shown as open", "open in BC",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "currency" else "right")
    for currency, sums in sorted(found.money.items()):
        amounts = (
            sums.salesforce, sums.business_central, sums.invoiced_shown, sums.invoiced,
            sums.open_shown, sums.open,
        )  # fmt: skip
        table.add_row(currency, *(f"{amount:,.2f}" for amount in amounts))
    return table


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
