"""Stop before writing when a run would change too much of what exists."""

from __future__ import annotations

import logging
from decimal import Decimal

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State, eighteen
from ml_connector.domain.money import ZERO
from ml_connector.errors import GuardTripped
from ml_connector.exchange import catalog, contacts, customers, orders
from ml_connector.exchange.budgets import has_spare
from ml_connector.exchange.collect import polled_ahead
from ml_connector.exchange.guard_rule import ALL, FREE, Excess, Touched, excesses
from ml_connector.exchange.item_following import FEED as ITEMS_FOLLOWED
from ml_connector.exchange.plan import make_plan, stock_of
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.salesforce.soql import among, in_list, select

log = logging.getLogger("ml_connector")

_SOBJECTS = {
    Kind.ITEM: "Product2",
    Kind.CUSTOMER: "Account",
    Kind.CONTACT: "Contact",
    Kind.ORDER: "Order",
}
_STAYS = frozenset({
    Cause.TOTAL_DIFFERS, Cause.DELETED_IN_BC, Cause.DELETED_IN_SALESFORCE,
    Cause.WITHDRAWN_AFTER_HAND_OVER, Cause.AMBIGUOUS_ITEM,
})  # fmt: skip
"""Parked for these, a linked record is looked at by each run and not written."""


def require_allowed(systems: Systems, allow_changes: Decimal | None = None) -> None:
    """Make sure that the run may change what it would change; polls Salesforce for it.

    *allow_changes* takes the place of the policy's percentage. The polls serve the phases of the
    same run. Cost: none beyond them while few linked records changed; else a whole rehearsal.

    Raises: GuardTripped naming what would change and the switch that lets it through.
    """
    policy = systems.policy.guard.changed_percent
    percent = policy if allow_changes is None else allow_changes
    if percent >= ALL:
        return
    due = _due(systems)
    if not _may_be_too_much(systems, due, percent):
        return
    log.info("many linked records changed; rehearsing the run before anything is written")
    found = make_plan(systems).excesses(percent)
    if found:
        raise tripped(systems.settings.name, found, percent)


def tripped(connection: str, found: tuple[Excess, ...], percent: Decimal) -> GuardTripped:
    """Return the error that stops a run which would change too much."""
    needed = max(excess.percent for excess in found)
    reasons = "; ".join(excess.reason for excess in found)
    return GuardTripped(
        f"The run would change {reasons}; more than {percent.normalize():f} percent is not allowed "
        "without asking. Nothing was written.",
        code="guard",
        remedy=(
            f"Look at it with `ml-connector sync {connection} --plan`; let it through once with "
            f"`--allow-changes {needed}` (in the Prefect form: allow_changes)."
        ),
    )


def _due(systems: Systems) -> dict[Kind, list[Record]]:
    """Return the linked records that the run will decide about, after polling for them."""
    if has_spare(systems):
        catalog.collect_products(systems)
        customers.collect_accounts(systems)
        if systems.policy.customers.contacts:
            contacts.collect_contacts(systems)
        polled_ahead(systems, "salesforce/Product2", "business_central/items")
        polled_ahead(systems, "salesforce/Account", "salesforce/Contact")
    orders.collect_orders(systems)
    found: dict[Kind, list[Record]] = {}
    for kind, sobject in _SOBJECTS.items():
        changed = systems.ledger.pending_ids("salesforce", sobject)
        stuck = systems.ledger.keys(kind, states=(State.WAITING, State.PARKED))
        records = systems.ledger.records(kind, {*changed, *stuck})
        new = set(changed)
        found[kind] = [
            record
            for record in records.values()
            if record.bc_id and (record.key in new or record.cause not in _STAYS)
        ]
    return found


def _may_be_too_much(systems: Systems, due: dict[Kind, list[Record]], percent: Decimal) -> bool:
    """Tell whether what is due could exceed a share, judged without reading it."""
    if sum(map(len, due.values())) + _prices_due(systems) > FREE:
        return True
    moved = _moved_at_most(systems, due[Kind.ORDER])
    if not moved:
        return False
    return bool(excesses(stock_of(systems.ledger), Touched(moved=moved), percent))


def _prices_due(systems: Systems) -> int:
    """Return how many prices the first run of the policy that follows prices may change."""
    if systems.policy.catalog.prices == "off" or systems.ledger.checkpoint(ITEMS_FOLLOWED):
        return 0
    return systems.ledger.counts().get(str(Kind.ITEM), {}).get(str(State.UNCHANGED), 0) + (
        systems.ledger.counts().get(str(Kind.ITEM), {}).get(str(State.WRITTEN), 0)
    )


def _moved_at_most(systems: Systems, due: list[Record]) -> dict[str, Decimal]:
    """Return by how much, per currency, orders that are due differ from what was handed over."""
    known = {record.key: record for record in due if record.facts.get("net") is not None}
    moved: dict[str, Decimal] = {}
    for chunk in in_list(list(known)):
        soql = select("Order", ["Id", "TotalAmount"], where=among("Id", chunk))
        for row in systems.salesforce.query_rows(soql):
            record = known[eighteen(str(row["Id"]))]
            now, before = (
                Decimal(str(each or 0)) for each in (row.get("TotalAmount"), record.facts["net"])
            )
            currency = str(record.facts.get("currency", ""))
            if now != before:
                moved[currency] = moved.get(currency, ZERO) + abs(now - before)
    return moved
