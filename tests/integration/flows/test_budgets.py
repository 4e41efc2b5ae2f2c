"""Flows under an allowance that is nearly used, and what Prefect is told of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from blocks.connected_systems import load_connection
from flows.reconciliation import reconcile
from flows.sync import sync
from ml_connector.errors import RateLimited, TransientError
from ml_connector.exchange.systems import Systems
from tasks import connector_events as told
from tasks.budgets import tell_budgets
from tasks.connector_events import BUDGET_LOW

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

pytestmark = pytest.mark.slow


def _nearly_used(sandbox: RunningSandbox) -> None:
    switches = {"daily_api_requests": 10_000}
    sandbox.admin.post("/salesforce/switches", json=switches).raise_for_status()
    act = {"act": "use_allowance", "calls": 8_500}
    sandbox.admin.post("/salesforce/act", json=act).raise_for_status()


def _rows(sandbox: RunningSandbox, path: str) -> list[dict[str, Any]]:
    body = sandbox.admin.get(path).json()
    return list(body["records"] if isinstance(body, dict) else body)


def test_the_main_job_hands_orders_over_and_reconcile_waits(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """Orders and the customers they need go through; the run says what waits and why."""
    _nearly_used(running_sandbox)

    with pytest.raises(TransientError) as caught:
        asyncio.run(sync(connection))

    assert "kept for orders" in caught.value.message
    customers = _rows(running_sandbox, "/business-central/records/customers")
    assert customers
    with pytest.raises(RateLimited) as refused:
        asyncio.run(reconcile(connection))
    assert refused.value.code == "budget_reserved"


def test_a_low_budget_is_told_once(
    connection: str, running_sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event on the connection's resource with used, limit and forecast; not one per run."""
    _nearly_used(running_sandbox)
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(told, "emit_event", lambda **event: events.append(event))
    settings = asyncio.run(load_connection(connection))

    for _ in range(2):
        with Systems.open(settings) as systems:
            systems.salesforce.describe("Account")
            asyncio.run(tell_budgets(systems))

    (event,) = events
    assert event["event"] == BUDGET_LOW
    assert event["resource"]["prefect.resource.id"] == f"ml-connector.connection.{connection}"
    payload = event["payload"]
    assert payload["budget"] == "salesforce_calls"
    assert payload["used"] > 8_500
    assert payload["limit"] == 10_000
    assert payload["forecast"] >= payload["used"]
