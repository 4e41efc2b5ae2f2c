"""The main job: everything that keeps both systems in agreement, in the order of causes."""

from __future__ import annotations

import asyncio
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.catalog_alignment import align_catalog
from flows.connection_check import check_connections
from flows.connection_name import ConnectionName
from flows.customer_ingestion import ingest_customers
from flows.invoice_posting import post_draft_invoices
from flows.order_ingestion import ingest_orders
from flows.order_priority import let_orders_through
from flows.status_write_back import write_back_status
from ml_connector.errors import ConfigurationError
from ml_connector.exchange.plan import Plan
from ml_connector.exchange.report import SyncReport, begin_run, run_report
from tasks.batches import PhaseResult, Scope, settle
from tasks.budgets import read_budgets, tell_budgets
from tasks.health import publish_health
from tasks.open_systems import open_systems
from tasks.plans import Drawn, check_plan, guard_changes, plan_sync, publish_plan
from tasks.run_artifacts import Summary, publish_summary

Percent = Annotated[float, Field(ge=0, le=100)]
PlanId = Annotated[str, Field(pattern=r"^([0-9a-f-]{8,36})?$", title="Plan to apply")]


@flow(name="sync", flow_run_name="{connection}", persist_result=False)
async def sync(
    connection: ConnectionName,
    plan: bool = False,
    allow_changes: Percent | None = None,
    apply_plan: PlanId = "",
) -> SyncReport | Plan:
    """Bring customers, catalog, orders, invoices and status of one connection into agreement.

    Checks the connection, then runs catalog, customers, orders, invoices and status one after
    another. Records that lack something wait or are parked, each with its reason; the others go
    on. When a service fails for a while, the phases after it still do what they can, and the run
    fails at the end; retrying it writes only what is missing.

    A run that would change more of what exists than the guard allows stops before it writes.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        plan: Write nothing; only show what a run would create, change, link, leave, and cost.
        allow_changes: Percentage of linked records this one run may change, in place of the
            guard's; 100 lets everything through.
        apply_plan: Id of a plan that was looked at, as the plan names it: do what it says, or stop
            when anything it was concluded from has changed since.
    """
    async with open_systems(connection) as systems:
        scope = Scope(systems)
        await check_connections(connection, depth="sign-in")
        if plan and apply_plan:
            raise ConfigurationError(
                "A plan is either made or applied.",
                code="options",
                remedy="Give plan or apply_plan, not both.",
            )
        if plan:
            drawn = await plan_sync(scope)
            await publish_plan(scope, Drawn(drawn))
            return drawn
        await read_budgets(systems)
        if apply_plan:
            await check_plan(scope, apply_plan)
        else:
            await guard_changes(scope, allow_changes)
        await asyncio.to_thread(begin_run, systems, "sync")
        titles = ["items", "customers and contacts", "orders", "invoices", "status"]
        results = [
            await settle(align_catalog(connection)),
            await settle(ingest_customers(connection)),
            (await settle(ingest_orders(connection))).followed_by(
                await let_orders_through(connection, systems)
            ),
            await settle(post_draft_invoices(connection)),
            await settle(write_back_status(connection)),
        ]
        await tell_budgets(systems)
        report = await asyncio.to_thread(run_report, systems, systems.run.flow_run_id)
        await publish_summary(scope, "sync", titles, Summary(*results))
        await publish_health(scope)
        PhaseResult().joined(*results)
        return report
