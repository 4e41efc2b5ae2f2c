"""Give every Product2 its item, so that order lines can name it."""

from __future__ import annotations

from prefect import flow

from flows.connection_name import ConnectionName
from ml_connector.exchange.budgets import in_background
from tasks.batches import PhaseResult, Scope, run_phase
from tasks.catalog import find_products, plan_items, show_items, write_items
from tasks.changes import ExtentOrAwaited, find_awaited_products, find_changed_products
from tasks.open_systems import open_systems
from tasks.run_artifacts import Summary, publish_summary

JOB = "The catalog"


@flow(name="align-catalog", flow_run_name="{connection}")
async def align_catalog(
    connection: ConnectionName, only: ExtentOrAwaited = "everything"
) -> PhaseResult:
    """Link every product to one item and report what has no partner.

    Runs before customers and orders, which need the items. Writes the link to the ledger and item
    id and number to Product2; creates items only when the policy says so. What has no partner or
    several is parked with the reason; the others go on.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        only: Everything that may have changed, what the change feeds stored, or just what waiting
            orders lack.
    """
    async with open_systems(connection, "kind:item", "both-directions") as systems:
        scope = Scope(systems)
        if only == "awaited":
            found = await find_awaited_products(scope)
            result = await run_phase(systems, found, plan_items, write_items)
        else:
            find = find_products if only == "everything" else find_changed_products
            with in_background(systems, JOB):
                found = await find(scope)
                result = await run_phase(systems, found, plan_items, write_items, job=JOB)
                await result.showing(show_items(scope))
        await publish_summary(scope, "align-catalog", ["items"], Summary(result))
        result.raise_faults()
        return result
