"""The main job: everything that keeps both systems in agreement, in the order of causes."""

from __future__ import annotations

import asyncio

from prefect import flow

from flows.catalog_alignment import align_catalog
from flows.connection_check import check_connections
from flows.connection_name import ConnectionName
from flows.customer_ingestion import ingest_customers
from flows.invoice_posting import post_draft_invoices
from flows.order_ingestion import ingest_orders
from flows.status_write_back import write_back_status
from ml_connector.exchange.report import SyncReport, begin_run, run_report
from tasks.batches import PhaseResult, Scope, settle
from tasks.open_systems import open_systems
from tasks.run_artifacts import Summary, publish_summary


@flow(name="sync", flow_run_name="sync {connection}")
async def sync(connection: ConnectionName) -> SyncReport:
    """Bring customers, catalog, orders, invoices and status of one connection into agreement.

    Checks the connection, then runs catalog, customers, orders, invoices and status one after
    another. Records that lack something wait or are parked, each with its reason; the others go
    on. When a service fails for a while, the phases after it still do what they can, and the run
    fails at the end; retrying it writes only what is missing.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
    """
    async with open_systems(connection) as systems:
        await asyncio.to_thread(begin_run, systems, "sync")
        await check_connections(connection, depth="sign-in")
        titles = ["catalog", "customers", "orders", "invoices", "status"]
        results = [
            await settle(align_catalog(connection)),
            await settle(ingest_customers(connection)),
            await settle(ingest_orders(connection)),
            await settle(post_draft_invoices(connection)),
            await settle(write_back_status(connection)),
        ]
        report = await asyncio.to_thread(run_report, systems, systems.run.flow_run_id)
        await publish_summary(Scope(systems), "sync", titles, Summary(*results))
        PhaseResult().joined(*results)
        return report
