"""The status of an order as Salesforce shows it, rung by rung."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.billing.status import ORDER_FIELDS, OrderChain, order_status
from tests.builders.business_central import credit_memo, guid, invoice, line, sales_order

TODAY = date(2026, 3, 20)


def status(chain: OrderChain, today: date = TODAY) -> dict[str, Any]:
    """Return the derived fields without their common prefix."""
    return {
        name.removeprefix("BC_").removesuffix("__c"): value
        for name, value in order_status(chain, today).items()
    }


def chain(order: Any = None, *invoices: Any, **facts: Any) -> OrderChain:
    """Return a handed-over chain whose invoices are posted unless they are drafts."""
    posted = frozenset(each.id for each in invoices if each.status not in ("Draft", "In Review"))
    return OrderChain(
        order=order,
        invoices=tuple(invoices),
        **{"posted": posted, "handed_over": True, "net": Decimal("20.00")} | facts,
    )


def test_before_hand_over_nothing_is_shown() -> None:
    """An Order that was not handed over shows no status at all."""
    assert order_status(OrderChain(), TODAY) == dict.fromkeys(ORDER_FIELDS)


def test_a_parked_order_without_bc_order_shows_error() -> None:
    """Error is shown only while there is no BC order and the record is parked."""
    assert status(OrderChain(parked=True))["Order_Status"] == "Error"
    assert status(chain(sales_order(), parked=True))["Order_Status"] == "Draft"


@pytest.mark.parametrize(
    ("properties", "differs", "shown"),
    [
        ({"status": "Draft"}, False, "Draft"),
        ({"status": "Draft"}, True, "On Hold"),
        ({"status": "Open"}, True, "Released"),
        ({"status": "Open"}, False, "Released"),
        ({"status": "In_x0020_Review"}, False, "In Review"),
        ({"status": "In Review"}, True, "In Review"),
        ({"status": "Open", "fullyShipped": True}, False, "Shipped"),
        ({"status": "Draft", "fullyShipped": True}, True, "Shipped"),
    ],
)
def test_an_order_without_invoice_shows_its_own_status(
    properties: dict[str, Any], differs: bool, shown: str
) -> None:
    """Draft, On Hold, In Review, Released and Shipped come from the order itself."""
    assert status(chain(sales_order(**properties), total_differs=differs))["Order_Status"] == shown


def test_one_shipped_piece_makes_it_partly_shipped() -> None:
    """Partly Shipped goes before On Hold and Released."""
    order = sales_order(line(shippedQuantity=Decimal("0.5")), status="Open")

    assert status(chain(order, total_differs=True))["Order_Status"] == "Partly Shipped"


def test_invoiced_quantity_on_a_line_makes_it_partly_invoiced() -> None:
    """The order's own count is enough, even before its invoice is read."""
    order = sales_order(
        line(1, shippedQuantity=Decimal(2), invoicedQuantity=Decimal(1)), status="Open"
    )

    assert status(chain(order))["Order_Status"] == "Partly Invoiced"


def test_every_line_invoiced_makes_it_invoiced_though_the_order_is_there() -> None:
    """Comment lines do not count."""
    order = sales_order(
        line(1, shippedQuantity=Decimal(2), invoicedQuantity=Decimal(2)),
        line(2, lineType="Comment", itemId="", quantity=Decimal(0), unitPrice=Decimal(0)),
        status="Open",
    )

    assert status(chain(order))["Order_Status"] == "Invoiced"


def test_gone_and_covered_by_its_invoices_is_invoiced() -> None:
    """A fully invoiced order disappears from BC; both percents are 100."""
    shown = status(chain(None, invoice()))

    assert shown["Order_Status"] == "Invoiced"
    assert shown["Shipped_Percent"] == shown["Invoiced_Percent"] == Decimal("100.00")


def test_gone_with_invoices_short_of_the_net_is_partly_invoiced() -> None:
    """The rest was deleted in BC; the percents say how much came."""
    shown = status(chain(None, invoice(), net=Decimal("80.00")))

    assert shown["Order_Status"] == "Partly Invoiced"
    assert shown["Invoiced_Percent"] == Decimal("25.00")


def test_rounding_of_several_invoices_does_not_hide_that_all_is_invoiced() -> None:
    """Two invoices may come to a cent less than the order."""
    first, second = (
        invoice(number, totalAmountExcludingTax=Decimal(amount))
        for number, amount in ((1, "10.00"), (2, "9.99"))
    )

    assert status(chain(None, first, second))["Order_Status"] == "Invoiced"


