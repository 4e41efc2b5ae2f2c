"""Ingest orders: each qualifying Order becomes exactly one BC sales order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.business_central.client import BatchOperation
from ml_connector.business_central.faults import not_read_back
from ml_connector.business_central.models import (
    Customer,
    Item,
    SalesOrder,
)
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.configuration.fields import incoming, outgoing
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Create,
    Decision,
    Delete,
    Exclude,
    Link,
    Need,
    Park,
    Unchanged,
    Update,
    Wait,
)
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import ConcurrentEdit, OutcomeUnknown, StaleClaim, TransientError
from ml_connector.exchange.chains import Chain, read_chains
from ml_connector.exchange.collect import content_digest, due_keys, mark_changed, shown_fields
from ml_connector.exchange.customers import poll_orders, read_customers
from ml_connector.exchange.decided import Decided, gone_on_both_sides, store_decided
from ml_connector.exchange.expressed import express, forget_unmapped
from ml_connector.exchange.late_orders import take_back
from ml_connector.exchange.order_lines import LINES_READ, line_marks
from ml_connector.exchange.order_removal import forget_partner, removal
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import planned_record, write_each
from ml_connector.exchange.reading import ids_where, read_orders
from ml_connector.exchange.references import find_documents, not_of_others
from ml_connector.exchange.relinking import partner_is_gone, relink, settle_lost_orders
from ml_connector.exchange.status import STATUS_ENTITY, apply_chain
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Write,
    Written,
    audit_decision,
    enter_decision,
    fresh_record,
    store_decision,
    write_once,
)
from ml_connector.ledger.records import Intent, Record
from ml_connector.orders.changes import (
    HandedOver,
    filled_in,
    plan_change,
    unexplained_difference,
    withdrawn,
)
from ml_connector.orders.mapping import (
    LINES,
    ItemFacts,
    OrderContext,
    agreed,
    order_currency,
    order_reference,
)
from ml_connector.orders.planning import (
    FoundDocuments,
    invoiced_difference,
    plan_adoption,
    plan_order,
    qualification,
    total_difference,
)
from ml_connector.orders.totals import net_total
from ml_connector.salesforce.models import Order

log = logging.getLogger("ml_connector")


def collect_orders(systems: Systems) -> list[str]:
    """Store changed Orders in the inbox and return the Order ids to decide now."""
    poll_orders(systems)
    return due_keys(systems, "Order", Kind.ORDER)


@dataclass(slots=True)
class _Window:
    """What deciding about one window of Orders needs from both systems."""

    customers: dict[str, Customer] = field(default_factory=dict)
    accounts: dict[str, Record] = field(default_factory=dict)
    products: dict[str, Record] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    conditioned: set[str] = field(default_factory=set)
    found: dict[str, FoundDocuments] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)


def prepare_orders(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide about the Orders of *keys*; what needs no BC write is stored at once."""
    up_to = systems.ledger.last_change_id()
    orders, rows = read_orders(systems, keys)
    settle_lost_orders(systems, keys)
    known = systems.ledger.records(Kind.ORDER, keys)
    records = {key: known.get(key) or fresh_record(systems, Kind.ORDER, key) for key in keys}
    missing_partners = relink(systems, orders, records)
    window = _read_window(systems, orders, records)
    decided: list[Decided] = []
    plans: list[Planned] = []
    adopted: dict[str, str] = {}
    for key, record in records.items():
        order = orders.get(key)
        if order is None:
            gone = _deleted(systems, record, window)
            if isinstance(gone, Delete):
                number = record.salesforce_number
                plans.append(Planned(Kind.ORDER, key, number, gone, None, up_to, {}))
            else:
                decided.append(Decided(record, gone))
            continue
        _note_source(systems, record, order, rows[key])
        context = _context(systems, order, window)
        if record.bc_id:
            linked = _decide_linked(systems, record, order, context, window)
            if isinstance(linked.decision, Update | Delete):
                plans.append(_planned(record, order, rows[key], linked.decision, up_to, context))
            else:
                decided.append(linked)
            continue
        decision = plan_order(
            order,
            context=context,
            found=not_of_others(
                systems,
                key,
                window.found.get(order_reference(order, systems.policy.orders), FoundDocuments()),
                adopted,
            ),
            linked=None,
            policy=systems.policy.orders,
            matches_condition=key in window.conditioned,
        )
        if isinstance(decision, Create) and key in missing_partners:
            decision = partner_is_gone(order)
        if isinstance(decision, Create):
            plans.append(_planned(record, order, rows[key], decision, up_to, context))
        else:
            decided.append(_kept(systems, record, order, context, decision, window))
            if isinstance(decision, Link):
                adopted[decision.bc_id.lower()] = key
    outcomes = store_decided(systems, "Order", decided, up_to)
    mark_changed(systems, STATUS_ENTITY, adopted.values(), "adopted")
    return Prepared(tuple(plans), outcomes)


