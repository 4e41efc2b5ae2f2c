"""How much of what exists one run may change before it has to ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil

from ml_connector.domain.identifiers import Kind
from ml_connector.domain.money import ZERO

FREE = 50
"""So many existing records any run may change; and currencies with no more orders than this are
not judged by their money, since one order is a large share of few."""

JUDGED = (Kind.ITEM, Kind.CUSTOMER, Kind.CONTACT, Kind.ORDER)
ALL = Decimal(100)

_MANY = {
    Kind.ITEM: "items and products",
    Kind.CUSTOMER: "customers",
    Kind.CONTACT: "contacts",
    Kind.ORDER: "orders",
}


@dataclass(slots=True)
class Stock:
    """What is linked: records by kind, and orders and their net amount by currency."""

    linked: Counter[Kind] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    net: dict[str, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Touched:
    """What a run would change of it: records by kind, and by how much net amounts move."""

    changed: Counter[Kind] = field(default_factory=Counter)
    moved: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Excess:
    """One share that is too large, in words, and the percentage that would let it through."""

    reason: str
    percent: int


def excesses(stock: Stock, touched: Touched, percent: Decimal) -> tuple[Excess, ...]:
    """Return every share that is larger than *percent*; none when everything is allowed."""
    if percent >= ALL:
        return ()
    found = [
        _too_many(_MANY[kind], touched.changed[kind], stock.linked[kind], percent)
        for kind in JUDGED
    ]
    if not any(found):
        everything = sum(stock.linked.values())
        found.append(_too_many("records", sum(touched.changed.values()), everything, percent))
    found += [
        _too_much(currency, moved, stock, percent)
        for currency, moved in sorted(touched.moved.items())
    ]
    return tuple(excess for excess in found if excess is not None)


def _too_many(what: str, changed: int, linked: int, percent: Decimal) -> Excess | None:
    if changed <= FREE or changed <= linked * percent / 100:
        return None
    return Excess(f"{changed} of {linked} linked {what}", _percent(changed, linked))


def _too_much(currency: str, moved: Decimal, stock: Stock, percent: Decimal) -> Excess | None:
    net = stock.net.get(currency, ZERO)
    if stock.orders[currency] <= FREE or moved <= net * percent / 100:
        return None
    return Excess(
        f"the net amounts of linked orders by {moved} {currency} out of {net} {currency}",
        _percent(moved, net),
    )


def _percent(part: Decimal | int, whole: Decimal | int) -> int:
    return min(100, ceil(100 * part / whole)) if whole else 100


def moved_money(before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> Decimal:
    """Return by how much the amounts of the same orders differ in all, up and down alike."""
    return sum((abs(after[key] - before[key]) for key in before.keys() & after.keys()), ZERO)