def test_net_may_come_as_text() -> None:
    """The ledger keeps decimals as text."""
    assert status(chain(None, invoice(), net="20.00"))["Order_Status"] == "Invoiced"
    assert status(chain(None, invoice(), net=None))["Order_Status"] == "Invoiced"


def test_gone_without_live_invoice_is_canceled() -> None:
    """Deleted, or with a draft only, or with every invoice canceled."""
    canceled = invoice(status="Canceled", remainingAmount=Decimal(0))
    draft = invoice(status="Draft")

    assert status(chain(None))["Order_Status"] == "Canceled"
    assert status(chain(None, draft))["Order_Status"] == "Canceled"
    assert status(chain(None, canceled))["Order_Status"] == "Canceled"
    assert status(chain(None))["Invoiced_Percent"] == 0


def test_all_invoices_canceled_is_canceled_until_a_new_one_comes() -> None:
    """A draft that replaces the canceled invoice ends it."""
    canceled = invoice(1, status="Canceled", remainingAmount=Decimal(0))
    order = sales_order(status="Open")

    assert status(chain(order, canceled))["Order_Status"] == "Canceled"
    assert status(chain(order, canceled, invoice(2, status="Draft")))["Order_Status"] == "Released"


def test_a_released_but_unposted_invoice_counts_nowhere() -> None:
    """API status Open without evidence of posting is a draft."""
    shown = status(chain(sales_order(status="Open"), invoice(), posted=frozenset()))

    assert shown["Order_Status"] == "Released"
    assert shown["Payment_Status"] == "Not Invoiced"
    assert shown["Invoiced_Amount"] == 0
    assert shown["Invoice_Numbers"] is None


def test_percents_are_weighted_by_net_amount() -> None:
    """One of two lines shipped: its share of the money, rounded half-up to two digits."""
    order = sales_order(
        line(1, quantity=Decimal(1), unitPrice=Decimal(10), shippedQuantity=Decimal(1)),
        line(2, quantity=Decimal(1), unitPrice=Decimal(20)),
        status="Open",
    )

    assert status(chain(order))["Shipped_Percent"] == Decimal("33.33")
    assert status(chain(order))["Invoiced_Percent"] == Decimal("0.00")


def test_percents_of_a_free_order_are_weighted_by_line() -> None:
    """With no money at all every line counts the same."""
    order = sales_order(
        line(1, unitPrice=Decimal(0), shippedQuantity=Decimal(2)), line(2, unitPrice=Decimal(0))
    )

    assert status(chain(order))["Shipped_Percent"] == Decimal("50.00")


def test_percents_stay_between_0_and_100() -> None:
    """More shipped than ordered is still 100."""
    order = sales_order(line(shippedQuantity=Decimal(3)))

    assert status(chain(order))["Shipped_Percent"] == Decimal("100.00")


def test_amounts_of_a_partial_payment() -> None:
    """Tax is included; paid is what is not open."""
    paid = invoice(totalAmountIncludingTax=Decimal("23.80"), remainingAmount=Decimal("13.80"))
    shown = status(chain(None, paid))

    assert (shown["Invoiced_Amount"], shown["Open_Amount"], shown["Paid_Amount"]) == (
        Decimal("23.80"),
        Decimal("13.80"),
        Decimal("10.00"),
    )
    assert shown["Payment_Status"] == "Partly Paid"


def test_a_credit_memo_lowers_what_is_invoiced() -> None:
    """20 invoiced, 5 credited, 15 open: nothing was paid."""
    shown = status(
        chain(None, invoice(remainingAmount=Decimal("15.00")), credit_memos=(credit_memo(),))
    )

    assert shown["Invoiced_Amount"] == Decimal("15.00")
    assert shown["Open_Amount"] == Decimal("15.00")
    assert shown["Paid_Amount"] == Decimal("0.00")
    assert shown["Payment_Status"] == "Open"


@pytest.mark.parametrize(
    "properties",
    [
        {"status": "Corrective"},
        {"status": "Canceled"},
        {"status": "Draft"},
        {"status": "In_x0020_Review"},
        {"invoiceId": guid(0x2FFF)},
    ],
)
def test_other_credit_memos_do_not_count(properties: dict[str, Any]) -> None:
    """Corrective, canceled and unposted ones, and those of other invoices, change no amount."""
    shown = status(chain(None, invoice(), credit_memos=(credit_memo(**properties),)))

    assert shown["Invoiced_Amount"] == Decimal("20.00")


