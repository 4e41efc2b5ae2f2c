"""Draft invoices of linked orders: find them, decide whether they fit, post them."""

from __future__ import annotations

from prefect import task

from ml_connector.exchange import invoices
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
