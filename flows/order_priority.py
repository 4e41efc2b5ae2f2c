"""Orders first, when an allowance is down to what is kept for them."""

from __future__ import annotations

import asyncio

from flows.catalog_alignment import align_catalog
from flows.customer_ingestion import ingest_customers
from flows.order_ingestion import ingest_orders
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.budgets import has_spare
from ml_connector.exchange.collect import awaited
from ml_connector.exchange.systems import Systems
from tasks.batches import PhaseResult, settle


async def let_orders_through(connection: str, systems: Systems) -> list[PhaseResult]:
    """Run the flows for exactly those items and customers that orders wait for, then the orders.

    Does nothing while there is room for all: then the flows of each kind do the same and more.
    """
    if await asyncio.to_thread(has_spare, systems):
        return []
    results: list[PhaseResult] = []
    if await asyncio.to_thread(awaited, systems, Kind.ITEM):
        results.append(await settle(align_catalog(connection, only="awaited")))
    if await asyncio.to_thread(awaited, systems, Kind.CUSTOMER):
        results.append(await settle(ingest_customers(connection, only="awaited")))
    if results:
        results.append(await settle(ingest_orders(connection, only="changed")))
    return results
