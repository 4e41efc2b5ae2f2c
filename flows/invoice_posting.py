"""Post the draft invoices that belong to linked orders."""

from __future__ import annotations

from prefect import flow

from flows.connection_name import ConnectionName
from tasks.batches import PhaseResult, Scope, run_phase
from tasks.invoices import (
    find_drafts,
    find_unposted_orders,
    plan_drafts,
    plan_shipments,
    post_invoices,
    ship_and_invoice,
)
from tasks.open_systems import open_systems
from tasks.run_artifacts import Summary, publish_summary


@flow(name="post-invoices", flow_run_name="{connection}")
async def post_draft_invoices(connection: ConnectionName) -> PhaseResult:
    """Post every draft invoice of a linked order that fits what the order has left to invoice.

    Runs after the orders and before their status is read. Posts in Business Central only; a draft
    that does not fit is parked and left as it is. The policy can switch posting off, or have linked
    orders shipped and invoiced as well.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
    """
    async with open_systems(connection, "kind:invoice", "to-business-central") as systems:
        scope = Scope(systems)
        drafts = await find_drafts(scope)
        result = await run_phase(systems, drafts, plan_drafts, post_invoices)
        orders = await find_unposted_orders(scope)
        result.followed_by([await run_phase(systems, orders, plan_shipments, ship_and_invoice)])
        await publish_summary(scope, "post-invoices", ["invoices"], Summary(result))
        result.raise_faults()
        return result
