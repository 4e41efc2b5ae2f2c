"""Switches of the orders area."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

QUALIFY_WORDS = ("activated",)
"""The rules `qualify` knows by name; anything else is a SOQL condition."""


class OrdersPolicy(BaseModel):
    """Which Orders are handed over and how their sales orders are written and compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    qualify: str = "activated"
    """StatusCode Activated, no reduction order, at least one line; or a SOQL condition."""
    reference: Literal["order_number", "po_number"] = "order_number"
    """What becomes the external document number."""
    reference_prefix: str = Field(default="", max_length=20)
    requested_date: str = "none"
    """The Date field of Order that becomes the requested delivery date; "none"."""
    total_tolerance: Decimal = Field(default=Decimal("0.00"), ge=0)
    """Largest difference of an amount that is not reported, in document currency."""
    on_difference: Literal["hold", "accept"] = "hold"
    """"hold" parks an order whose totals differ."""
    time_zone: str = "UTC"
    """IANA name; decides what today is, and so what is overdue."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError("is no IANA time zone such as Europe/Berlin") from error
        return value

    @property
    def condition(self) -> str:
        """The SOQL condition of `qualify`; "" when it is one of the named rules."""
        return "" if self.qualify in QUALIFY_WORDS else self.qualify
