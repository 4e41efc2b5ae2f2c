"""Stop before writing when a run would change too much of what exists."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import Customer, SalesOrder, WireModel, parse
from ml_connector.configuration.fields import incoming, shown_from
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.domain.money import ZERO
from ml_connector.errors import GuardTripped
from ml_connector.exchange import catalog, contacts, customers, orders
from ml_connector.exchange.budgets import has_spare
from ml_connector.exchange.collect import polled_ahead
from ml_connector.exchange.expressed import differences, forget_unmapped
from ml_connector.exchange.guard_rule import ALL, FREE, Excess, Touched, excesses
from ml_connector.exchange.item_following import FEED as ITEMS_FOLLOWED
from ml_connector.exchange.plan import make_plan, stock_of
from ml_connector.exchange.reading import ids_where, read_orders
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.orders.planning import qualification
from ml_connector.salesforce.models import Order

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

_WITHDRAWN = frozenset({Cause.DELETED_IN_SALESFORCE, Cause.WITHDRAWN_AFTER_HAND_OVER})
"""Orders parked for these are deleted in BC all the same once the policy says so."""

_FOLLOWED: Mapping[Kind, tuple[str, type[WireModel]]] = {
    Kind.CUSTOMER: ("customers", Customer),
    Kind.ORDER: ("salesOrders", SalesOrder),
}
"""What the status phase reads whether or not anything told of it; the other sets are polled."""


def require_allowed(systems: Systems, allow_changes: Decimal | None = None) -> None:
    """Make sure that the run may change what it would change; polls Salesforce for it.

    *allow_changes* takes the place of the policy's percentage. The polls serve the phases of the
    same run. Cost: beyond them one read per set of customers or sales orders that owns mapped
    fields, while few linked records changed; else a whole rehearsal.

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
            if record.bc_id and (record.key in new or record.cause not in _stays(systems, kind))
        ]
    return found


def _stays(systems: Systems, kind: Kind) -> frozenset[Cause]:
    deletes = kind is Kind.ORDER and systems.policy.orders.on_cancel == "delete_untouched"
    return _STAYS - _WITHDRAWN if deletes else _STAYS


def _may_be_too_much(systems: Systems, due: dict[Kind, list[Record]], percent: Decimal) -> bool:
    """Tell whether what is due could exceed a share, judged without rehearsing it."""
    known = sum(map(len, due.values())) + _prices_due(systems)
    if known > FREE or known + _overwritten(systems) > FREE:
        return True
    moved = _moved_at_most(systems, due[Kind.ORDER])
    if not moved:
        return False
    return bool(excesses(stock_of(systems.ledger), Touched(moved=moved), percent))


def _overwritten(systems: Systems) -> int:
    """Return how many linked records BC has another value for in a field that it owns.

    Cost: a call per 20,000 customers and sales orders, as far as fields are mapped from them.
    """
    if not has_spare(systems):
        return 0  # the phase that would show them gives way as well
    return sum(
        _differing(systems, kind, page)
        for kind, (entity_set, _) in _FOLLOWED.items()
        if shown_from(systems.policy.fields, entity_set)
        for page in systems.business_central.pages(entity_set, select=_properties(systems, kind))
    )


def _properties(systems: Systems, kind: Kind) -> tuple[str, ...]:
    """Return what to read of the followed set of *kind*: what its model needs, what is mapped."""
    entity_set, model = _FOLLOWED[kind]
    needed = [info.alias for info in model.model_fields.values() if info.is_required()]
    mapped = [
        mapping.property_name
        for mapping in systems.policy.fields
        if mapping.owner == "business_central" and mapping.entity_set == entity_set
    ]
    return tuple(dict.fromkeys(name for name in ("id", *needed, *mapped) if name))


def _differing(systems: Systems, kind: Kind, page: Sequence[Mapping[str, Any]]) -> int:
    """Return how many records linked to the rows of *page* show another value in a mapped field."""
    entity_set, model = _FOLLOWED[kind]
    mappings = systems.policy.fields
    entities = {str(row["id"]).lower(): parse(model, row) for row in page}
    count = 0
    for bc_id, records in systems.ledger.records_by_bc_id(kind, entities).items():
        for record in records:
            forget_unmapped(record, mappings, entity_set)
            record.wanted.update(incoming(mappings, entity_set, entities[bc_id]))
            count += any(not name.startswith("BC_") for name in differences(record))
    return count


def _prices_due(systems: Systems) -> int:
    """Return how many prices the first run of the policy that follows prices may change."""
    if systems.policy.catalog.prices == "off" or systems.ledger.checkpoint(ITEMS_FOLLOWED):
        return 0
    return systems.ledger.counts().get(str(Kind.ITEM), {}).get(str(State.UNCHANGED), 0) + (
        systems.ledger.counts().get(str(Kind.ITEM), {}).get(str(State.WRITTEN), 0)
    )


def _moved_at_most(systems: Systems, due: list[Record]) -> dict[str, Decimal]:
    """Return by how much, per currency, orders that are due differ from what was handed over.

    One that may be deleted counts with all it is worth.
    """
    known = {record.key: record for record in due if record.facts.get("net") is not None}
    present, _ = read_orders(systems, list(known))
    deleted = _may_be_deleted(systems, known, present)
    moved: dict[str, Decimal] = {}
    for key, record in known.items():
        before = Decimal(str(record.facts["net"]))
        now = present[key].total_amount or ZERO if key in present else before
        currency = str(record.facts.get("currency", ""))
        by = abs(before) if key in deleted else abs(now - before)
        if by:
            moved[currency] = moved.get(currency, ZERO) + by
    return moved


def _may_be_deleted(
    systems: Systems, known: Mapping[str, Record], present: Mapping[str, Order]
) -> set[str]:
    """Return the keys of the orders in *known* that the policy lets the run delete in BC."""
    policy = systems.policy.orders
    if policy.on_cancel != "delete_untouched":
        return set()
    met = ids_where(systems, "Order", present, policy.condition) if policy.condition else set()
    standing = {
        key
        for key, order in present.items()
        if qualification(order, policy, matches_condition=key in met) is None
    }
    return known.keys() - standing
