"""What becomes of an Order that was edited, withdrawn or lost after it was handed over.

Three states are compared: what was agreed at hand-over, what Salesforce has now, what BC has now.
Salesforce's changes follow only into an order that BC has not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import (
    PROPERTIES,
    SalesOrder,
    SalesOrderLine,
    without_blanks,
)
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Body, Delete, Exclude, Park, Unchanged, Update, Wait
from ml_connector.domain.identifiers import folded
from ml_connector.orders.mapping import (
    ITEM_IDS,
    LINES,
    OrderContext,
    agreed,
    described,
    plain,
    sorted_items,
    unit_price,
)
from ml_connector.orders.planning import hindrance, incomplete, missing, qualification
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.orders.totals import sold_lines
from ml_connector.salesforce.models import Order

_FIXED = frozenset({"customerId", "currencyCode", "pricesIncludeTax"})
"""Header properties whose change would re-derive the whole order; a person has to decide."""

_REFERENCE = "externalDocumentNumber"
_SHIP_TO = "shipTo"
_REQUESTED = "requestedDeliveryDate"

_NUMBERS = frozenset({"quantity", "unitPrice", "discountPercent"})
_CODES = frozenset(
    {
        "customerId", "itemId", "currencyCode", "externalDocumentNumber", "unitOfMeasureCode",
        "shipToCountry", "shipToPostCode",
    }
)  # fmt: skip
_PRICING = ("quantity", "unitPrice", "discountPercent")
"""Sent with every changed line, in this order, since BC re-prices on a new unit or quantity."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The link of an Order: what was agreed (`orders.mapping.agreed`) and what BC has now.

    `bc_order` is None when BC has no such order any more; `invoiced` tells that it has a live
    invoice, `canceled` that all its invoices were canceled. `given` is what BC filled in itself at
    hand-over (`filled_in`); without it nothing is known about such values.
    """

    bc_id: str
    bc_number: str
    base: Body
    bc_order: SalesOrder | None
    invoiced: bool = False
    canceled: bool = False
    given: Body = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Edit:
    """One value that differs between hand-over and Salesforce now."""

    label: str
    agreed: Any
    salesforce: Any
    business_central: Any

    def __str__(self) -> str:
        return (
            f"{self.label} was {_shown(self.agreed)} at hand-over, is {_shown(self.salesforce)} in "
            f"Salesforce and {_shown(self.business_central)} in BC"
        )


def filled_in(bc_order: SalesOrder) -> dict[str, str]:
    """Return the address that BC has for the order: its own when the hand-over named none."""
    names = (name for name in PROPERTIES[SalesOrder] if name.startswith(_SHIP_TO))
    values = ((name, _value(bc_order, name)) for name in names)
    return {name: value for name, value in values if value}


def plan_change(
    order: Order,
    handed: HandedOver,
    *,
    context: OrderContext,
    policy: OrdersPolicy,
    matches_condition: bool = False,
) -> Update | Delete | Unchanged | Park | Wait | Exclude:
    """Decide about an Order that has a BC order already.

    Shape of an Update's changes: header properties, and under `salesOrderLines` one entry per line
    to write: {"id", "etag", changed properties}, {"id", "etag", "delete": True}, or a whole new
    line without id. Once carried out, `agreed` is the new base. What BC alone changed of the header
    stays and hinders nothing.
    """
    handed = _with_item_ids(handed, order)
    excluded = qualification(order, policy, matches_condition=matches_condition)
    if excluded is not None:
        if handed.bc_order is None and not handed.invoiced:
            return excluded
        what = f"was withdrawn in Salesforce (status {order.status}) after hand-over"
        return withdrawn(described(order), what, handed, policy, Cause.WITHDRAWN_AFTER_HAND_OVER)
    if handed.bc_order is None and not (handed.invoiced or handed.canceled):
        return Park(
            Cause.DELETED_IN_BC,
            f"{described(order)}: sales order {handed.bc_number} was deleted in BC without being "
            "invoiced.",
        )
    lacking = incomplete(order, policy) or missing(order, context)
    if lacking is not None:
        if isinstance(lacking, Wait) and _same_quantities(order, handed.base):
            return Unchanged(handed.bc_id, handed.bc_number)
        return lacking
    return _compared(order, handed, context, policy)


def _with_item_ids(handed: HandedOver, order: Order) -> HandedOver:
    """Pair the agreed lines with the Order's by place where the base does not tell."""
    base = handed.base
    ids, count = base.get(ITEM_IDS), len(base.get(LINES) or [])
    if ids is not None and len(ids) == count:
        return handed
    present = [item.id for item in sorted_items(order)]
    paired = present if len(present) == count else [f"line {place}" for place in range(count)]
    return replace(handed, base={**base, ITEM_IDS: paired})