def _note_source(systems: Systems, record: Record, order: Order, row: Mapping[str, Any]) -> None:
    forget_unmapped(record, systems.policy.fields, "salesOrders")
    record.salesforce_number = order.order_number or ""
    record.source_stamp = content_digest(row)
    record.shown = shown_fields(row, record.wanted)
    record.facts["account_id"] = order.account_id or ""
    record.facts[LINES_READ] = line_marks(order)


def _planned(
    record: Record,
    order: Order,
    row: Mapping[str, Any],
    decision: Create | Update | Delete,
    up_to: int,
    context: OrderContext,
) -> Planned:
    return Planned(
        Kind.ORDER, record.key, record.salesforce_number, decision, order, up_to, row, context
    )


def _kept(
    systems: Systems,
    record: Record,
    order: Order,
    context: OrderContext,
    decision: Decision,
    window: _Window,
) -> Decided:
    """Return a decision without a write; an adopted order agrees with what would be written.

    One that is delivered elsewhere agrees on nothing yet: it is looked at again as a linked one.
    """
    if not isinstance(decision, Link):
        return Decided(record, decision)
    policy = systems.policy.orders
    record.reference = order_reference(order, policy)
    found = window.found.get(record.reference, FoundDocuments())
    bc_order = next((each for each in found.orders if each.id == decision.bc_id), None)
    sent = agreed(order, context, policy)
    differs = bc_order and unexplained_difference(order, sent, bc_order)
    if differs:
        mark_changed(systems, "Order", [record.key], "adopted")
    return Decided(
        record,
        decision,
        facts=_order_facts(systems, order, context),
        sent=None if differs else sent,
    )


def _order_facts(systems: Systems, order: Order, context: OrderContext) -> dict[str, Any]:
    return {
        "account_id": order.account_id or "",
        "customer_id": context.customer.id if context.customer else "",
        "reference": order_reference(order, systems.policy.orders),
        "currency": order_currency(order, context),
        "net": net_total(order),
        LINES_READ: line_marks(order),
    }


def _decide_linked(
    systems: Systems, record: Record, order: Order, context: OrderContext, window: _Window
) -> Decided:
    """Decide about an Order that was handed over: edited, withdrawn, or compared again."""
    chain = window.chains.get(record.key, Chain())
    change = _plan_change(systems, record, order, context, window)
    if not isinstance(change, Unchanged):
        return Decided(record, change)
    record.reference = order_reference(order, systems.policy.orders)
    facts: dict[str, Any] = {"compare_pending": False}
    customers = [each.customer_id for each in (chain.order, *chain.invoices) if each is not None]
    if customers and not record.facts.get("customer_id"):
        # linked without its customer, as after a lost ledger: BC's own says whose drafts are its
        facts["customer_id"] = customers[0]
    if record.sent is None and chain.order is None:
        short = invoiced_difference(order, chain.live, systems.policy.orders)
        if short is not None:
            return Decided(record, short, facts)
    mapped = _can_be_mapped(order, context)
    differs = total_difference(order, chain.order, systems.policy.orders) if chain.order else None
    sent = agreed(order, context, systems.policy.orders) if mapped else None
    if mapped:
        facts |= _order_facts(systems, order, context)
    if sent is not None and record.sent is None and chain.order is not None:
        differs = differs or unexplained_difference(order, sent, chain.order)
        sent = None if differs else sent
    shown = incoming(systems.policy.fields, "salesOrders", chain.order) if chain.order else {}
    return Decided(record, differs or change, facts, shown, sent)


def _plan_change(
    systems: Systems, record: Record, order: Order, context: OrderContext, window: _Window
) -> Update | Delete | Unchanged | Park | Wait | Exclude:
    chain = window.chains.get(record.key, Chain())
    if record.sent is None:
        return Unchanged(record.bc_id, record.bc_number)
    return plan_change(
        order,
        _handed_over(record, chain),
        context=context,
        policy=systems.policy.orders,
        matches_condition=record.key in window.conditioned,
    )


