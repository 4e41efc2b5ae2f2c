"""How long the contents of audit entries are kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AuditPolicy(BaseModel):
    """How long the ledger keeps what it need not keep for its own work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_days: int = Field(default=0, ge=0, le=36500)
    """Days after which before and after of an entry are erased; 0 keeps them for good."""
    inbox_days: int = Field(default=90, ge=4, le=36500)
    """Days for which changes that were dealt with can be replayed by time, and undecodable events
    are kept."""
