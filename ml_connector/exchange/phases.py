"""The phases of the main job in their order, whoever runs them: for real, or as a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import RateLimited, TransientError
from ml_connector.exchange import (
    catalog,
    contacts,
    customers,
    invoices,
    orders,
    shipments,
    status,
)
from ml_connector.exchange.budgets import CODE as RESERVED
from ml_connector.exchange.budgets import has_spare, in_background, require_spare, withheld
from ml_connector.exchange.collect import awaited
from ml_connector.exchange.item_following import follow_items
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.show import show
from ml_connector.exchange.systems import Systems

WINDOW = 500
"""Keys that are read, planned and written together: bounds the memory of a run."""

Prepare = Callable[[Systems, Sequence[str]], Prepared]
WriteAll = Callable[[Systems, Sequence[Planned]], list[Outcome]]


def windows(keys: Sequence[str], size: int = WINDOW) -> list[list[str]]:
    """Return *keys* cut into windows."""
    return [list(keys[start : start + size]) for start in range(0, len(keys), size)]


def run_phase(
    systems: Systems, keys: Sequence[str], prepare: Prepare, write: WriteAll, *, job: str = ""
) -> TransientError | None:
    """Prepare and write *keys* window by window; returns the first fault of a vendor, if any.

    A *job* that can wait stops between windows when what is left is kept for orders.
    """
    fault: TransientError | None = None
    lanes = systems.settings.business_central.max_in_flight
    with ThreadPoolExecutor(lanes) as pool:
        for window in windows(keys):
            held = withheld(systems, job) if job else None
            if held is not None:
                return fault or held
            plans = prepare(systems, window).plans
            size = max(1, -(-len(plans) // 50))
            parts = [plans[start : start + size] for start in range(0, len(plans), size)]
            for result in pool.map(lambda part: _fault_of(write, systems, part), parts):
                fault = fault or result
    return fault


def _fault_of(write: WriteAll, systems: Systems, part: Sequence[Planned]) -> TransientError | None:
    try:
        write(systems, part)
    except TransientError as fault:
        return fault
    return None


def sync_phases(systems: Systems) -> TransientError | None:
    """Run every phase in order; returns the first fault of a vendor, if any.

    What can wait gives way when an allowance is down to what is kept for orders.
    """
    faults: list[TransientError | None] = []
    for job, work in (("The catalog", _catalog), ("Customers", _customers)):
        faults += _giving_way(systems, job, work)
    faults += _orders(systems, orders.collect_orders(systems))
    if not has_spare(systems):
        faults += what_orders_await(systems)
    keys = invoices.collect_drafts(systems)
    faults.append(run_phase(systems, keys, invoices.prepare_drafts, invoices.post_invoices))
    keys = shipments.collect_unposted_orders(systems)
    faults.append(run_phase(systems, keys, shipments.prepare_shipments, shipments.ship_and_invoice))
    faults += _giving_way(systems, "Status", _status)
    return next((fault for fault in faults if fault is not None), None)


Faults = list[TransientError | None]


def _giving_way(systems: Systems, job: str, work: Callable[[Systems, str], Faults]) -> Faults:
    try:
        with in_background(systems, job):
            return work(systems, job)
    except RateLimited as fault:
        if fault.code != RESERVED:
            raise
        return [fault]


def _shown(systems: Systems, kind: Kind) -> TransientError | None:
    try:
        show(systems, kind)
    except TransientError as fault:
        return fault
    return None


def _catalog(systems: Systems, job: str) -> Faults:
    keys = catalog.collect_products(systems)
    faults: Faults = [run_phase(systems, keys, catalog.prepare_items, catalog.write_items, job=job)]
    try:
        follow_items(systems)
    except TransientError as fault:
        faults.append(fault)
    return [*faults, _shown(systems, Kind.ITEM)]


def _customers(systems: Systems, job: str) -> Faults:
    keys = customers.collect_accounts(systems)
    write = customers.write_customers
    faults: Faults = [run_phase(systems, keys, customers.prepare_customers, write, job=job)]
    faults.append(_shown(systems, Kind.CUSTOMER))
    if systems.policy.customers.contacts:
        keys = contacts.collect_contacts(systems)
        write = contacts.write_contacts
        faults.append(run_phase(systems, keys, contacts.prepare_contacts, write, job=job))
        faults.append(_shown(systems, Kind.CONTACT))
    return faults


def _orders(systems: Systems, keys: Sequence[str]) -> Faults:
    fault = run_phase(systems, keys, orders.prepare_orders, orders.write_orders)
    return [fault, _shown(systems, Kind.ORDER)]


def what_orders_await(systems: Systems) -> Faults:
    """Let through the items and customers that orders wait for, then those orders.

    For when everything else gives way; returns the faults of vendors.
    """
    items, accounts = awaited(systems, Kind.ITEM), awaited(systems, Kind.CUSTOMER)
    if not items and not accounts:
        return []
    held = [
        record.key
        for page in systems.ledger.iterate(kind=Kind.ORDER, states=(State.WAITING,))
        for record in page
    ]
    write = customers.write_customers
    return [
        run_phase(systems, items, catalog.prepare_items, catalog.write_items),
        run_phase(systems, accounts, customers.prepare_customers, write),
        *_orders(systems, held),
    ]


def _status(systems: Systems, job: str) -> Faults:
    faults: Faults = []
    for window in windows(status.collect_affected_orders(systems)):
        require_spare(systems, job)
        status.prepare_status(systems, window)
    faults.append(_shown(systems, Kind.ORDER))
    status.account_status(systems)
    return [*faults, _shown(systems, Kind.CUSTOMER)]