def withdrawn(
    name: str, what: str, handed: HandedOver, policy: OrdersPolicy, cause: Cause
) -> Park | Delete | Exclude:
    """Decide about an Order that is no order any more, while BC has something of it.

    *name* and *what* begin the sentence a person reads, *cause* is what a parked one is parked for.
    """
    number = handed.bc_number
    state = "is invoiced" if handed.bc_order is None else "still exists"
    if policy.on_cancel == "keep":
        return Exclude(Cause.WITHDRAWN, f"{name} {what}; BC sales order {number} {state}.")
    reason = ""
    if policy.on_cancel == "delete_untouched" and handed.bc_order is not None:
        reason = touched(handed)
        if not reason:
            net = handed.bc_order.total_amount_excluding_tax
            before = {"number": number, "totalAmountExcludingTax": net}
            return Delete(handed.bc_id, number, handed.bc_order.etag, before, "on_cancel")
    because = f" and is not deleted because {reason}" if reason else ""
    return Park(
        cause, f"{name} {what}; BC sales order {number} {state}{because}.", fields=("Status",)
    )


def touched(handed: HandedOver) -> str:
    """Return what BC has made of a handed-over order since it was written, "" for nothing."""
    bc_order = handed.bc_order
    if bc_order is None:
        return "it is gone"
    posted = _posted(bc_order)
    if posted:
        return posted
    known = {**handed.given, **_header(handed.base)}
    if any(not _is_as_handed_over(name, handed, bc_order) for name in known):
        return "it was edited in BC"
    lines = list(handed.base.get(LINES) or [])
    if len(bc_order.lines) != len(lines) or not _lines_equal(lines, bc_order):
        return "its lines were edited in BC"
    return ""


def _posted(bc_order: SalesOrder) -> str:
    if bc_order.status != "Draft":
        state = "released" if bc_order.status == "Open" else bc_order.status.lower()
        return f"it is {state}"
    if any(line.shipped_quantity or line.invoiced_quantity for line in bc_order.lines):
        return "it is shipped or invoiced in part"
    return ""


def _same_quantities(order: Order, base: Body) -> bool:
    """Tell whether lines that cannot be mapped now are at least as they were at hand-over."""
    items = sorted_items(order)
    lines = base.get(LINES) or []
    return (
        len(items) == len(lines)
        and [item.id for item in items] == list(base.get(ITEM_IDS) or [])
        and all(
            item.quantity == _number(line.get("quantity"))
            and unit_price(item) == _number(line.get("unitPrice"))
            for item, line in zip(items, lines, strict=True)
        )
    )


def _compared(
    order: Order, handed: HandedOver, context: OrderContext, policy: OrdersPolicy
) -> Update | Unchanged | Park:
    now = agreed(order, context, policy)
    edits = _edits(now, handed)
    unchanged = Unchanged(handed.bc_id, handed.bc_number)
    if not edits:
        return unchanged
    bc_order = handed.bc_order
    if bc_order is None:
        state = "invoiced" if handed.invoiced else "canceled"
        return _edited(order, handed, edits, f"it is {state}")
    if _is_done(now, handed.base, bc_order):
        return Unchanged(handed.bc_id, handed.bc_number, "already_equal")
    refused = hindrance(order, context, policy)
    if refused is not None:
        return refused
    reason = _untouchable(now, handed, bc_order)
    if reason:
        return _edited(order, handed, edits, reason)
    return _update(now, handed.base, bc_order)


def came_through(changes: Body, target: Body, bc_order: SalesOrder) -> bool:
    """Tell whether BC's order holds an edit that was sent as *changes* to reach *target*."""
    header = {name: value for name, value in changes.items() if name != LINES}
    return all(
        _same(name, value, _header_value(bc_order, name)) for name, value in header.items()
    ) and (LINES not in changes or _lines_equal(target.get(LINES) or [], bc_order))


