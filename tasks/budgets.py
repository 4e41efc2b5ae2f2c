"""Budgets of the vendors' allowances: read when old, kept, and told when one runs low."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from ml_connector.exchange.budgets import (
    Budget,
    low_budgets,
    note_budgets,
    refresh_budgets,
)
from ml_connector.exchange.systems import Systems
from tasks.connector_events import BUDGET_LOW, tell

log = logging.getLogger("ml_connector")

TOLD_AGAIN_AFTER = timedelta(hours=6)
_TOLD = "budgets_told"


async def read_budgets(systems: Systems) -> None:
    """Make sure that what is known of the allowances is not old; at most one call an hour."""
    await asyncio.to_thread(refresh_budgets, systems)


async def tell_budgets(systems: Systems) -> list[Budget]:
    """Keep the readings, and emit an event per budget that has run low; returns those.

    A budget that stays low is told again after six hours.
    """
    return await asyncio.to_thread(_tell, systems)


def _tell(systems: Systems) -> list[Budget]:
    note_budgets(systems)
    now = systems.clock.now()
    low = low_budgets(systems)
    stored = systems.ledger.recall(_TOLD)
    before: dict[str, str] = dict(stored) if isinstance(stored, dict) else {}
    told = {budget.name: before[budget.name] for budget in low if budget.name in before}
    for budget in low:
        last = told.get(budget.name)
        if last is not None and now - datetime.fromisoformat(last) < TOLD_AGAIN_AFTER:
            continue
        log.warning("%s", budget.sentence)
        payload = {
            "budget": budget.name,
            "used": budget.used,
            "limit": budget.limit,
            "forecast": budget.forecast,
            "state": str(budget.state),
            "message": budget.sentence,
        }
        tell(BUDGET_LOW, systems.settings.name, payload)
        told[budget.name] = now.isoformat()
    if told != before:
        with systems.ledger.transaction() as tx:
            tx.remember(_TOLD, told)
    return low