def _handed_over(record: Record, chain: Chain) -> HandedOver:
    posted = [invoice for invoice in chain.invoices if invoice.id in chain.posted]
    return HandedOver(
        record.bc_id,
        record.bc_number,
        record.sent or {},
        chain.order,
        invoiced=bool(chain.live),
        canceled=bool(posted) and not chain.live,
        given=record.facts.get("filled_in") or {},
    )


def _can_be_mapped(order: Order, context: OrderContext) -> bool:
    return context.customer is not None and all(
        context.items.get(line.product2_id or "") is not None for line in order.order_items or ()
    )


def _deleted(systems: Systems, record: Record, window: _Window) -> Park | Delete | Exclude:
    if record.bc_id:
        chain = window.chains.get(record.key, Chain())
        if chain.order is None and not chain.invoices:
            return gone_on_both_sides(record)
        handed = _handed_over(record, chain)
        name, policy = f"Order {record.salesforce_number}", systems.policy.orders
        if record.sent is not None and policy.on_cancel != "park":
            what = "was deleted in Salesforce after hand-over"
            return withdrawn(name, what, handed, policy, Cause.DELETED_IN_SALESFORCE)
        return Park(
            Cause.DELETED_IN_SALESFORCE,
            f"{name} was deleted in Salesforce; {record.bc_number} stays in Business Central.",
        )
    return Exclude(Cause.DELETED, f"Order {record.salesforce_number or record.key} was deleted.")


def _read_window(
    systems: Systems, orders: Mapping[str, Order], records: Mapping[str, Record]
) -> _Window:
    """Read what the decisions need; three look-ups by reference cover all new orders."""
    window = _Window()
    ledger, policy = systems.ledger, systems.policy.orders
    account_ids = {order.account_id for order in orders.values() if order.account_id}
    window.accounts = ledger.records(Kind.CUSTOMER, sorted(account_ids))
    product_ids = {
        line.product2_id
        for order in orders.values()
        for line in order.order_items or ()
        if line.product2_id
    }
    window.products = ledger.records(Kind.ITEM, sorted(product_ids))
    window.customers = read_customers(
        systems, {each.bc_id.lower() for each in window.accounts.values() if each.bc_id}
    )
    window.items = _read_items(
        systems, {each.bc_id.lower() for each in window.products.values() if each.bc_id}
    )
    if policy.condition:
        window.conditioned = ids_where(systems, "Order", list(orders), policy.condition)
    new = [
        order
        for key, order in orders.items()
        if not records[key].bc_id
        and qualification(order, policy, matches_condition=key in window.conditioned) is None
    ]
    window.found = find_documents(systems, [order_reference(order, policy) for order in new])
    # also of Orders that Salesforce has no more: what BC has of them decides how they end
    window.chains = read_chains(systems, [record for record in records.values() if record.bc_id])
    return window


def _context(systems: Systems, order: Order, window: _Window) -> OrderContext:
    account = window.accounts.get(order.account_id or "")
    customer = window.customers.get(account.bc_id.lower()) if account and account.bc_id else None
    products = {line.product2_id for line in order.order_items or () if line.product2_id}
    return OrderContext(
        customer=customer,
        customer_need=None if customer else Need(Kind.CUSTOMER, order.account_id or ""),
        items={product: _item_facts(window, product) for product in products},
        currencies=systems.currencies(),
        local_currency=systems.local_currency,
        org_currency=systems.org_currency(),
        units=systems.units(),
        countries=systems.countries(),
        extra=outgoing(systems.policy.fields, "salesOrders", order),
        names={
            record.salesforce_id: record.salesforce_number
            for record in (*window.accounts.values(), *window.products.values())
            if record.salesforce_number
        },
    )


def _item_facts(window: _Window, product: str) -> ItemFacts | None:
    record = window.products.get(product)
    if record is None or not record.bc_id or record.cause == Cause.AMBIGUOUS_ITEM:
        return None
    item = window.items.get(record.bc_id.lower())
    if item is None:
        return None
    return ItemFacts(
        item_id=item.id,
        number=item.number,
        blocked=item.blocked,
        base_unit=item.base_unit_of_measure_code,
        sales_unit=str(record.facts.get("sales_unit", "")),
    )


