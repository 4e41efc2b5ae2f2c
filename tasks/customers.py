"""Accounts and Contacts: find what changed, decide, write customers and contacts, show links."""

from __future__ import annotations

from prefect import task

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange import contacts, customers
from ml_connector.exchange.outcome import Outcome, Prepared
from ml_connector.exchange.show import ShowResult, show
from tasks.batches import Batch, Scope, Window
from tasks.retry_policy import EFFECT


@task(name="find-accounts", task_run_name="find changed accounts", **EFFECT)
async def find_accounts(scope: Scope) -> list[str]:
    """Store what changed in accounts, orders and customers; return the accounts to decide on."""
    return await scope.run(customers.collect_accounts)


@task(name="plan-customers", task_run_name="plan customers {window}", **EFFECT)
async def plan_customers(window: Window) -> Prepared:
    """Decide for each account of the window which customer it is, writing nothing."""
    return await window.prepared(customers.prepare_customers)


@task(name="write-customer", task_run_name="customer {batch}", **EFFECT)
async def write_customers(batch: Batch) -> list[Outcome]:
    """Create, update or link the customers; a repeated attempt finds what an earlier one wrote."""
    return await batch.written(customers.prepare_customers, customers.write_customers)


@task(name="show-customers", task_run_name="show customers on accounts", **EFFECT)
async def show_customers(scope: Scope) -> ShowResult:
    """Write customer id, number and standing onto the accounts that show something else."""
    return await scope.run(lambda systems: show(systems, Kind.CUSTOMER))


@task(name="find-contacts", task_run_name="find changed contacts", **EFFECT)
async def find_contacts(scope: Scope) -> list[str]:
    """Store what changed in contacts; return the ones to decide on."""
    return await scope.run(contacts.collect_contacts)


@task(name="plan-contacts", task_run_name="plan contacts {window}", **EFFECT)
async def plan_contacts(window: Window) -> Prepared:
    """Decide for each contact of the window, writing nothing."""
    return await window.prepared(contacts.prepare_contacts)


@task(name="write-contact", task_run_name="contact {batch}", **EFFECT)
async def write_contacts(batch: Batch) -> list[Outcome]:
    """Create or update the person contacts under their customer's company contact."""
    return await batch.written(contacts.prepare_contacts, contacts.write_contacts)


@task(name="show-contacts", task_run_name="show links on contacts", **EFFECT)
async def show_contacts(scope: Scope) -> ShowResult:
    """Write the BC contact id onto the contacts that do not show it yet."""
    return await scope.run(lambda systems: show(systems, Kind.CONTACT))
