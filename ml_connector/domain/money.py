"""Amounts: Decimal with a currency, and the one place where they are rounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_SCALES = {
    "BHD": 3, "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0,
    "KMF": 0, "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip
"""Digits after the decimal point by ISO 4217 code, where it is not two."""

ZERO = Decimal(0)


def currency_scale(currency: str) -> int:
    """Return the digits after the decimal point of an ISO currency; 2 when it is not special."""
    return _SCALES.get(currency.upper(), 2)


def rounded(amount: Decimal, scale: int) -> Decimal:
    """Return *amount* rounded half-up (away from zero on a tie) to *scale* digits."""
    return amount.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency (ISO code, upper case)."""

    amount: Decimal
    currency: str

    def rounded(self) -> Money:
        """Return the amount rounded half-up to the currency's scale."""
        return Money(rounded(self.amount, currency_scale(self.currency)), self.currency)

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return self + Money(-other.amount, other.currency)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum; 0 for none."""
    return sum(amounts, ZERO)
