"""Preflight of the vendors' allowances: what is left, what is expected, what is kept for orders."""

from __future__ import annotations

from collections.abc import Iterator

from ml_connector.exchange.budgets import (
    CALLS,
    EVENTS,
    RATE,
    Budget,
    BudgetState,
    budgets,
    read_limits,
)
from ml_connector.exchange.check_line import CheckLine, Level, fine
from ml_connector.exchange.systems import Systems

CODES = {
    CALLS: "salesforce_daily_calls",
    EVENTS: "salesforce_event_deliveries",
    RATE: "business_central_rate",
}

_REMEDIES = {
    CALLS: "Find out which integration uses them up, or buy more calls.",
    EVENTS: "Find out which subscriber uses them up; changes are polled when none are left.",
    RATE: "Nothing to do: the connector keeps to the rate by itself.",
}

_PAGES = {
    CALLS: "Setup → Company Settings → Company Information → API Requests, Last 24 Hours",
    EVENTS: "Setup → Integrations → Platform Events → Event Usage",
    RATE: "BC admin center → Environments → Telemetry",
}


def budget_lines(systems: Systems) -> Iterator[CheckLine]:
    """Read Salesforce's limits and show every budget."""
    read_limits(systems)
    for budget in budgets(systems):
        yield _line(budget)


def _line(budget: Budget) -> CheckLine:
    code = CODES[budget.name]
    if budget.state is BudgetState.OK or budget.name == RATE:
        return fine(code, budget.sentence)
    waits = " Everything but orders waits now." if budget.state is not BudgetState.LOW else ""
    return CheckLine(
        code,
        Level.WARNING,
        f"{budget.sentence}{waits}",
        _REMEDIES[budget.name],
        _PAGES[budget.name],
    )
