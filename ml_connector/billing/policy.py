"""Switches of the status shown in Salesforce."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StatusPolicy(BaseModel):
    """What is written back besides the Orders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accounts: bool = True
    """Show balance, overdue, credit limit and block on the Account."""
