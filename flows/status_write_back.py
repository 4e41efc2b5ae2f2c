"""Bring order, shipment, invoice and payment status back onto the Order and the Account."""

from __future__ import annotations

import asyncio

from prefect import flow

from flows.connection_name import ConnectionName
from ml_connector.exchange.budgets import in_background, require_spare
from tasks.batches import PhaseResult, Scope, windows
from tasks.billing_status import (
    are_accounts_due,
    derive_account_status,
    derive_status,
    find_affected_orders,
    find_notified_orders,
)
from tasks.changes import Extent
from tasks.customers import show_customers
from tasks.open_systems import open_systems
from tasks.orders import show_orders
from tasks.run_artifacts import Summary, publish_summary
from tasks.subscriptions import take_notifications

JOB = "Status"


@flow(name="write-back-status", flow_run_name="{connection}")
async def write_back_status(connection: ConnectionName, only: Extent = "everything") -> PhaseResult:
    """Show on Salesforce what Business Central says was ordered, shipped, invoiced and paid.

    Runs after posting. Includes the sweep of open invoices, which sees partial payments that no
    notification tells. Writes only fields that differ, up to 200 records a call.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        only: Look at everything that may have moved, or only at what notifications told.
    """
    async with open_systems(connection, "kind:status", "to-salesforce") as systems:
        scope = Scope(systems)
        await take_notifications(scope)
        find = find_affected_orders if only == "everything" else find_notified_orders
        with in_background(systems, JOB):
            for window in windows(systems, await find(scope)):
                await asyncio.to_thread(require_spare, systems, JOB)
                await derive_status(window)
            orders = await PhaseResult().showing(show_orders(scope))
            if only == "everything" or await are_accounts_due(scope):
                await derive_account_status(scope)
            accounts = await PhaseResult().showing(show_customers(scope))
        titles = ["orders", "accounts"]
        await publish_summary(scope, "write-back-status", titles, Summary(orders, accounts))
        return orders.joined(accounts)
