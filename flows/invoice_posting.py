"""Post the draft invoices that belong to linked orders."""

from __future__ import annotations

from prefect import flow

from flows.connection_name import ConnectionName
from tasks.batches import PhaseResult, Scope, run_phase
from tasks.changes import Extent
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
async def post_draft_invoices(
    connection: ConnectionName, only: Extent = "everything"
) -> PhaseResult:
    """Post every draft invoice of a linked order that fits what the order has left to invoice.

    Runs after the orders and before their status is read. Posts in Business Central only; a draft
    that does not fit is parked and left as it is. The policy can switch posting off, or have linked
    orders shipped and invoiced as well: that looks at every open order, so not with each change.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        only: Drafts and whole orders, or drafts alone, because something told of invoices.
    """
    async with open_systems(connection, "kind:invoice", "to-business-central") as systems:
        scope = Scope(systems)
        drafts = await find_drafts(scope)
        result = await run_phase(systems, drafts, plan_drafts, post_invoices)
        if only == "everything":
            orders = await find_unposted_orders(scope)
            shipped = await run_phase(systems, orders, plan_shipments, ship_and_invoice)
            result.followed_by([shipped])
        await publish_summary(scope, "post-invoices", ["invoices"], Summary(result))
        result.raise_faults()
        return result
