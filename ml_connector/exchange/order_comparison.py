"""One Order against its documents in BC: link, lines, net total, status fields, doubles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import SalesInvoice, SalesOrder
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State, folded, same_id
from ml_connector.domain.money import ZERO, currency_scale, rounded, total
from ml_connector.exchange.chains import Chain
from ml_connector.exchange.collect import shown_fields
from ml_connector.exchange.expressed import TARGETS, differences, express
from ml_connector.exchange.findings import NEXT_SYNC, Finding, Side, finding
from ml_connector.exchange.references import not_of_others
from ml_connector.exchange.status import apply_chain
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.orders.mapping import ITEM_IDS, LINES, sorted_items, unit_price
from ml_connector.orders.planning import FoundDocuments, qualification
from ml_connector.orders.totals import compare, net_total, sold_lines
from ml_connector.salesforce.models import Order

AMOUNTS = ("BC_Invoiced_Amount__c", "BC_Paid_Amount__c", "BC_Open_Amount__c")

_SELF_CURING = frozenset({
    Cause.OUTCOME_UNKNOWN, Cause.SERVICE_UNAVAILABLE, Cause.HELD_BY_OTHER_WORKER,
})  # fmt: skip

SHOWN_AGAIN = "Nothing to do: the connector writes what Business Central says."


@dataclass(slots=True)
class Examined:
    """What the comparison of one Order came to; `counted`: its money is in the sums."""

    key: str
    currency: str
    state: str = ""
    paired: bool = False
    counted: bool = False
    salesforce: Decimal = ZERO
    business_central: Decimal = ZERO
    billed: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether something differs that no rule wants so."""
        return any(each.side is not Side.EXCLUDED for each in self.findings)


def examine_order(  # noqa: PLR0913  # both sides of a pair
    systems: Systems,
    known: Record | None,
    order: Order,
    row: Mapping[str, Any],
    chain: Chain,
    twins: FoundDocuments,
    *,
    items: Mapping[str, str],
    matches_condition: bool,
) -> Examined:
    """Compare one Order; changes nothing.

    *twins*: the documents that carry its reference; *items*: BC item id by Product2 id.
    """
    record = draft_of(known) if known is not None else _unknown(systems, order)
    record.salesforce_number = order.order_number or record.salesforce_number
    currency = folded(order.currency_iso_code) or folded(systems.org_currency())
    found = Examined(order.id, currency)
    left_out = qualification(order, systems.policy.orders, matches_condition=matches_condition)
    is_over = left_out is not None and chain.order is None and not chain.live
    record.shown = shown_fields(row, record.wanted)
    if known is None:
        _compare_unknown(found, record, order, left_out is None)
    elif not record.bc_id:
        _compare_unlinked(found, record, order, left_out is None)
    else:
        _compare_linked(systems, found, record, order, chain, items, is_over=is_over)
        if left_out is not None and not record.cause:
            found.findings.append(
                finding(record, Side.OURS, "withdrawn", left_out.message, remedy=NEXT_SYNC)
            )
        _compare_shown(found, record, row)
        _find_doubles(systems, found, record, chain, twins)
    if known is not None and not record.bc_id:
        _compare_shown(found, record, row)
    counted = left_out is None or (bool(record.bc_id) and not is_over)
    _count(found, record, order, chain, counted=counted)
    return found


def draft_of(record: Record) -> Record:
    """Return a copy to derive from, so that what the ledger holds stays as it is."""
    return replace(record, wanted=dict(record.wanted), facts=dict(record.facts))


def _unknown(systems: Systems, order: Order) -> Record:
    record = Record.first_seen(Kind.ORDER, order.id, now=systems.clock.now())
    record.salesforce_number = order.order_number or ""
    return record


def _compare_unknown(found: Examined, record: Record, order: Order, qualifies: bool) -> None:
    """An Order the ledger has never seen: its change was missed, or the ledger was lost."""
    if not qualifies and not order.bc_order_id:
        return
    what = "link_unknown" if order.bc_order_id else "missed"
    text = (
        f"shows BC order {order.bc_order_number}, which the ledger does not know"
        if order.bc_order_id
        else "is closed, but the connector has not seen it"
    )
    found.findings.append(
        finding(
            record,
            Side.OURS,
            what,
            f"Order {record.salesforce_number} {text}.",
            remedy=NEXT_SYNC,
            salesforce=order.bc_order_id or order.status,
        )
    )


