"""Products and items: find what changed, decide, link or create, show the link in Salesforce."""

from __future__ import annotations

from prefect import task

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange import catalog
from ml_connector.exchange.outcome import Outcome, Prepared
from ml_connector.exchange.show import ShowResult, show
from tasks.batches import Batch, Scope, Window
from tasks.retry_policy import EFFECT


@task(name="find-products", task_run_name="find changed products", **EFFECT)
async def find_products(scope: Scope) -> list[str]:
    """Store what changed in both catalogs; return the products to decide on."""
    return await scope.run(catalog.collect_products)


@task(name="plan-items", task_run_name="plan items {window}", **EFFECT)
async def plan_items(window: Window) -> Prepared:
    """Decide for each product of the window which item is its partner, writing nothing."""
    return await window.prepared(catalog.prepare_items)


@task(name="write-item", task_run_name="item {batch}", **EFFECT)
async def write_items(batch: Batch) -> list[Outcome]:
    """Link each product to its item, or create the item when the policy says so."""
    return await batch.written(catalog.prepare_items, catalog.write_items)


@task(name="show-items", task_run_name="show items on products", **EFFECT)
async def show_items(scope: Scope) -> ShowResult:
    """Write item id and number onto the products that do not show them yet."""
    return await scope.run(lambda systems: show(systems, Kind.ITEM))
