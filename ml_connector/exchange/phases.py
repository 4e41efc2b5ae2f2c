"""The phases of the main job in their order, whoever runs them: for real, or as a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import TransientError
from ml_connector.exchange import (
    catalog,
    contacts,
    customers,
    invoices,
    orders,
    shipments,
    status,
)
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
    systems: Systems, keys: Sequence[str], prepare: Prepare, write: WriteAll
) -> TransientError | None:
    """Prepare and write *keys* window by window; returns the first fault of a vendor, if any."""
    fault: TransientError | None = None
    lanes = systems.settings.business_central.max_in_flight
    with ThreadPoolExecutor(lanes) as pool:
        for window in windows(keys):
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
    """Run every phase in order; returns the first fault of a vendor, if any."""
    faults: list[TransientError | None] = []

    def shown(kind: Kind) -> None:
        try:
            show(systems, kind)
        except TransientError as fault:
            faults.append(fault)

    keys = catalog.collect_products(systems)
    faults.append(run_phase(systems, keys, catalog.prepare_items, catalog.write_items))
    try:
        follow_items(systems)
    except TransientError as fault:
        faults.append(fault)
    shown(Kind.ITEM)
    keys = customers.collect_accounts(systems)
    faults.append(run_phase(systems, keys, customers.prepare_customers, customers.write_customers))
    shown(Kind.CUSTOMER)
    if systems.policy.customers.contacts:
        keys = contacts.collect_contacts(systems)
        faults.append(run_phase(systems, keys, contacts.prepare_contacts, contacts.write_contacts))
        shown(Kind.CONTACT)
    keys = orders.collect_orders(systems)
    faults.append(run_phase(systems, keys, orders.prepare_orders, orders.write_orders))
    shown(Kind.ORDER)
    keys = invoices.collect_drafts(systems)
    faults.append(run_phase(systems, keys, invoices.prepare_drafts, invoices.post_invoices))
    keys = shipments.collect_unposted_orders(systems)
    faults.append(run_phase(systems, keys, shipments.prepare_shipments, shipments.ship_and_invoice))
    for window in windows(status.collect_affected_orders(systems)):
        status.prepare_status(systems, window)
    shown(Kind.ORDER)
    status.account_status(systems)
    shown(Kind.CUSTOMER)
    return next((fault for fault in faults if fault is not None), None)