def _compare_unlinked(found: Examined, record: Record, order: Order, qualifies: bool) -> None:
    if record.state in (State.WAITING, State.PARKED):
        found.findings.append(standing(record))
    elif record.state is State.EXCLUDED and qualifies:
        message = f"Order {record.salesforce_number} was left out, but qualifies now."
        found.findings.append(finding(record, Side.OURS, "missed", message, remedy=NEXT_SYNC))
    elif record.state is State.EXCLUDED and order.status_code == "Activated":
        each = finding(record, Side.EXCLUDED, record.cause or "left_out", record.message)
        each.remedy, each.owner = record.remedy, record.owner
        found.findings.append(each)


def standing(record: Record) -> Finding:
    """Return the difference that a waiting or parked record stands for."""
    side = Side.OURS if record.cause in _SELF_CURING else Side.THEIRS
    each = finding(record, side, record.cause or str(record.state), record.message)
    each.remedy, each.owner = record.remedy or NEXT_SYNC, record.owner or each.owner
    return each


def _compare_linked(
    systems: Systems,
    found: Examined,
    record: Record,
    order: Order,
    chain: Chain,
    items: Mapping[str, str],
    *,
    is_over: bool,
) -> None:
    """Compare a pair; *is_over*: withdrawn, and BC has neither its order nor a live invoice."""
    found.paired = True
    apply_chain(systems, record, chain)
    issued = [each for each in chain.invoices if each.id in chain.posted]
    if chain.order is not None:
        found.findings += _line_findings(systems, record, order, chain.order, items)
    elif is_over and not issued:
        message = (
            f"Order {record.salesforce_number} was withdrawn in Salesforce, and sales order "
            f"{record.bc_number} is gone from Business Central."
        )
        found.findings.append(finding(record, Side.EXCLUDED, "withdrawn", message))
    elif not issued:
        found.findings.append(
            finding(
                record,
                Side.THEIRS,
                "deleted_in_bc",
                f"Order {record.salesforce_number}: sales order {record.bc_number} is gone from "
                "Business Central without an invoice.",
                cause=Cause.DELETED_IN_BC,
                salesforce=order.status,
            )
        )
    elif all(each.status == "Canceled" for each in issued):
        message = f"Order {record.salesforce_number}: all its invoices were canceled."
        found.findings.append(finding(record, Side.EXCLUDED, "canceled", message))
    else:
        found.findings += _billed_findings(systems, record, order, issued)
    if record.state in (State.WAITING, State.PARKED) and not (found.differs or is_over):
        found.findings.append(standing(record))


def _line_findings(
    systems: Systems,
    record: Record,
    order: Order,
    bc_order: SalesOrder,
    items: Mapping[str, str],
) -> list[Finding]:
    """Return how lines and net total differ, and whose change it was."""
    policy = systems.policy.orders
    ours, theirs = sorted_items(order), sold_lines(bc_order.lines)
    side, remedy = _whose(record, order)
    accepted = Side.EXCLUDED if policy.on_difference == "accept" else side
    found: list[Finding] = []

    def add(where: str, what: str, name: str, values: tuple[Any, Any], who: Side = side) -> None:
        found.append(
            finding(
                record,
                who,
                what,
                f"Order {record.salesforce_number}, {where}: {name} is {values[0]} in Salesforce "
                f"and {values[1]} in sales order {bc_order.number}.",
                where=f"Order {record.salesforce_number} / sales order {bc_order.number}, {where}",
                cause=Cause.TOTAL_DIFFERS if side is Side.THEIRS else None,
                remedy=remedy,
                field=name,
                salesforce=values[0],
                business_central=values[1],
            )
        )

    if len(ours) == len(theirs):
        for number, (item, line) in enumerate(zip(ours, theirs, strict=True), start=1):
            partner = items.get(item.product2_id or "", "")
            if partner and not same_id(partner, line.item_id):
                add(f"line {number}", "line", "itemId", (partner, line.item_id))
            if item.quantity != line.quantity:
                add(f"line {number}", "line", "quantity", (item.quantity, line.quantity))
    for each in compare(order, bc_order, policy.total_tolerance):
        where = f"line {each.line}" if each.line else "total"
        what = "line" if each.line or each.field == "lines" else "total"
        add(where, what, each.field, (each.salesforce, each.business_central), accepted)
    return found


def _whose(record: Record, order: Order) -> tuple[Side, str]:
    """Tell who ends a difference of lines: a change in Salesforce not followed yet is ours."""
    base = record.sent
    if base is None or record.state in (State.PARKED, State.WAITING):
        return Side.THEIRS, ""
    items, lines = sorted_items(order), list(base.get(LINES) or [])
    ids = list(base.get(ITEM_IDS) or [])
    same = (
        len(items) == len(lines)
        and ids == [item.id for item in items]
        and all(
            item.quantity == Decimal(str(line["quantity"]))
            and unit_price(item) == Decimal(str(line["unitPrice"]))
            for item, line in zip(items, lines, strict=True)
        )
    )
    return (Side.THEIRS, "") if same else (Side.OURS, NEXT_SYNC)


