"""Turn Accounts and their Contacts into customers and contacts."""

from __future__ import annotations

from prefect import flow

from flows.connection_name import ConnectionName
from ml_connector.exchange.budgets import in_background
from tasks.batches import PhaseResult, Scope, run_phase
from tasks.changes import (
    ExtentOrAwaited,
    find_awaited_accounts,
    find_changed_accounts,
    find_changed_contacts,
)
from tasks.customers import (
    find_accounts,
    find_contacts,
    plan_contacts,
    plan_customers,
    show_contacts,
    show_customers,
    write_contacts,
    write_customers,
)
from tasks.open_systems import open_systems
from tasks.run_artifacts import Summary, publish_summary

JOB = "Customers and contacts"


@flow(name="ingest-customers", flow_run_name="{connection}")
async def ingest_customers(
    connection: ConnectionName, only: ExtentOrAwaited = "everything"
) -> PhaseResult:
    """Create, update or link a customer for every qualifying Account, then its contacts.

    Runs before orders, which need the customers; contacts come after their customer. Writes
    customers and person contacts in Business Central, and their id and number back to Salesforce.
    An account that could be several customers is parked with the candidates.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        only: Everything that may have changed, what the change feeds stored, or just the customers
            that waiting orders lack.
    """
    async with open_systems(
        connection, "kind:customer", "kind:contact", "to-business-central"
    ) as systems:
        scope = Scope(systems)
        people = PhaseResult()
        if only == "awaited":
            accounts = await find_awaited_accounts(scope)
            customers = await run_phase(systems, accounts, plan_customers, write_customers)
        else:
            everything = only == "everything"
            with in_background(systems, JOB):
                accounts = await (find_accounts if everything else find_changed_accounts)(scope)
                customers = await run_phase(
                    systems, accounts, plan_customers, write_customers, job=JOB
                )
                await customers.showing(show_customers(scope))
                if systems.policy.customers.contacts:
                    found = await (find_contacts if everything else find_changed_contacts)(scope)
                    people = await run_phase(systems, found, plan_contacts, write_contacts, job=JOB)
                    await people.showing(show_contacts(scope))
        titles = ["customers", "contacts"]
        await publish_summary(scope, "ingest-customers", titles, Summary(customers, people))
        return customers.joined(people)
