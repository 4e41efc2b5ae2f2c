"""Switches of the customers area."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

QUALIFY_WORDS = ("type_or_order", "order", "all")
"""The rules `qualify` knows by name; anything else is a SOQL condition."""


class CustomersPolicy(BaseModel):
    """Which Accounts become customers, how partners are found and what is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    qualify: str = "type_or_order"
    """Type starts with "Customer" or a qualifying Order; "order"; "all"; or a SOQL condition."""
    number: Literal["account_number_or_id", "bc_series"] = "account_number_or_id"
    """Where the number of a new customer comes from."""
    match: tuple[Literal["external_id", "number", "tax_id"], ...] = (
        "external_id",
        "number",
        "tax_id",
    )
    """Rungs that link an existing customer, first one first."""
    on_link: Literal["fill_blanks", "nothing", "overwrite"] = "fill_blanks"
    """What a first link may change in BC."""
    overflow: Literal["park", "truncate"] = "park"
    """What happens to text longer than BC takes."""
    tax_id_field: str = ""
    """The Account field that holds the tax registration number."""
    contacts: bool = True
    """Write the Contacts of customers as person contacts."""

    @field_validator("match")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each rung may be named once")
        return value

    @property
    def condition(self) -> str:
        """The SOQL condition of `qualify`; "" when it is one of the named rules."""
        return "" if self.qualify in QUALIFY_WORDS else self.qualify
