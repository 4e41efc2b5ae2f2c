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
    on_cancel: Literal["park", "keep", "delete_untouched"] = "park"
    """What becomes of the sales order of an Order that was withdrawn or deleted after hand-over:
    "park" asks a person, "keep" leaves it to BC, "delete_untouched" deletes it there while nobody
    has touched it, and parks otherwise."""
    canceled_statuses: tuple[str, ...] = ()
    """Values of Order.Status that mean canceled, whatever their category."""
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

    def is_canceled(self, status: str | None) -> bool:
        """Tell whether a value of Order.Status means canceled."""
        named = {each.strip().casefold() for each in self.canceled_statuses}
        return (status or "").strip().casefold() in named

    @property
    def condition(self) -> str:
        """The SOQL condition of `qualify`; "" when it is one of the named rules."""
        return "" if self.qualify in QUALIFY_WORDS else self.qualify
