"""Number series: the next number, manual numbers, gaps."""

import re
from dataclasses import dataclass


@dataclass(slots=True)
class NumberSeries:
    """A series; `next_number` is what comes next, with its leading letters and zeros."""

    code: str
    next_number: str

    def take(self) -> str:
        """The next number, and step on."""
        number = self.next_number
        self.next_number = following(number)
        return number


def following(number: str) -> str:
    """The number after this one: its last run of digits counts up."""
    match = re.search(r"(\d+)(\D*)$", number)
    if match is None:
        return f"{number}1"
    digits = str(int(match[1]) + 1).rjust(len(match[1]), "0")
    return f"{number[: match.start()]}{digits}{match[2]}"


def standard_series() -> dict[str, NumberSeries]:
    """The series of a fresh company."""
    return {
        series.code: series
        for series in (
            NumberSeries("customers", "C00010"),
            NumberSeries("contacts", "CT000001"),
            NumberSeries("items", "I00010"),
            NumberSeries("salesOrders", "S-ORD101001"),
            NumberSeries("salesInvoices", "S-INV102001"),
            NumberSeries("salesCreditMemos", "S-CR101001"),
            NumberSeries("postedInvoices", "PS-INV103001"),
            NumberSeries("postedCreditMemos", "PS-CR104001"),
            NumberSeries("postedShipments", "PS-SHPT102001"),
            NumberSeries("payments", "PAY0001"),
        )
    }


MANUAL: dict[str, str] = {
    "customers": "manual_nos_customers",
    "contacts": "manual_nos_contacts",
    "items": "manual_nos_items",
}
"""Sets that a caller may number, and the switch that allows it."""
