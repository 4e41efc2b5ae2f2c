"""Ship and invoice linked orders, where the policy says that the connector does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ml_connector.business_central.faults import not_read_back
from ml_connector.business_central.models import SalesInvoice, SalesOrder, parse
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Exclude, Park
from ml_connector.domain.identifiers import Kind, State, folded
from ml_connector.domain.money import ZERO, currency_scale, rounded, total
from ml_connector.errors import (
    ConcurrentEdit,
    RecordNotFound,
    TransientError,
)
from ml_connector.exchange.collect import mark_changed, unanswered
from ml_connector.exchange.lost_answers import settle_lost_writes
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import write_each
from ml_connector.exchange.status import STATUS_ENTITY
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Write,
    Written,
    new_record,
    store_decision,
    write_once,
)
from ml_connector.invoices.planning import plan_shipment
from ml_connector.ledger.records import Intent, Record

STUCK = (State.WAITING, State.PARKED)
_POSTABLE = (State.WRITTEN, State.UNCHANGED)
"""Where an order stands that nothing keeps from being posted."""


def orders_of_postings(systems: Systems, keys: Iterable[str]) -> dict[str, Record]:
    """Return the linked orders that *keys* are the sales orders of, by their id in BC.

    The record of an invoice is known by the id of its draft, or by that of the sales order that was
    shipped and invoiced. Cost: none, the ledger knows.
    """
    found = systems.ledger.records_by_bc_id(Kind.ORDER, keys)
    return {key: orders[0] for key, orders in found.items() if orders}


def collect_unposted_orders(systems: Systems) -> list[str]:
    """Return the ids of the sales orders that may have something left to ship or invoice.

    Unless the policy is "ship_and_invoice" only those with a posting that is stuck or uncertain.
    Cost: none, the ledger knows.
    """
    stuck = systems.ledger.keys(Kind.INVOICE, states=STUCK)
    begun = orders_of_postings(systems, [*stuck, *unanswered(systems, Kind.INVOICE)])
    if systems.policy.invoices.posting != "ship_and_invoice":
        return list(begun)
    unposted = [
        record.bc_id.lower()
        for page in systems.ledger.iterate(
            kind=Kind.ORDER, linked=True, settled=False, states=_POSTABLE
        )
        for record in page
        if not record.facts.get("gone")
    ]
    return list(dict.fromkeys([*unposted, *begun]))


def prepare_shipments(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Read the sales orders *keys* and plan the posting of those with something left.

    Ids that are no linked order's are passed over. A stuck posting that has come to nothing is left
    out with its reason.
    """
    orders = orders_of_postings(systems, keys)
    _settle_lost(systems, orders)
    found = _read_orders(systems, orders)
    uncertain = systems.ledger.intents(Kind.INVOICE, orders)
    plans = [
        Planned(
            kind=Kind.INVOICE,
            key=order.id,
            number=order.number,
            decision=None,
            source=order,
            up_to=0,
            row={},
            context=orders[order.id],
        )
        for order in found.values()
        if orders[order.id].state in _POSTABLE or order.id in uncertain
        if plan_shipment(order, total_differs=False, policy=systems.policy.invoices)
    ]
    outcomes = [
        store_decision(systems, record, ended)
        for key, record in systems.ledger.records(Kind.INVOICE, orders).items()
        if record.state in STUCK and key not in uncertain
        for ended in [_ended(systems, record, found.get(key))]
        if ended is not None
    ]
    return Prepared(tuple(plans), tuple(outcomes))


def _read_orders(systems: Systems, ids: Iterable[str]) -> dict[str, SalesOrder]:
    """Return those of the sales orders *ids* that BC has; nothing is read when none is posted."""
    if systems.policy.invoices.posting != "ship_and_invoice":
        return {}
    rows = systems.business_central.find_by(
        "salesOrders", "id", sorted(ids), quote=False, expand="salesOrderLines"
    )
    return {order.id: order for row in rows for order in [parse(SalesOrder, row)]}


def _ended(systems: Systems, record: Record, order: SalesOrder | None) -> Exclude | None:
    """Return why a stuck posting has come to nothing, None while it may still be carried out."""
    name, policy = f"order {record.bc_number}", systems.policy.invoices
    if policy.posting != "ship_and_invoice":
        return Exclude(
            Cause.NOT_QUALIFYING, f"The policy does not ship and invoice sales {name} any more."
        )
    if order is None:
        return Exclude(
            Cause.DELETED, f"Sales {name} is gone from Business Central; nothing is left to post."
        )
    if order.status == "In Review" or plan_shipment(order, total_differs=False, policy=policy):
        return None
    return Exclude(Cause.NOT_QUALIFYING, f"Sales {name} has nothing left to ship or invoice.")


