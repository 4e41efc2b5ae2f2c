"""What happens to changes that arrived: the flows of their kinds, in the order of causes."""

from __future__ import annotations

from flows.catalog_alignment import align_catalog
from flows.customer_ingestion import ingest_customers
from flows.invoice_posting import post_draft_invoices
from flows.order_ingestion import ingest_orders
from flows.order_priority import let_orders_through
from flows.status_write_back import write_back_status
from ml_connector.changes.hand_over import Due
from tasks.batches import PhaseResult, settle
from tasks.open_systems import open_systems


async def hand_over_changes(connection: str, work: Due) -> list[PhaseResult]:
    """Run the flows that *work* calls for as subflows, one after another.

    Items and customers come before the orders that need them. A service that stays away is
    remembered in the results, so that the other kinds go on.
    """
    results: list[PhaseResult] = []
    if work.items:
        results.append(await settle(align_catalog(connection, only="changed")))
    if work.customers or work.contacts:
        results.append(await settle(ingest_customers(connection, only="changed")))
    if work.orders or results:
        results.append(await settle(ingest_orders(connection, only="changed")))
    async with open_systems(connection) as systems:
        results += await let_orders_through(connection, systems)
    if work.drafts:
        results.append(await settle(post_draft_invoices(connection, only="changed")))
    if work.status:
        results.append(await settle(write_back_status(connection, only="changed")))
    return results
