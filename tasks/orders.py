"""Closed orders: find what changed, decide, create sales orders exactly once, show the link."""

from __future__ import annotations

from prefect import task

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange import orders
from ml_connector.exchange.outcome import Outcome, Prepared
from ml_connector.exchange.show import ShowResult, show
from tasks.batches import Batch, Scope, Window
from tasks.retry_policy import EFFECT


@task(name="find-orders", task_run_name="find changed orders", **EFFECT)
async def find_orders(scope: Scope) -> list[str]:
    """Store which orders changed; return the ones to decide on, oldest first."""
    return await scope.run(orders.collect_orders)


@task(name="plan-orders", task_run_name="plan orders {window}", **EFFECT)
async def plan_orders(window: Window) -> Prepared:
    """Decide for each order of the window: create, adopt, wait, park or leave out."""
    return await window.prepared(orders.prepare_orders)


@task(name="write-order", task_run_name="order {batch}", **EFFECT)
async def write_orders(batch: Batch) -> list[Outcome]:
    """Create the sales orders; a lost answer is followed by a look before anything is repeated."""
    return await batch.written(orders.prepare_orders, orders.write_orders)


@task(name="show-orders", task_run_name="show status on orders", **EFFECT)
async def show_orders(scope: Scope) -> ShowResult:
    """Write order number, status and amounts onto the orders that show something else."""
    return await scope.run(lambda systems: show(systems, Kind.ORDER))
