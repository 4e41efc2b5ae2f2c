"""From the inbox to the phases: which records to decide on now, each once however often it changed.

Events are hints. Nothing here looks at what an event said about a record: the phases read it again
before they decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ml_connector.changes.feed_names import SALESFORCE
from ml_connector.changes.notification_feed import drafts_notified, has_news, take_notifications
from ml_connector.domain.identifiers import Kind, State, eighteen
from ml_connector.errors import TransientError
from ml_connector.exchange import catalog, contacts, customers, orders, status
from ml_connector.exchange.budgets import has_spare, note_budgets, refresh_budgets
from ml_connector.exchange.collect import awaited, mark_changed
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.phases import what_orders_await
from ml_connector.exchange.show import show
from ml_connector.exchange.sync import run_phase, windows
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.salesforce.soql import among, in_list, select

_Prepare = Callable[[Systems, Sequence[str]], Prepared]
_WriteAll = Callable[[Systems, Sequence[Planned]], list[Outcome]]

LOOK_AGAIN_AFTER = timedelta(seconds=20)
"""Pause before a record that waits for a service or another worker is tried again."""

HINTS: Mapping[str, tuple[str, str, str]] = {
    "Opportunity": ("Order", "Id", "OpportunityId"),
    "OrderItem": ("OrderItem", "OrderId", "Id"),
}
"""Objects whose changes only point to Orders: where to look, which field to take, found by what."""

_REREAD_AFTER = timedelta(minutes=10)
_SHORT_LIVED = ("customer_index",)
_LISTS = ("currencies", "units", "countries", "multi_currency")
_READ_AT = "lists_read_at"


@dataclass(frozen=True, slots=True)
class Due:
    """What has work: kinds of records to decide on, news from BC, drafts that may be posted."""

    items: bool
    customers: bool
    contacts: bool
    orders: bool
    status: bool
    drafts: bool = False

    @property
    def anything(self) -> bool:
        """Whether there is any work at all."""
        return self.items or self.customers or self.contacts or self.orders or self.status


def due(systems: Systems) -> Due:
    """Tell what the inbox and the waiting records call for; calls Salesforce for hints only."""
    expand_hints(systems)
    counts = systems.ledger.change_counts()

    def has(entity: str, kind: Kind) -> bool:
        return bool(counts.get((SALESFORCE, entity))) or bool(released(systems, kind))

    if not _others_may_go_on(systems):
        return Due(
            items=False,
            customers=False,
            contacts=False,
            orders=has("Order", Kind.ORDER),
            status=False,
        )
    return Due(
        items=has("Product2", Kind.ITEM),
        customers=has("Account", Kind.CUSTOMER),
        contacts=systems.policy.customers.contacts and has("Contact", Kind.CONTACT),
        orders=has("Order", Kind.ORDER),
        status=has_news(systems),
        drafts=drafts_notified(systems),
    )


def _others_may_go_on(systems: Systems) -> bool:
    """Tell whether there is room for more than orders; what is due stays in the inbox if not."""
    if has_spare(systems):
        return True
    refresh_budgets(systems)
    return has_spare(systems)


def awaited_products(systems: Systems) -> list[str]:
    """Return the products whose items waiting orders lack."""
    return awaited(systems, Kind.ITEM)


def awaited_accounts(systems: Systems) -> list[str]:
    """Return the Accounts whose customers waiting orders lack."""
    return awaited(systems, Kind.CUSTOMER)


def changed_products(systems: Systems) -> list[str]:
    """Return the products to decide on now."""
    return _keys(systems, "Product2", Kind.ITEM)


def changed_accounts(systems: Systems) -> list[str]:
    """Return the Accounts to decide on now."""
    forget_short_lived(systems)
    return _keys(systems, "Account", Kind.CUSTOMER)


def changed_contacts(systems: Systems) -> list[str]:
    """Return the Contacts to decide on now, those of Accounts that became customers included."""
    contacts.bring_back_left_out(systems)
    return _keys(systems, "Contact", Kind.CONTACT)


def changed_orders(systems: Systems) -> list[str]:
    """Return the Orders to decide on now, and those whose missing record has arrived."""
    return _keys(systems, "Order", Kind.ORDER)


def _keys(systems: Systems, entity: str, kind: Kind) -> list[str]:
    return list(
        dict.fromkeys([*systems.ledger.pending_ids(SALESFORCE, entity), *released(systems, kind)])
    )


def released(systems: Systems, kind: Kind) -> list[str]:
    """Return the waiting records of *kind* that have what they lacked, or whose pause is over."""
    found: list[str] = []
    now = systems.clock.now()
    for page in systems.ledger.iterate(kind=kind, states=(State.WAITING,)):
        linked = _linked_needs(systems, page)
        for record in page:
            needs = {(need["kind"], need["salesforce_id"]) for need in record.waits_for}
            arrived = bool(needs) and needs <= linked
            rested = not needs and now - record.last_seen_at >= LOOK_AGAIN_AFTER
            if arrived or rested:
                found.append(record.key)
    return found


def _linked_needs(systems: Systems, page: Sequence[Record]) -> set[tuple[str, str]]:
    wanted: dict[str, set[str]] = {}
    for record in page:
        for need in record.waits_for:
            wanted.setdefault(need["kind"], set()).add(need["salesforce_id"])
    return {
        (name, key)
        for name, keys in wanted.items()
        for key, record in systems.ledger.records(Kind(name), sorted(keys)).items()
        if record.bc_id
    }


def expand_hints(systems: Systems) -> None:
    """Put into the inbox what changes point to: Orders of Opportunities, Accounts of new Orders.

    Accounts only when they are no customers yet. Cost: a query per 200 hints, none without.
    """
    up_to = systems.ledger.last_change_id()
    for entity, (sobject, wanted, field) in HINTS.items():
        hinted = systems.ledger.pending_ids(SALESFORCE, entity)
        if not hinted:
            continue
        found = _ids(systems, sobject, wanted, field, hinted)
        with systems.ledger.transaction() as tx:
            mark_changed(systems, "Order", found, entity.lower())
            tx.finish_changes(SALESFORCE, entity, hinted, up_to_id=up_to)
    pending = systems.ledger.pending_ids(SALESFORCE, "Order")
    known = systems.ledger.records(Kind.ORDER, pending)
    fresh = [key for key in pending if key not in known or not known[key].bc_id]
    if not fresh:
        return
    accounts = [
        each for each in _ids(systems, "Order", "AccountId", "Id", fresh) if each is not None
    ]
    records = systems.ledger.records(Kind.CUSTOMER, accounts)
    waiting = set(systems.ledger.pending_ids(SALESFORCE, "Account"))
    unlinked = [
        key
        for key in dict.fromkeys(accounts)
        if key not in waiting and (key not in records or _may_become_customer(records[key]))
    ]
    mark_changed(systems, "Account", unlinked, "order")


def _may_become_customer(record: Record) -> bool:
    return not record.bc_id and record.state is State.EXCLUDED


def _ids(
    systems: Systems, sobject: str, wanted: str, field: str, values: Iterable[str]
) -> list[str]:
    found: dict[str, None] = {}
    for chunk in in_list(list(values)):
        soql = select(sobject, [wanted], where=among(field, chunk))
        for row in systems.salesforce.query_rows(soql, all_rows=True):
            if row.get(wanted):
                found[eighteen(str(row[wanted]))] = None
    return list(found)


def forget_short_lived(systems: Systems) -> None:
    """Forget what a long run must not remember: the match index, and reference lists in time."""
    for name in _SHORT_LIVED:
        systems.remembered.forget(name)
    now = systems.clock.now()
    read_at = systems.remembered.get(_READ_AT, lambda: [now])
    if now - read_at[0] > _REREAD_AFTER:
        read_at[0] = now
        for name in _LISTS:
            systems.remembered.forget(name)


def hand_over(systems: Systems) -> TransientError | None:
    """Let the phases deal with what is due, without an orchestrator; the flows do the same.

    Returns the first fault of a vendor, if any; everything else was dealt with. Where an allowance
    is down to what is kept for orders, the rest stays in the inbox.
    """
    faults: list[TransientError | None] = []
    expand_hints(systems)

    def phase(kind: Kind, keys: list[str], prepare: _Prepare, write: _WriteAll) -> None:
        if not keys:
            return
        faults.append(run_phase(systems, keys, prepare, write))
        faults.append(_fault(lambda: show(systems, kind)))

    if not _others_may_go_on(systems):
        phase(Kind.ORDER, changed_orders(systems), orders.prepare_orders, orders.write_orders)
        faults += what_orders_await(systems)
        return next((fault for fault in faults if fault is not None), None)
    phase(Kind.ITEM, changed_products(systems), catalog.prepare_items, catalog.write_items)
    phase(
        Kind.CUSTOMER,
        changed_accounts(systems),
        customers.prepare_customers,
        customers.write_customers,
    )
    if systems.policy.customers.contacts:
        phase(
            Kind.CONTACT,
            changed_contacts(systems),
            contacts.prepare_contacts,
            contacts.write_contacts,
        )
    phase(Kind.ORDER, changed_orders(systems), orders.prepare_orders, orders.write_orders)
    take_notifications(systems)
    news = systems.ledger.pending_ids(SALESFORCE, status.STATUS_ENTITY)
    for window in windows(news):
        status.prepare_status(systems, window)
    if news:
        faults.append(_fault(lambda: show(systems, Kind.ORDER)))
    if status.accounts_are_due(systems):
        status.account_status(systems)
        faults.append(_fault(lambda: show(systems, Kind.CUSTOMER)))
    note_budgets(systems)
    return next((fault for fault in faults if fault is not None), None)


def _fault(work: Callable[[], object]) -> TransientError | None:
    try:
        work()
    except TransientError as fault:
        return fault
    return None