def test_a_credit_memo_is_found_by_invoice_number_when_it_has_no_id() -> None:
    """BC fills the number always, the id mostly."""
    memo = credit_memo(invoiceId=None)
    shown = status(chain(None, invoice(remainingAmount=Decimal(15)), credit_memos=(memo,)))

    assert shown["Invoiced_Amount"] == Decimal("15.00")


def test_fully_credited_and_canceled_show_credited() -> None:
    """Credited goes before Paid."""
    memo = credit_memo(totalAmountIncludingTax=Decimal("20.00"))
    credited = chain(None, invoice(status="Paid", remainingAmount=Decimal(0)), credit_memos=(memo,))
    canceled = chain(None, invoice(status="Canceled", remainingAmount=Decimal(0)))

    assert status(credited)["Payment_Status"] == "Credited"
    assert status(canceled)["Payment_Status"] == "Credited"
    assert status(canceled)["Invoiced_Amount"] == 0


def test_a_canceled_invoice_beside_a_live_one_does_not_count() -> None:
    """Its number is still listed, its amount is not counted."""
    shown = status(
        chain(None, invoice(1, status="Canceled", remainingAmount=Decimal(0)), invoice(2))
    )

    assert shown["Invoiced_Amount"] == Decimal("20.00")
    assert shown["Payment_Status"] == "Open"
    assert shown["Invoice_Numbers"] == "PS-INV000001, PS-INV000002"


def test_paid_when_nothing_is_open() -> None:
    """Also an invoice over nothing is paid, not credited."""
    free = invoice(totalAmountIncludingTax=Decimal(0), remainingAmount=Decimal(0))

    assert status(chain(None, invoice(remainingAmount=Decimal(0))))["Payment_Status"] == "Paid"
    assert status(chain(None, free))["Payment_Status"] == "Paid"


def test_overdue_starts_the_day_after_the_due_date() -> None:
    """On the due date itself it is open."""
    on_due_date = status(chain(None, invoice()), date(2026, 4, 5))
    day_after = status(chain(None, invoice()), date(2026, 4, 6))

    assert on_due_date["Payment_Status"] == "Open"
    assert day_after["Payment_Status"] == "Overdue"


def test_overdue_goes_before_partly_paid() -> None:
    """What is late is more important than what came."""
    late = invoice(remainingAmount=Decimal(1))

    assert status(chain(None, late), date(2026, 5, 1))["Payment_Status"] == "Overdue"


def test_a_late_due_date_of_a_paid_invoice_is_not_overdue() -> None:
    """Only an invoice with something open can be overdue."""
    paid = invoice(1, remainingAmount=Decimal(0), dueDate="2026-03-10")
    shown = status(chain(None, paid, invoice(2, dueDate="2026-04-10")))

    assert shown["Payment_Status"] == "Partly Paid"
    assert shown["Due_Date"] == "2026-04-10"


def test_due_date_is_the_earliest_open_one_else_the_latest() -> None:
    """With everything paid the latest date stays."""
    first = invoice(1, dueDate="2026-03-10")
    second = invoice(2, dueDate="2026-04-10")
    paid = [
        invoice(number, dueDate=due, remainingAmount=Decimal(0))
        for number, due in ((1, "2026-03-10"), (2, "2026-04-10"))
    ]

    assert status(chain(None, second, first))["Due_Date"] == "2026-03-10"
    assert status(chain(None, *paid))["Due_Date"] == "2026-04-10"
    assert status(chain(None, invoice(dueDate="0001-01-01")))["Due_Date"] is None
    assert status(chain(sales_order()))["Due_Date"] is None


def test_invoice_numbers_are_listed_oldest_first() -> None:
    """By posting date, then by number; drafts are left out."""
    shown = status(
        chain(
            None,
            invoice(3, postingDate="2026-03-01"),
            invoice(2, postingDate="2026-03-02"),
            invoice(1, postingDate="2026-03-02"),
            invoice(9, status="Draft"),
        )
    )

    assert shown["Invoice_Numbers"] == "PS-INV000003, PS-INV000001, PS-INV000002"


def test_amounts_have_two_digits_in_every_currency() -> None:
    """Salesforce's fields have two, also for yen."""
    shown = status(chain(None, invoice(currencyCode="JPY", totalAmountIncludingTax=Decimal(2000))))

    assert str(shown["Invoiced_Amount"]) == "2000.00"
