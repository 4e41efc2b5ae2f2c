"""What one writes in an afternoon: `python benchmarks/plain_baseline.py FILE CUSTOMERS ORDERS`.

The same two clients, one call after another: per customer a look-up, a POST and a PATCH; per order
a look-up, a header POST, one POST per line, a re-read and one Salesforce PATCH. It keeps no ledger,
compares nothing and survives nothing. CUSTOMERS and ORDERS bound how many records are timed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from measured_sandbox import peak_megabytes

from ml_connector.business_central import pacing
from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.salesforce.client import SalesforceClient

Row = dict[str, Any]

ORDERS = (
    "SELECT Id, OrderNumber, AccountId, EffectiveDate, CurrencyIsoCode, (SELECT Quantity, "
    "UnitPrice, Product2.ProductCode FROM OrderItems ORDER BY OrderItemNumber) FROM Order "
    "WHERE StatusCode = 'Activated' AND IsReductionOrder = false ORDER BY OrderNumber"
)
ACCOUNTS = "SELECT Id, Name, AccountNumber, CurrencyIsoCode FROM Account"


class Baseline:
    """The two clients and what was read once."""

    def __init__(self, file: Path) -> None:
        settings = load_connection_file(file).settings
        self._local = settings.business_central.local_currency
        self._salesforce = SalesforceClient(settings.salesforce)
        self._central = BusinessCentralClient(settings.business_central)
        self._items: dict[str, str] = {}
        self._customers: dict[str, str] = {}

    def read(self, orders: int, customers: int) -> tuple[list[Row], list[Row]]:
        """Return the orders to write and their accounts, filled up with others."""
        wanted = list(self._salesforce.query_rows(ORDERS))[:orders]
        needed = {order["AccountId"] for order in wanted}
        accounts = sorted(
            self._salesforce.query_rows(ACCOUNTS), key=lambda row: row["Id"] not in needed
        )
        self._items = {
            row["number"]: row["id"] for row in self._central.rows("items", select=("id", "number"))
        }
        return wanted, accounts[: max(customers, len(needed))]

    def _currency(self, row: Row) -> str:
        return "" if row["CurrencyIsoCode"] == self._local else str(row["CurrencyIsoCode"])

    def customer(self, account: Row) -> None:
        """Look up, create when it is not there, tell Salesforce."""
        number = (account["AccountNumber"] or account["Id"]).upper()[:20]
        found = next(iter(self._central.find_by("customers", "number", [number])), None)
        if found is None:
            found = self._central.create(
                "customers",
                {
                    "number": number,
                    "displayName": account["Name"][:100],
                    "currencyCode": self._currency(account),
                },
            )
        self._customers[account["Id"]] = found["id"]
        self._tell("Account", account["Id"], {"BC_Customer_Id__c": found["id"].lower()})

    def order(self, order: Row) -> None:
        """Look up, write the header and every line, read it again, tell Salesforce."""
        number = order["OrderNumber"]
        found = self._central.find_by("salesOrders", "externalDocumentNumber", [number])
        if next(iter(found), None) is not None:
            return
        header = self._central.create(
            "salesOrders",
            {
                "customerId": self._customers[order["AccountId"]],
                "externalDocumentNumber": number,
                "orderDate": order["EffectiveDate"],
                "currencyCode": self._currency(order),
                "pricesIncludeTax": False,
            },
        )
        for line in order["OrderItems"]["records"]:
            self._central.create(
                f"salesOrders({header['id']})/salesOrderLines",
                {
                    "itemId": self._items[line["Product2"]["ProductCode"].strip().upper()],
                    "quantity": line["Quantity"],
                    "unitPrice": line["UnitPrice"],
                    "discountPercent": 0,
                },
            )
        written = self._central.fetch("salesOrders", header["id"], expand="salesOrderLines")
        shown = {
            "BC_Order_Id__c": written["id"].lower(),
            "BC_Order_Number__c": written["number"],
            "BC_Order_Status__c": written["status"],
        }
        self._tell("Order", order["Id"], shown)

    def _tell(self, sobject: str, key: str, fields: Row) -> None:
        (result,) = self._salesforce.update_records(sobject, [{"Id": key, **fields}])
        if not result.success:
            raise RuntimeError(f"{sobject} {key}: {result.errors}")

    def calls(self) -> int:
        """Return how many requests left so far."""
        return self._salesforce.requests_made + self._central.requests_made


def timed(baseline: Baseline, work: Any, rows: Iterable[Row]) -> Row:
    """Return seconds and requests per record of doing *work* for each of *rows*."""
    begun, before, count = time.perf_counter(), baseline.calls(), 0
    for row in rows:
        work(row)
        count += 1
    seconds, calls = time.perf_counter() - begun, baseline.calls() - before
    return {
        "records": count,
        "seconds_per_record": round(seconds / max(count, 1), 4),
        "requests_per_record": round(calls / max(count, 1), 2),
    }


def main() -> None:
    """Write the records and print what each took."""
    customers, orders = int(sys.argv[2]), int(sys.argv[3])
    pacing.REQUESTS_PER_WINDOW = 1_000_000_000  # the vendor's rate is lifted on both sides
    baseline = Baseline(Path(sys.argv[1]))
    wanted, accounts = baseline.read(orders, customers)
    print(
        json.dumps(
            {
                "customers": timed(baseline, baseline.customer, accounts),
                "orders": timed(baseline, baseline.order, wanted),
                "peak_mb": peak_megabytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
