"""Switches of the feeds: which objects are subscribed, and how soon changes are acted on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_ENTITIES = 5
"""Objects an org may select for change events without an add-on."""


class FeedsPolicy(BaseModel):
    """How changes arrive by themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entities: tuple[str, ...] = ("Account", "Contact", "Opportunity", "Order", "Product2")
    """Objects whose change events are subscribed; `check` refuses a sixth."""
    debounce_seconds: float = Field(default=0.5, ge=0, le=60)
    """Pause between a change and its effect, so that several changes of a record are one."""
    silent_minutes: int = Field(default=15, ge=5, le=1440)
    """Lag of a feed after which it counts as silent and an event is sent."""
    flips_per_hour: int = Field(default=4, ge=0, le=1000)
    """Times a field of a pair may go back and forth within an hour before it parks; 0: any."""

    @field_validator("entities")
    @classmethod
    def _each_once(cls, entities: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(entities)) < len(entities):
            raise ValueError("each object may be named once")
        return entities