def _billed_findings(
    systems: Systems, record: Record, order: Order, issued: Sequence[SalesInvoice]
) -> list[Finding]:
    """Compare the net of an order that is gone with what its invoices come to."""
    live = [each for each in issued if each.status != "Canceled"]
    scale = currency_scale(folded(order.currency_iso_code) or folded(live[0].currency_code))
    billed = rounded(total(each.total_amount_excluding_tax for each in live), scale)
    net = rounded(net_total(order), scale)
    slack = Decimal(len(live) - 1).scaleb(-scale) + systems.policy.orders.total_tolerance
    if abs(billed - net) <= slack:
        return []
    numbers = ", ".join(each.number for each in live)
    side = Side.EXCLUDED if systems.policy.orders.on_difference == "accept" else Side.THEIRS
    return [
        finding(
            record,
            side,
            "invoiced_total",
            f"Order {record.salesforce_number}: net {net} in Salesforce, {billed} on {numbers}.",
            where=f"Order {record.salesforce_number} / sales invoices {numbers}",
            cause=Cause.TOTAL_DIFFERS,
            field="totalAmountExcludingTax",
            salesforce=net,
            business_central=billed,
        )
    ]


def _compare_shown(found: Examined, record: Record, row: Mapping[str, Any]) -> None:
    """Compare what Salesforce shows with what it should show."""
    express(record)
    found.findings += shown_findings(record, row)


def shown_findings(record: Record, row: Mapping[str, Any]) -> list[Finding]:
    """Return each BC_ field of *row* that does not show what the record wants shown."""
    target = TARGETS[record.kind]
    findings: list[Finding] = []
    for name, value in differences(record).items():
        actual = row.get(name)
        what = "link_missing" if name == target.external_id else "field"
        findings.append(
            finding(
                record,
                Side.OURS,
                what,
                f"{target.sobject} {record.salesforce_number or record.key}: {name} shows "
                f"{_named(actual)}, should be {_named(value)}.",
                remedy=SHOWN_AGAIN,
                field=name,
                salesforce=actual,
                business_central=value,
            )
        )
    return findings


def _named(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)


def _find_doubles(
    systems: Systems, found: Examined, record: Record, chain: Chain, twins: FoundDocuments
) -> None:
    """Find other documents of BC that carry the Order's reference and are of no other Order."""
    mine = {invoice.id for invoice in chain.invoices}
    others = FoundDocuments(
        orders=tuple(each for each in twins.orders if not same_id(each.id, record.bc_id)),
        invoices=tuple(
            each
            for each in twins.invoices
            if each.id not in mine and not same_id(each.order_id, record.bc_id)
        ),
    )
    if others == FoundDocuments():
        return
    doubles = not_of_others(systems, record.key, others, {})
    for each in (*doubles.orders, *doubles.invoices):
        name = "sales order" if isinstance(each, SalesOrder) else "sales invoice"
        found.findings.append(
            finding(
                record,
                Side.THEIRS,
                "duplicate_reference",
                f"Order {record.salesforce_number}: {name} {each.number} carries its reference "
                f"{each.external_document_number} as well as sales order {record.bc_number}.",
                where=f"{name} {each.number}",
                cause=Cause.DUPLICATE_REFERENCE,
                field="externalDocumentNumber",
                salesforce=record.bc_number,
                business_central=each.number,
            )
        )
        if isinstance(each, SalesOrder):
            found.business_central += each.total_amount_excluding_tax


def _count(found: Examined, record: Record, order: Order, chain: Chain, *, counted: bool) -> None:
    """Set the amounts that go into the sums."""
    shown_state = record.wanted.get("BC_Order_Status__c") if record.bc_id else None
    found.state = str(shown_state or record.state)
    if any(each.side is Side.EXCLUDED and each.what == "canceled" for each in found.findings):
        return
    if not counted:
        return
    found.counted = True
    found.salesforce = net_total(order)
    if chain.order is not None:
        found.business_central += chain.order.total_amount_excluding_tax
    else:
        live = [i for i in chain.invoices if i.id in chain.posted and i.status != "Canceled"]
        found.business_central += total(each.total_amount_excluding_tax for each in live)
    if found.paired:
        for name in AMOUNTS:
            shown = (record.shown or {}).get(name)
            found.billed[name] = (
                Decimal(str(shown or 0)),
                Decimal(str(record.wanted.get(name) or 0)),
            )