def unexplained_difference(order: Order, now: Body, bc_order: SalesOrder) -> Park | None:
    """Return how delivery differs in a sales order of which nothing agreed is remembered.

    *now* is what both would agree on (`orders.mapping.agreed`). Which side changed it cannot be
    told, so neither is written. What the Order leaves blank is BC's own.
    Returns: None when both deliver to the same place and date.
    """
    differing = {
        name: value
        for name, value in now.items()
        if (name.startswith(_SHIP_TO) or name == _REQUESTED)
        and value
        and not _same(name, value, _header_value(bc_order, name))
    }
    if not differing:
        return None
    shown = "; ".join(
        f"{name} is {_shown(value)} in Salesforce and {_shown(_header_value(bc_order, name))} in BC"
        for name, value in differing.items()
    )
    return Park(
        Cause.EDITED_AFTER_HAND_OVER,
        f"{described(order)} and BC sales order {bc_order.number} differ, and what was agreed is "
        f"not known any more: {shown}.",
        fields=tuple(differing),
    )


def _edited(order: Order, handed: HandedOver, edits: Sequence[_Edit], reason: str) -> Park:
    shown = "; ".join(map(str, edits[:3]))
    more = f"; and {len(edits) - 3} more" if len(edits) > 3 else ""
    return Park(
        Cause.EDITED_AFTER_HAND_OVER,
        f"{described(order)} was edited after hand-over, but BC sales order {handed.bc_number} "
        f"cannot follow because {reason}: {shown}{more}.",
        fields=tuple(edit.label for edit in edits),
    )


def _header(body: Body) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in (LINES, ITEM_IDS)}


def _changed_header(now: Body, base: Body) -> dict[str, Any]:
    """Return the header properties that Salesforce changed; one it dropped is None."""
    ours, before = _header(now), _header(base)
    return {
        name: ours.get(name)
        for name in dict.fromkeys((*ours, *before))
        if not _same(name, ours.get(name), before.get(name))
    }


def _edits(now: Body, handed: HandedOver) -> list[_Edit]:
    bc_order, base = handed.bc_order, handed.base
    edits = [
        _Edit(name, base.get(name), value, _header_value(bc_order, name))
        for name, value in _changed_header(now, base).items()
    ]
    theirs = list(sold_lines(bc_order.lines)) if bc_order is not None else []
    ids, lines = list(base.get(ITEM_IDS) or []), list(base.get(LINES) or [])
    kept: set[str] = set()
    for place, (item_id, line) in enumerate(_numbered(now), start=1):
        if item_id not in ids:
            edits.append(_Edit(f"line {place}", None, line.get("quantity"), None))
            continue
        kept.add(item_id)
        at = ids.index(item_id)
        bc_line = theirs[at] if at < len(theirs) else None
        edits += [
            _Edit(f"{name} of line {place}", lines[at].get(name), value, _line_value(bc_line, name))
            for name, value in _changed_line(line, lines[at]).items()
        ]
    for at, item_id in enumerate(ids):
        if item_id not in kept:
            bc_line = theirs[at] if at < len(theirs) else None
            there = _line_value(bc_line, "quantity")
            edits.append(_Edit(f"line {at + 1}", lines[at].get("quantity"), None, there))
    return edits


def _numbered(body: Body) -> list[tuple[str, Mapping[str, Any]]]:
    return list(zip(body[ITEM_IDS], body[LINES], strict=True))


def _changed_line(line: Body, base: Body) -> dict[str, Any]:
    """Return the properties of a line that Salesforce changed; a text it dropped is ""."""
    return {
        name: line.get(name, "")
        for name in dict.fromkeys((*line, *base))
        if not _same(name, line.get(name), base.get(name))
    }


def _is_done(now: Body, base: Body, bc_order: SalesOrder) -> bool:
    """Tell whether BC holds already what Salesforce changed, written there by hand."""
    header = _changed_header(now, base)
    return all(
        _same(name, value, _header_value(bc_order, name)) for name, value in header.items()
    ) and _lines_equal(_completed(now, base), bc_order)


def _completed(now: Body, base: Body) -> list[dict[str, Any]]:
    """Return the lines as they are now, with the texts they dropped as ""."""
    agreed_lines = dict(zip(base.get(ITEM_IDS) or [], base.get(LINES) or [], strict=False))
    return [
        {**line, **_changed_line(line, agreed_lines.get(item_id, line))}
        for item_id, line in _numbered(now)
    ]


def _lines_equal(lines: Sequence[Body], bc_order: SalesOrder) -> bool:
    theirs = sold_lines(bc_order.lines)
    return len(lines) == len(theirs) and all(
        _same(name, value, _line_value(bc_line, name))
        for line, bc_line in zip(lines, theirs, strict=True)
        for name, value in line.items()
    )


