"""Status back to Salesforce: find orders with news, derive what they and accounts show."""

from __future__ import annotations

from prefect import task

from ml_connector.exchange import status
from tasks.batches import Scope, Window
from tasks.retry_policy import EFFECT


@task(name="find-affected-orders", task_run_name="find orders with news", **EFFECT)
async def find_affected_orders(scope: Scope) -> list[str]:
    """Return the linked orders whose documents moved, by stamp or by the sweep of open invoices."""
    return await scope.run(status.collect_affected_orders)


@task(name="find-notified-orders", task_run_name="find orders with news", **EFFECT)
async def find_notified_orders(scope: Scope) -> list[str]:
    """Return the orders that notifications led to; asks the ledger only."""
    return await scope.run(status.orders_with_news)


@task(name="are-accounts-due", task_run_name="look for news of accounts", **EFFECT)
async def are_accounts_due(scope: Scope) -> bool:
    """Tell whether notifications call for a look at balances; asks the ledger only."""
    return await scope.run(status.accounts_are_due)


@task(name="derive-status", task_run_name="derive status {window}", **EFFECT)
async def derive_status(window: Window) -> int:
    """Read the orders' documents, store what Salesforce should show; return how many moved."""
    return await window.run(status.prepare_status)


@task(name="derive-account-status", task_run_name="derive balances of accounts", **EFFECT)
async def derive_account_status(scope: Scope) -> int:
    """Read balances, credit limits and blocks; store what the accounts should show."""
    return await scope.run(status.account_status)
