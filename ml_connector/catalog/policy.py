"""Switches of the catalog area."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class CatalogPolicy(BaseModel):
    """What may be created or changed so that every product has one item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    create_items: bool = False
    """Create a BC item for a Product2 without partner."""
    create_products: bool = False
    """Create a Product2 for an item without partner."""
    prices: Literal["off", "standard"] = "off"
    """"standard": the item's price is shown by the standard price book entry."""
    deactivate: bool = False
    """A blocked item makes its Product2 inactive."""
