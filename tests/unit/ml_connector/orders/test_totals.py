"""Net amounts compared to the cent."""

from __future__ import annotations

from decimal import Decimal

from ml_connector.orders.totals import Difference, compare
from tests.builders.business_central import line, sales_order
from tests.builders.salesforce import order, order_item


def test_equal_orders_have_no_difference() -> None:
    """Whatever order the lines were read in."""
    items = (order_item(2, UnitPrice=Decimal("3.33")), order_item(1))
    lines = (line(2, unitPrice=Decimal("3.33")), line(1))

    assert compare(order(*items), sales_order(*lines)) == ()


def test_lines_are_paired_by_number_and_sequence() -> None:
    """Swapped amounts are two differences although the totals agree."""
    items = (order_item(1, UnitPrice=Decimal(1)), order_item(2, UnitPrice=Decimal(2)))
    lines = (line(1, unitPrice=Decimal(2)), line(2, unitPrice=Decimal(1)))

    assert [each.line for each in compare(order(*items), sales_order(*lines))] == [1, 2]


def test_amounts_are_rounded_half_up_to_the_currency() -> None:
    """Yen have no cents; the dinar has three."""
    yen = order(order_item(UnitPrice=Decimal("50.25"), Quantity=Decimal(2)), CurrencyIsoCode="JPY")
    yen_in_bc = sales_order(
        line(netAmount=Decimal(101)), currencyCode="JPY", totalAmountExcludingTax=Decimal(101)
    )
    dinar = order(
        order_item(TotalPrice=Decimal("1.001")), CurrencyIsoCode="KWD", TotalAmount=Decimal("1.001")
    )

    assert compare(yen, yen_in_bc) == ()
    assert len(compare(dinar, sales_order(line(netAmount=Decimal("1.00"))))) == 2


def test_the_header_is_compared_too() -> None:
    """An invoice discount shows in the total only."""
    bc_order = sales_order(totalAmountExcludingTax=Decimal("19.00"))

    assert compare(order(), bc_order) == (
        Difference("totalAmountExcludingTax", None, Decimal("20.00"), Decimal("19.00")),
    )


def test_an_unequal_number_of_lines_is_one_difference() -> None:
    """Lines are not paired then; the total counts as well."""
    found = compare(order(), sales_order(line(1), line(2)))

    assert [each.field for each in found] == ["lines", "totalAmountExcludingTax"]
    assert str(found[0]) == "number of lines is 1 in Salesforce and 2 in BC"


def test_comment_lines_do_not_count() -> None:
    """BC adds texts of its own."""
    comment = line(2, lineType="Comment", itemId="", quantity=Decimal(0), unitPrice=Decimal(0))

    assert compare(order(), sales_order(line(1), comment)) == ()


def test_missing_totals_are_computed_from_the_lines() -> None:
    """An org may hide roll-ups."""
    bare = order(order_item(TotalPrice=None), TotalAmount=None)

    assert compare(bare, sales_order()) == ()


def test_tolerance_holds_for_each_amount() -> None:
    """Exactly the tolerance is still equal."""
    bc_order = sales_order(line(netAmount=Decimal("20.02")))

    assert compare(order(), bc_order, Decimal("0.02")) == ()
    assert len(compare(order(), bc_order, Decimal("0.01"))) == 2
