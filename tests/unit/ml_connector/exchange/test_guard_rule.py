"""How much one run may change: shares of kinds, of everything, and of the money."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.guard_rule import Stock, Touched, excesses

FIVE = Decimal(5)


def stock(**linked: int) -> Stock:
    """Return a stock of linked records by kind."""
    return Stock(linked=Counter({Kind(kind): count for kind, count in linked.items()}))


def touched(**changed: int) -> Touched:
    """Return what a run would change by kind."""
    return Touched(changed=Counter({Kind(kind): count for kind, count in changed.items()}))


@pytest.mark.parametrize(
    ("linked", "changed", "stops"),
    [(10, 10, False), (60, 50, False), (60, 51, True), (2000, 100, False), (2000, 101, True)],
)
def test_fifty_go_through_and_beyond_them_a_share(linked: int, changed: int, stops: bool) -> None:
    """Up to fifty are free; more are held against the share of the kind."""
    found = excesses(stock(customer=linked), touched(customer=changed), FIVE)

    assert bool(found) is stops


def test_many_small_shares_are_judged_together() -> None:
    """Forty customers and forty orders are eighty records, more than five percent of all."""
    found = excesses(stock(customer=100, order=100), touched(customer=40, order=40), FIVE)

    assert [excess.reason for excess in found] == ["80 of 200 linked records"]
    assert found[0].percent == 40


def test_one_kind_is_not_hidden_by_the_others() -> None:
    """Every customer changed stops the run, however many items there are."""
    found = excesses(stock(customer=300, item=100_000), touched(customer=300), FIVE)

    assert [excess.percent for excess in found] == [100]


def test_the_percentage_named_lets_the_run_through() -> None:
    """What the message proposes is enough."""
    here, change = stock(order=3000), touched(order=1001)
    (excess,) = excesses(here, change, FIVE)

    assert excesses(here, change, Decimal(excess.percent)) == ()


def test_money_stops_a_single_order_in_a_book_of_many() -> None:
    """One order that grows by more than the share of all net amounts stops the run."""
    book = Stock(
        linked=Counter({Kind.ORDER: 60}),
        orders=Counter({"USD": 60}),
        net={"USD": Decimal("10000.00")},
    )

    assert excesses(book, Touched(moved={"USD": Decimal("500.01")}), FIVE)
    assert not excesses(book, Touched(moved={"USD": Decimal("500.00")}), FIVE)


def test_money_of_few_orders_is_not_judged() -> None:
    """One order is a large share of few; a currency with fifty or fewer orders does not stop."""
    book = Stock(orders=Counter({"EUR": 50}), net={"EUR": Decimal(100)})

    assert excesses(book, Touched(moved={"EUR": Decimal(100)}), FIVE) == ()


def test_a_hundred_percent_lets_everything_through() -> None:
    """So a person can always go on."""
    book = Stock(orders=Counter({"USD": 60}), net={"USD": Decimal(100)})

    assert excesses(book, Touched(moved={"USD": Decimal(10**6)}), Decimal(100)) == ()