def _settle_lost(systems: Systems, orders: Mapping[str, Record]) -> None:
    """Close the postings that came through although their answers are lost.

    An order that is invoiced in full vanishes, so nothing would ask for it again.
    """

    def look(intent: Intent, _: Mapping[str, Any] | None) -> Written | None:
        number = orders[intent.key].bc_number
        found = _posted_since(systems, intent.key, number, intent.payload)
        return found if isinstance(found, Written) else None

    def complete(record: Record, _: Intent) -> None:
        order = orders[record.key]
        record.salesforce_id, record.salesforce_number = (
            order.salesforce_id,
            order.salesforce_number,
        )
        mark_changed(systems, STATUS_ENTITY, [order.key], "posted")

    settle_lost_writes(systems, Kind.INVOICE, list(orders), look, complete)


def ship_and_invoice(systems: Systems, plans: Sequence[Planned]) -> list[Outcome]:
    """Ship and invoice the planned orders, each posting exactly once.

    Raises: TransientError after every other plan was dealt with.
    """

    def write(claims: Claims, plan: Planned) -> tuple[Outcome, TransientError | None]:
        record = _record(systems, plan)
        try:
            return write_once(systems, claims, record, _posting(systems, plan), _finish)
        except ConcurrentEdit:
            message = f"Sales order {plan.number} is being edited in Business Central."
            return store_decision(systems, record, Park(Cause.CONCURRENT_EDIT, message)), None

    try:
        return write_each(systems, Kind.INVOICE, plans, write)
    finally:
        mark_changed(systems, STATUS_ENTITY, [plan.context.key for plan in plans], "posted")


def _record(systems: Systems, plan: Planned) -> Record:
    order: Record = plan.context
    record = systems.ledger.record(Kind.INVOICE, plan.key)
    if record is None:
        record = new_record(systems, Kind.INVOICE, plan.key, order.salesforce_number)
        record.salesforce_id = order.salesforce_id
        record.bc_id, record.bc_number = order.bc_id, order.bc_number
    return record


def _finish(_: Record, __: Written) -> None:
    """Nothing to complete: the status phase reads the invoices."""


def _quantities(order: SalesOrder) -> dict[str, Decimal]:
    return {
        "shipped": total(line.shipped_quantity for line in order.lines),
        "invoiced": total(line.invoiced_quantity for line in order.lines),
    }


def _left_to_invoice(systems: Systems, order: SalesOrder) -> Decimal:
    """Return what is not invoiced yet of an order, with tax."""
    if not any(line.invoiced_quantity for line in order.lines):
        return order.total_amount_including_tax
    scale = currency_scale(folded(order.currency_code) or systems.local_currency)
    left = ZERO
    for line in order.lines:
        if line.quantity:
            share = (line.quantity - line.invoiced_quantity) / line.quantity
            net = rounded(line.net_amount * share, scale)
            left += net + rounded(net * line.tax_percent / 100, scale)
    return left


def _read(systems: Systems, order_id: str) -> SalesOrder | None:
    try:
        row = systems.business_central.fetch("salesOrders", order_id, expand="salesOrderLines")
    except RecordNotFound:
        return None
    return parse(SalesOrder, row)


def _posted(systems: Systems, order_id: str, number: str, now: SalesOrder | None) -> Written:
    """Return the posting as done: the order as it is now, or the invoice it became.

    Raises: RecordNotFound when the order is gone and no invoice came of it.
    """
    if now is not None:
        return Written(now.id, now.number, now)
    found = systems.business_central.find_by("salesInvoices", "orderId", [order_id], quote=False)
    for row in found:
        return Written(order_id, number, parse(SalesInvoice, row))
    raise RecordNotFound(
        f"sales order {number} is gone without an invoice",
        system="business_central",
        record_id=order_id,
    )


def _posted_since(
    systems: Systems, order_id: str, number: str, before: Mapping[str, Any]
) -> Written | Park | None:
    """Return what was posted since the order's quantities were *before*; None when nothing was."""
    now = _read(systems, order_id)
    if now is not None and not _moved(_quantities(now), before):
        return None
    try:
        return _posted(systems, order_id, number, now)
    except RecordNotFound as gone:
        return Park(Cause.DELETED_IN_BC, f"{gone.message}.")


def _posting(systems: Systems, plan: Planned) -> Write:
    planned: SalesOrder = plan.source
    before = _quantities(planned)
    amount = {"total": _left_to_invoice(systems, planned)}

    def send(on_send: Callable[[], None]) -> Written:
        now = _read(systems, planned.id)
        if now is None or _moved(_quantities(now), before):
            return _posted(systems, planned.id, planned.number, now)
        systems.business_central.act(
            "salesOrders", planned.id, "shipAndInvoice", etag=now.etag, on_send=on_send
        )
        try:
            return _posted(systems, planned.id, planned.number, _read(systems, planned.id))
        except (TransientError, RecordNotFound) as lost:
            raise not_read_back("shipAndInvoice", lost, record_id=planned.id) from lost

    def look(intent: Intent) -> Written | Park | None:
        return _posted_since(systems, planned.id, planned.number, intent.payload)

    return Write(
        "ship_and_invoice",
        planned.id,
        before | amount,
        send,
        look,
        before,
        "ship_and_invoice",
        refusal=Cause.POSTING_REFUSED,
    )


def _moved(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Tell whether something was shipped or invoiced since *before*."""
    return any(Decimal(str(now[name])) != Decimal(str(before[name])) for name in now)
