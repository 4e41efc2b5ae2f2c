"""Turn closed Salesforce Orders into Business Central sales orders, exactly one each."""

from __future__ import annotations

from prefect import flow

from flows.connection_name import ConnectionName
from tasks.batches import PhaseResult, Scope, run_phase
from tasks.changes import Extent, find_changed_orders
from tasks.open_systems import open_systems
from tasks.orders import find_orders, plan_orders, show_orders, write_orders
from tasks.run_artifacts import Summary, publish_summary


@flow(name="ingest-orders", flow_run_name="{connection}")
async def ingest_orders(connection: ConnectionName, only: Extent = "everything") -> PhaseResult:
    """Create one sales order with equal lines and net total for every qualifying Order.

    Runs after catalog and customers; an order whose item or customer is missing waits for it and
    says so. Writes sales orders in Business Central, and their id, number and standing back to the
    Order. Retrying a failed run writes only what is missing.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        only: Everything that may have changed, or what the change feeds stored.
    """
    async with open_systems(connection, "kind:order", "to-business-central") as systems:
        scope = Scope(systems)
        find = find_orders if only == "everything" else find_changed_orders
        found = await find(scope)
        result = await run_phase(systems, found, plan_orders, write_orders)
        await result.showing(show_orders(scope))
        await publish_summary(scope, "ingest-orders", ["orders"], Summary(result))
        result.raise_faults()
        return result
