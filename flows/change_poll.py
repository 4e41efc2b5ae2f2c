"""Read what events missed, on both sides, and act on it."""

from __future__ import annotations

import asyncio

from prefect import flow

from flows.change_hand_over import hand_over_changes
from flows.connection_name import ConnectionName
from flows.invoice_posting import post_draft_invoices
from flows.status_write_back import write_back_status
from ml_connector.exchange.budgets import has_spare
from tasks.batches import PhaseResult, Scope, settle
from tasks.budgets import read_budgets, tell_budgets
from tasks.changes import (
    find_due,
    poll_changes_of,
    poll_lines_of_orders,
    poll_masters_of_bc,
    tell_of_feeds,
)
from tasks.health import publish_health
from tasks.open_systems import open_systems
from tasks.run_labels import name_run

OF_ORDERS = frozenset({"Order", "OrderItem", "Opportunity"})
"""Objects that are polled also when an allowance is down to what is kept for orders."""


@flow(name="poll-changes", flow_run_name="{connection}")
async def poll_changes(connection: ConnectionName) -> PhaseResult:
    """Poll both systems from the last confirmed time on, deletions and merges included.

    Salesforce is read object by object by modification stamp, lines of Orders included; Business
    Central by the stamps of its items and documents and the sweep of open invoices. What is known
    already costs nothing more; what is new goes through the same flows as a change event. A poll
    that was interrupted goes on where it was.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
    """
    async with open_systems(connection) as systems:
        scope = Scope(systems)
        await read_budgets(systems)
        await poll_lines_of_orders(scope)
        for entity in systems.policy.feeds.entities:
            if entity in OF_ORDERS or await asyncio.to_thread(has_spare, systems):
                await poll_changes_of(scope, entity)
        await poll_masters_of_bc(scope)
        results = await hand_over_changes(connection, await find_due(scope))
        results.append(await settle(post_draft_invoices(connection)))
        results.append(await settle(write_back_status(connection)))
        await tell_budgets(systems)
        await tell_of_feeds(systems, with_lag=True)
        await publish_health(scope)
        whole = PhaseResult().joined(*results)
        await name_run(connection, str(whole))
        return whole