def _read_items(systems: Systems, ids: Iterable[str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for row in systems.business_central.find_by("items", "id", sorted(ids), quote=False):
        item = parse_bc(Item, row)
        found[item.id] = item
    return found


def write_orders(systems: Systems, plans: Sequence[Planned]) -> list[Outcome]:
    """Create the planned sales orders, each exactly once, and compare them to the cent.

    Effect: one POST per order; where BC answers without lines, one re-read per 50 orders.
    Raises: TransientError after every other plan was dealt with.
    """

    def write(claims: Claims, plan: Planned) -> tuple[Outcome, TransientError | None]:
        return _write_order(systems, claims, plan)

    def complete(claims: Claims, outcomes: list[Outcome]) -> list[Outcome]:
        return _compare_unread(systems, claims, plans, outcomes)

    return write_each(systems, Kind.ORDER, plans, write, complete=complete)


def _write_order(
    systems: Systems, claims: Claims, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    record = planned_record(systems, plan)
    if isinstance(plan.decision, Delete):
        return _remove_order(systems, claims, record, plan)
    finish = _finisher(systems, plan)
    if isinstance(plan.decision, Create):
        if record.bc_id:
            return Outcome.of(record, is_final=False), None
        return write_once(systems, claims, record, _creation(systems, plan), finish)
    try:
        return write_once(systems, claims, record, _edit(systems, plan), finish)
    except ConcurrentEdit:
        return _edited_meanwhile(systems, claims, record, plan)


def _remove_order(
    systems: Systems, claims: Claims, record: Record, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    """Delete a withdrawn order; one that is being edited is decided on by the next run."""
    if not record.bc_id:
        return Outcome.of(record, is_final=False), None

    def finish(removed: Record, _: Written) -> None:
        forget_partner(systems, removed)

    try:
        return write_once(systems, claims, record, removal(systems, record, plan), finish)
    except ConcurrentEdit:
        message = f"Order {plan.number}: its sales order is being edited in Business Central."
        return store_decision(systems, record, Park(Cause.CONCURRENT_EDIT, message)), None


def _edited_meanwhile(
    systems: Systems, claims: Claims, record: Record, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    """Read both sides again and decide once more; a second conflict parks the Order."""
    prepared = prepare_orders(systems, [plan.key])
    if not prepared.plans:
        outcomes = prepared.outcomes or (Outcome.of(record, is_final=False),)
        return outcomes[0], None
    (again,) = prepared.plans
    record = planned_record(systems, again)
    if isinstance(again.decision, Delete):
        return _remove_order(systems, claims, record, again)
    try:
        write, finish = _edit(systems, again), _finisher(systems, again)
        return write_once(systems, claims, record, write, finish)
    except ConcurrentEdit:
        message = f"Order {plan.number}: its sales order is being edited in Business Central."
        return store_decision(systems, record, Park(Cause.CONCURRENT_EDIT, message)), None


def _edit(systems: Systems, plan: Planned) -> Write:
    """Return the edit of a handed-over order: header and lines in one transaction.

    The header's ETag guards all of it, so that an edit that came through is never repeated.
    """
    decision = plan.decision
    if not isinstance(decision, Update):
        raise ValueError("only an update edits")
    bc = systems.business_central

    def read() -> SalesOrder:
        row = bc.fetch("salesOrders", decision.bc_id, expand="salesOrderLines")
        return parse_bc(SalesOrder, row)

    def send(on_send: Callable[[], None]) -> Written:
        operations = _edit_operations(systems, decision)
        results = bc.batch(
            operations, continue_on_error=False, all_or_nothing=True, on_send=on_send
        )
        for operation in operations:
            result = results.get(operation.id)
            error = result.error("edit of salesOrders", is_write=True) if result else None
            if error is not None:
                raise error
        if len(results) < len(operations):
            raise OutcomeUnknown(
                "Business Central answered to a part of the edit only", system="business_central"
            )
        try:
            after = read()
        except TransientError as lost:
            raise not_read_back("the edit", lost, record_id=decision.bc_id) from lost
        return Written(after.id, after.number, after)

    def look(_: Intent) -> Written | Park | None:
        return None

    return Write(
        "update",
        decision.bc_id,
        decision.changes,
        send,
        look,
        decision.before,
        decision.rule,
        agreed=agreed(plan.source, plan.context, systems.policy.orders),
    )


def _edit_operations(systems: Systems, decision: Update) -> list[BatchOperation]:
    bc = systems.business_central
    header = {name: value for name, value in decision.changes.items() if name != LINES}
    order_url = bc.batch_url("salesOrders", decision.bc_id)
    operations = [
        BatchOperation(
            id="header",
            method="PATCH",
            url=order_url,
            body=header or decision.unchanged,
            headers={"If-Match": decision.etag},
        )
    ]
    for place, line in enumerate(decision.changes.get(LINES, ())):
        name = f"line{place}"
        body = {key: value for key, value in line.items() if key not in ("id", "etag", "delete")}
        if "id" not in line:
            url = f"{order_url}/salesOrderLines"
            operations.append(BatchOperation(id=name, method="POST", url=url, body=body))
            continue
        operations.append(
            BatchOperation(
                id=name,
                method="DELETE" if line.get("delete") else "PATCH",
                url=bc.batch_url("salesOrderLines", line["id"]),
                body=None if line.get("delete") else body,
                headers={"If-Match": line["etag"]},
            )
        )
    return operations


def _creation(systems: Systems, plan: Planned) -> Write:
    if not isinstance(plan.decision, Create):
        raise ValueError("only a creation creates")
    body = plan.decision.body
    order: Order = plan.source
    context: OrderContext = plan.context
    reference = order_reference(order, systems.policy.orders)
    bc = systems.business_central

    def send(on_send: Callable[[], None]) -> Written:
        row = bc.create("salesOrders", body, expand="salesOrderLines", on_send=on_send)
        return Written(str(row["id"]).lower(), str(row["number"]), parse_bc(SalesOrder, row))

    def look(_: Intent) -> Written | Park | None:
        found = not_of_others(
            systems,
            plan.key,
            find_documents(systems, [reference]).get(reference, FoundDocuments()),
            {},
        )
        match plan_adoption(order, found, context, systems.policy.orders):
            case Link(bc_id=bc_id, bc_number=number):
                written = next((each for each in found.orders if each.id == bc_id), None)
                return Written(bc_id, number, written, adopted=True)
            case Park() as decision:
                return decision
            case _:
                return None

    return Write(
        "create",
        reference,
        body,
        send,
        look,
        {},
        plan.decision.rule,
        agreed=agreed(order, context, systems.policy.orders),
        take_back=lambda late: take_back(systems, plan.key, late),
    )


def _finisher(systems: Systems, plan: Planned) -> Callable[[Record, Written], None]:
    order: Order = plan.source
    context: OrderContext = plan.context

    def finish(record: Record, written: Written) -> None:
        record.facts.update(_order_facts(systems, order, context))
        record.reference = str(record.facts["reference"])
        record.sent = agreed(order, context, systems.policy.orders)
        bc_order: SalesOrder | None = written.answer
        record.facts["filled_in"] = filled_in(bc_order) if bc_order else {}
        if bc_order is None or not bc_order.lines_were_read:
            record.facts["compare_pending"] = True
            express(record)
        else:
            compare_written(systems, record, order, bc_order)
        if written.adopted:
            mark_changed(systems, STATUS_ENTITY, [record.key], "adopted")

    return finish


def compare_written(systems: Systems, record: Record, order: Order, bc_order: SalesOrder) -> None:
    """Compare what BC made of an Order with it, to the cent; a difference parks the record."""
    record.facts["compare_pending"] = False
    difference = total_difference(order, bc_order, systems.policy.orders)
    if difference is not None:
        enter_decision(systems, record, difference)
    apply_chain(systems, record, Chain(order=bc_order))


def _compare_unread(
    systems: Systems, claims: Claims, plans: Sequence[Planned], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Read the orders whose answer came without lines, and compare them now."""
    sources = {plan.key: plan.source for plan in plans}
    records = systems.ledger.records(Kind.ORDER, [each.key for each in outcomes if each.bc_id])
    unread = {
        record.bc_id.lower(): record
        for record in records.values()
        if record.facts.get("compare_pending") and record.key in claims
    }
    changed: dict[str, Outcome] = {}
    for row in systems.business_central.find_by(
        "salesOrders", "id", sorted(unread), quote=False, expand="salesOrderLines"
    ):
        bc_order = parse_bc(SalesOrder, row)
        record = unread[bc_order.id]
        compare_written(systems, record, sources[record.key], bc_order)
        try:
            with systems.ledger.transaction() as tx:
                tx.save(record, fence=claims.fence(record.key))
                if record.state is State.PARKED:
                    audit_decision(tx, systems, record)
        except StaleClaim as stale:
            log.info("%s", stale.message)
            changed[record.key] = Outcome.of(record, is_final=False)
        else:
            changed[record.key] = Outcome.of(record)
    return [changed.get(outcome.key, outcome) for outcome in outcomes]
