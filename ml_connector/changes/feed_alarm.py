"""Which feeds fell silent and which came back: told once each, whichever run notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml_connector.exchange.systems import Systems

ALARMING = frozenset({"silent", "stopped", "paused"})
_KNOWN = "silent feeds"

Row = dict[str, Any]
"""A feed as `status` lists it."""


@dataclass(frozen=True, slots=True)
class Turned:
    """The feeds that are not what they were when somebody looked last."""

    silent: tuple[Row, ...]
    recovered: tuple[Row, ...]


def is_alarming(systems: Systems, row: Row) -> bool:
    """Tell whether a feed needs somebody: it is silent, refused, or was left by its listener."""
    if row["state"] == "not_listening":
        return bool(row["lag_seconds"] > systems.policy.feeds.silent_minutes * 60)
    return row["state"] in ALARMING


def turned(systems: Systems, rows: Sequence[Row]) -> Turned:
    """Compare *rows* with what was told last.

    Effect: the ledger remembers what is told now, so that no run tells it again.
    """
    with systems.ledger.transaction() as tx:
        before = set(systems.ledger.recall(_KNOWN) or ())
        alarming = {row["name"] for row in rows if is_alarming(systems, row)}
        if alarming != before:
            tx.remember(_KNOWN, sorted(alarming))
    return Turned(
        silent=tuple(row for row in rows if row["name"] in alarming - before),
        recovered=tuple(row for row in rows if row["name"] in before - alarming),
    )
