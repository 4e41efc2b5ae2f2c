"""How much of the vendors' allowances is kept for orders, and when a person is told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BudgetPolicy(BaseModel):
    """Shares of Salesforce's daily calls and event deliveries, and of Business Central's rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reserve_percent: int = Field(default=20, ge=0, le=90)
    """Share of each allowance that only orders may use; other work waits before it is touched."""
    warn_percent: int = Field(default=75, ge=1, le=100)
    """Used share from which on a person is told."""
