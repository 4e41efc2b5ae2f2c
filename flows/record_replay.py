"""Run parked or chosen records again, in the order of causes."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from prefect import flow

from flows.connection_name import ConnectionName
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.addresses import Addresses
from ml_connector.exchange.feed_report import instant_text
from ml_connector.exchange.replay import Selection, replayed
from ml_connector.exchange.report import begin_run, exit_code
from tasks.batches import PhaseResult, Scope, run_phase
from tasks.catalog import plan_items, show_items, write_items
from tasks.customers import (
    plan_contacts,
    plan_customers,
    show_contacts,
    show_customers,
    write_contacts,
    write_customers,
)
from tasks.invoices import plan_drafts, plan_shipments, post_invoices, ship_and_invoice
from tasks.open_systems import open_systems
from tasks.orders import plan_orders, show_orders, write_orders
from tasks.replay import choose_records, derive_status, release_records
from tasks.run_artifacts import Summary, publish_summary


@flow(name="replay-records", flow_run_name="{connection}", persist_result=False)
async def replay_records(
    connection: ConnectionName,
    records: list[str] | None = None,
    cause: str = "",
    since: datetime | None = None,
    everything: bool = False,
) -> dict[str, Any]:
    """Decide on parked or chosen records again, as they are now and under the policy as it is now.

    Say which ones in exactly one way. Items come first, then customers, contacts, orders and
    invoices; what a record waits for is run before it. A record named by its id whose partner was
    deleted in Business Central is written there again.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        records: Ids or numbers of records in either system.
        cause: Every waiting or parked record with this cause, such as blocked_customer.
        since: Every record that changed, or was dealt with, since this time.
        everything: Every waiting or parked record.
    """
    selection = Selection(tuple(records or ()), cause, since, everything)
    async with open_systems(connection, "both-directions") as systems:
        scope = Scope(systems)
        await asyncio.to_thread(begin_run, systems, "replay-records")
        choice = await choose_records(scope, selection)
        await release_records(scope, choice)
        chosen = choice.chosen
        phases = (
            (Kind.ITEM, plan_items, write_items),
            (Kind.CUSTOMER, plan_customers, write_customers),
            (Kind.CONTACT, plan_contacts, write_contacts),
            (Kind.ORDER, plan_orders, write_orders),
            (Kind.INVOICE, plan_drafts, post_invoices),
            (Kind.INVOICE, plan_shipments, ship_and_invoice),
        )
        results = [
            await run_phase(systems, chosen.of(kind), plan, write) for kind, plan, write in phases
        ]
        shipped = results.pop()
        results[-1].followed_by([shipped])
        await derive_status(scope, choice)
        shown = PhaseResult()
        for show in (show_items, show_customers, show_contacts, show_orders):
            await shown.showing(show(scope))
        titles = ["items", "customers", "contacts", "orders", "invoices", "status"]
        await publish_summary(scope, "replay-records", titles, Summary(*results, shown))
        shown.joined(*results)
        stand = await asyncio.to_thread(replayed, systems, chosen)
        addresses = Addresses(systems.settings)
        return {
            "connection": connection,
            "flow_run_id": systems.run.flow_run_id,
            "selection": str(selection),
            "ended_at": instant_text(systems.clock.now()),
            "exit_code": await asyncio.to_thread(exit_code, systems),
            "records": [addresses.report(record) for record in stand],
        }
