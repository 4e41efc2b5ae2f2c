"""Draft invoices of linked orders, and orders that are shipped and invoiced: find, decide, post."""

from __future__ import annotations

from prefect import task

from ml_connector.exchange import invoices, shipments
from ml_connector.exchange.outcome import Outcome, Prepared
from tasks.batches import Batch, Scope, Window
from tasks.retry_policy import EFFECT


@task(name="find-drafts", task_run_name="find draft invoices", **EFFECT)
async def find_drafts(scope: Scope) -> list[str]:
    """Return the draft invoices that may belong to linked orders."""
    return await scope.run(invoices.collect_drafts)


@task(name="plan-drafts", task_run_name="check drafts {window}", **EFFECT)
async def plan_drafts(window: Window) -> Prepared:
    """Decide which drafts belong to a linked order and fit what it has left to invoice."""
    return await window.prepared(invoices.prepare_drafts)


@task(name="post-invoice", task_run_name="post invoice {batch}", **EFFECT)
async def post_invoices(batch: Batch) -> list[Outcome]:
    """Post the drafts; each is read before a repeated post, so that none is posted twice."""
    return await batch.written(invoices.prepare_drafts, invoices.post_invoices)


@task(name="find-unposted-orders", task_run_name="find orders to ship", **EFFECT)
async def find_unposted_orders(scope: Scope) -> list[str]:
    """Return the sales orders to ship and invoice, where the policy says so."""
    return await scope.run(shipments.collect_unposted_orders)


@task(name="plan-shipments", task_run_name="check orders to ship {window}", **EFFECT)
async def plan_shipments(window: Window) -> Prepared:
    """Decide which sales orders have something left to ship or invoice."""
    return await window.prepared(shipments.prepare_shipments)


@task(name="ship-and-invoice", task_run_name="ship and invoice {batch}", **EFFECT)
async def ship_and_invoice(batch: Batch) -> list[Outcome]:
    """Ship and invoice the orders; each is read before it is repeated, so none is posted twice."""
    return await batch.written(shipments.prepare_shipments, shipments.ship_and_invoice)
