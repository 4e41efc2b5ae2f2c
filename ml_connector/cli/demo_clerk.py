"""The BC clerk of the demo: ships, invoices, drafts, takes payments, credits."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx

from ml_connector import wire_json
from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.errors import ConfigurationError


@dataclass(slots=True)
class Day:
    """What the clerk did, in order numbers."""

    invoiced: list[str] = field(default_factory=list)
    shipped_in_part: list[str] = field(default_factory=list)
    drafted: list[str] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    paid_in_part: list[str] = field(default_factory=list)
    credited: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return the day in plain words."""
        return [
            f"ships and invoices {len(self.invoiced)} orders",
            f"ships half of {len(self.shipped_in_part)} orders",
            f"ships {len(self.drafted)} orders and leaves their invoices as drafts",
            f"takes {len(self.paid)} full and {len(self.paid_in_part)} partial payments",
            f"gives {len(self.credited)} credit memo",
        ]


class Clerk:
    """Acts in the sandbox's BC company through its admin surface."""

    def __init__(self, admin_url: str, client: BusinessCentralClient) -> None:
        self._act_url = f"{admin_url}/business-central/act"
        self._client = client

    def work(self) -> Day:
        """Do a day's work on the oldest orders, each in a different way."""
        day = Day()
        orders = [
            row["number"]
            for row in self._client.rows(
                "salesOrders", select=("id", "number"), orderby="number", filter="status eq 'Open'"
            )
        ] or [
            row["number"]
            for row in self._client.rows("salesOrders", select=("id", "number"), orderby="number")
        ]
        if len(orders) < 12:
            raise ConfigurationError(
                f"Only {len(orders)} sales orders arrived; the clerk needs 12.",
                code="too_few_orders",
                remedy="Look at the first sync in the Prefect UI.",
            )
        for number in orders[:6]:
            self._act("ship_and_invoice", order=number)
            day.invoiced.append(number)
        for number in orders[6:9]:
            self._act("ship", order=number, share="0.5")
            day.shipped_in_part.append(number)
        for number in orders[9:12]:
            self._act("ship", order=number)
            self._act("draft_invoice", order=number)
            day.drafted.append(number)
        self._take_money(day)
        return day

    def _take_money(self, day: Day) -> None:
        invoices = self._invoices_of(day.invoiced)
        for invoice in invoices[:2]:
            self._act("pay", invoice=invoice["number"])
            day.paid.append(invoice["number"])
        for invoice in invoices[2:4]:
            half = (invoice["totalAmountIncludingTax"] / 2).quantize(
                Decimal("0.01"), rounding=ROUND_HALF_UP
            )
            self._act("pay", invoice=invoice["number"], amount=half)
            day.paid_in_part.append(invoice["number"])
        for invoice in invoices[4:5]:
            self._act("credit", invoice=invoice["number"])
            day.credited.append(invoice["number"])

    def _invoices_of(self, orders: list[str]) -> list[dict[str, Any]]:
        wanted = set(orders)
        rows = self._client.rows("salesInvoices", orderby="number")
        return [row for row in rows if row["orderNumber"] in wanted]

    def _act(self, name: str, **arguments: Any) -> Any:
        answer = httpx.post(
            self._act_url,
            content=wire_json.encode({"act": name, **arguments}),
            timeout=60,
            trust_env=False,
        )
        if answer.status_code != 200:
            raise ConfigurationError(
                f"The sandbox's clerk could not {name} {arguments}: {answer.text}",
                code="sandbox_act",
                remedy="Report it; the sandbox and the demo do not fit together.",
            )
        return wire_json.decode(answer.content)