def _untouchable(now: Body, handed: HandedOver, bc_order: SalesOrder) -> str:
    """Return why BC's order must not be changed, "" when it may be."""
    base = handed.base
    posted = _posted(bc_order)
    if posted:
        return posted
    header = _changed_header(now, base)
    if _FIXED & header.keys():
        return "customer and currency of a written order are fixed"
    if any(value is None for value in header.values()):
        return "a value that was removed cannot be taken out of it"
    if any(not _is_as_handed_over(name, handed, bc_order) for name in header):
        return "it was edited in BC"
    lines_changed = list(now[ITEM_IDS]) != list(base.get(ITEM_IDS) or []) or any(
        _changed_line(line, before)
        for line, before in zip(now[LINES], base.get(LINES) or [], strict=False)
    )
    if lines_changed and not _lines_equal(base.get(LINES) or [], bc_order):
        return "its lines were edited in BC"
    return ""


def _is_as_handed_over(name: str, handed: HandedOver, bc_order: SalesOrder) -> bool:
    """Tell whether a header property is what was sent, or what BC made of it at hand-over.

    BC completes city, state and postal code from each other.
    """
    there = _header_value(bc_order, name)
    return _same(name, _header(handed.base).get(name), there) or (
        name in handed.given and _same(name, handed.given[name], there)
    )


def _update(now: Body, base: Body, bc_order: SalesOrder) -> Update:
    changes = _changed_header(now, base)
    before = {name: _header_value(bc_order, name) for name in changes}
    unchanged = {} if changes else {_REFERENCE: _header_value(bc_order, _REFERENCE)}
    theirs = sold_lines(bc_order.lines)
    ids, base_lines = list(base.get(ITEM_IDS) or []), list(base.get(LINES) or [])
    changed: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    touched: list[dict[str, Any]] = []
    for item_id, line in _numbered(now):
        if item_id not in ids:
            added.append(dict(line))
            continue
        at = ids.index(item_id)
        differing = _changed_line(line, base_lines[at])
        if differing:
            changed.append(_line_change(theirs[at], line, differing))
            touched.append(_line_before(theirs[at], differing))
    removed = [theirs[at] for at, item_id in enumerate(ids) if item_id not in now[ITEM_IDS]]
    touched += [_line_before(line, ("quantity",)) for line in removed]
    deletions = [{"id": line.id, "etag": line.etag, "delete": True} for line in removed]
    if changed or added or deletions:
        changes[LINES] = [*changed, *added, *deletions]
        before[LINES] = touched
    return Update(
        bc_order.id, bc_order.number, bc_order.etag, changes, before, "three_way", unchanged
    )


def _line_change(bc_line: SalesOrderLine, line: Body, differing: Body) -> dict[str, Any]:
    priced = {"itemId", "unitOfMeasureCode", *_PRICING} & differing.keys()
    body: dict[str, Any] = {"id": bc_line.id, "etag": bc_line.etag}
    body.update({n: differing[n] for n in ("itemId", "unitOfMeasureCode") if n in differing})
    if priced:
        body.update({name: line[name] for name in _PRICING if name in line})
    body.update({name: value for name, value in differing.items() if name not in body})
    return body


def _line_before(bc_line: SalesOrderLine, names: Sequence[str] | Body) -> dict[str, Any]:
    return {"id": bc_line.id, **{name: _line_value(bc_line, name) for name in names}}


def _value(model: SalesOrder | SalesOrderLine, name: str) -> Any:
    for attribute, info in type(model).model_fields.items():
        if info.alias == name:
            value = getattr(model, attribute)
            return value.isoformat() if isinstance(value, date) else value
    return None


def _header_value(bc_order: SalesOrder | None, name: str) -> Any:
    return None if bc_order is None else _value(bc_order, name)


def _line_value(bc_line: SalesOrderLine | None, name: str) -> Any:
    return None if bc_line is None else _value(bc_line, name)


def _number(value: Any) -> Decimal | None:
    return None if value in (None, "") else Decimal(str(value))


def _same(name: str, left: Any, right: Any) -> bool:
    """Tell whether two values of a property are equal; the ledger keeps numbers as text."""
    if name in _NUMBERS or isinstance(left, Decimal) or isinstance(right, Decimal):
        return _number(left) == _number(right)
    if isinstance(left, str) or isinstance(right, str):
        ours, theirs = without_blanks(str(left or "")), without_blanks(str(right or ""))
        return folded(ours) == folded(theirs) if name in _CODES else ours == theirs
    return bool(left == right)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "absent"
    return str(plain(value)) if isinstance(value, Decimal) else str(value)
