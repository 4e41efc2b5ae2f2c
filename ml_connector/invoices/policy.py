"""Switches of the invoices area."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class InvoicesPolicy(BaseModel):
    """Whether the connector posts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    posting: Literal["linked_drafts", "off", "ship_and_invoice"] = "linked_drafts"
    """Post draft invoices of linked orders; nothing; or also ship and invoice linked orders."""
