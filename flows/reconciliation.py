"""Prove that both sides agree, count and money, and list every difference with its cause."""

from __future__ import annotations

import asyncio

from prefect import flow

from flows.connection_name import ConnectionName
from ml_connector.exchange.budgets import in_background
from ml_connector.exchange.findings import Reconciliation
from ml_connector.exchange.report import begin_run
from tasks.batches import Scope
from tasks.budgets import read_budgets
from tasks.open_systems import open_systems
from tasks.reconciliation import Report, compare_sides, publish_reconciliation


@flow(name="reconcile", flow_run_name="{connection}", persist_result=False)
async def reconcile(connection: ConnectionName, heal: bool = True) -> Reconciliation:
    """Compare every order, account and product of both sides as they are now.

    Reads both sides in bulk, apart from what the connector remembers. Each difference is ours to
    heal, theirs to decide, or left out by a rule. What Salesforce should show is written again;
    nothing is changed in Business Central.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        heal: Write again what Salesforce should show. Without it nothing is written.
    """
    async with open_systems(connection, "both-directions") as systems:
        scope = Scope(systems)
        await asyncio.to_thread(begin_run, systems, "reconcile")
        await read_budgets(systems)
        with in_background(systems, "Reconcile"):
            report = await compare_sides(scope, heal)
        await publish_reconciliation(scope, Report(report))
        return report
