"""What must hold for any input: mapping, planning again, amounts, texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ml_connector.billing.status import OrderChain, invoice_numbers, message_text, order_status
from ml_connector.business_central.models import Customer, SalesOrder
from ml_connector.customers.mapping import phone_number
from ml_connector.customers.planning import CustomerCandidates, agreed, plan_customer
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.address import split_street
from ml_connector.domain.decision import Create, Link, Park, Unchanged, Update
from ml_connector.domain.fitting import cut_at_word, width
from ml_connector.domain.money import currency_scale, rounded
from ml_connector.invoices.planning import Post, plan_draft
from ml_connector.invoices.policy import InvoicesPolicy
from ml_connector.orders.adoption import FoundDocuments, plan_adoption
from ml_connector.orders.changes import HandedOver, plan_change
from ml_connector.orders.mapping import agreed as agreed_order
from ml_connector.orders.planning import plan_order
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.orders.totals import compare
from ml_connector.salesforce.models import Account, Order
from tests.builders.business_central import customer, guid, invoice, line, sales_order
from tests.builders.contexts import as_stored, customer_context, order_context
from tests.builders.salesforce import account, order, order_item

AWKWARD = st.one_of(
    st.none(),
    st.sampled_from(
        [
            "", "   ", "O'Neil & Søn", "中文公司", "🚚 GmbH", "n" * 120, "name ", "line\nbreak",
            "+49 (0)30 / 123-45 ext. 6", "Wonderland", "Deutschland", "UK", "USA", "\x00",
            "“quote”",
        ]
    ),
    st.text(max_size=160),
)  # fmt: skip
FIELDS = (
    "Name", "AccountNumber", "Phone", "Website", "BillingStreet", "BillingCity", "BillingState",
    "BillingPostalCode", "BillingCountry",
)  # fmt: skip
ACCOUNTS = st.fixed_dictionaries(dict.fromkeys(FIELDS, AWKWARD)).map(lambda each: account(**each))
PRICES = st.decimals(Decimal(0), Decimal("99999.99"), places=2)
QUANTITIES = st.decimals(Decimal("0.01"), Decimal("9999.99"), places=2)
POLICIES = st.sampled_from([CustomersPolicy(), CustomersPolicy(overflow="truncate")])
LIMITS = {
    "number": 20, "displayName": 100, "addressLine1": 100, "addressLine2": 50, "city": 30,
    "state": 30, "postalCode": 20, "phoneNumber": 30, "website": 255,
}  # fmt: skip


def plan(an_account: Account, policy: CustomersPolicy, **facts: Any) -> Any:
    """Plan an Account with nothing found but *facts*."""
    defaults: dict[str, Any] = {"linked": None, "candidates": CustomerCandidates()}
    base = facts.pop("base", None)
    return plan_customer(
        an_account,
        **defaults | facts,
        shared_with=(),
        context=customer_context(base=base),
        policy=policy,
    )


def written(body: Mapping[str, Any], before: Customer | None = None) -> Customer:
    """Return a customer as BC has it after *body* was written."""
    present = before or customer(displayName="")
    known = {
        info.alias: getattr(present, name)
        for name, info in Customer.model_fields.items()
        if info.alias
    }
    return Customer.model_validate({**known, **body})


@given(ACCOUNTS, POLICIES)
def test_a_created_customer_fits_and_is_unchanged_afterwards(
    an_account: Account, policy: CustomersPolicy
) -> None:
    """Every body fits BC's lengths, has no letters in its phone, and planning again is quiet."""
    decision = plan(an_account, policy)
    if isinstance(decision, Park):
        assert decision.message
        return
    assert isinstance(decision, Create)
    for name, limit in LIMITS.items():
        assert width(str(decision.body[name])) <= limit
    assert decision.body["displayName"]
    assert not any(c.isalpha() for c in decision.body["phoneNumber"])
    base = agreed(an_account, customer_context(), policy)

    again = plan(an_account, policy, linked=written(decision.body), base=base)

    assert isinstance(again, Unchanged)


@given(ACCOUNTS, ACCOUNTS, POLICIES)
def test_an_applied_update_is_unchanged_afterwards(
    before: Account, after: Account, policy: CustomersPolicy
) -> None:
    """Whatever was edited, applying the plan once is enough."""
    first = plan(before, policy)
    if not isinstance(first, Create):
        return
    in_bc = written(first.body)
    base = agreed(before, customer_context(), policy)
    second = plan(after, policy, linked=in_bc, base=base)
    if not isinstance(second, Update):
        assert isinstance(second, Unchanged | Park)
        return
    assert second.changes.keys() == second.before.keys()
    new_base = agreed(after, customer_context(), policy)

    again = plan(after, policy, linked=written(second.changes, in_bc), base=new_base)

    assert isinstance(again, Unchanged)


@given(ACCOUNTS, ACCOUNTS)
def test_an_applied_link_is_unchanged_afterwards(ours: Account, theirs: Account) -> None:
    """And it overwrites nothing that BC has."""
    policy = CustomersPolicy()
    other = plan(theirs, policy)
    if not isinstance(other, Create):
        return
    in_bc = written(other.body)
    candidates = CustomerCandidates(by_external_id=in_bc)
    decision = plan(ours, policy, candidates=candidates)
    if not isinstance(decision, Link):
        assert isinstance(decision, Park)
        return
    assert all(value == "" for value in decision.before.values())
    base = agreed(ours, customer_context(), policy)

    again = plan(ours, policy, linked=written(decision.changes, in_bc), base=base)

    assert isinstance(again, Unchanged)


@given(st.text(max_size=400))
def test_a_street_loses_nothing_but_blanks(street: str) -> None:
    """Both lines and the rest hold every visible character, in order, and fit."""
    first, second, left = split_street(street)

    def visible(text: str) -> str:
        return "".join(c for c in text if c.isprintable() and c not in " ,")

    assert width(first) <= 100
    assert width(second) <= 50
    assert visible(first + second + left) == visible("".join(street.split()))


@given(AWKWARD)
def test_a_phone_number_has_no_letters_and_keeps_its_digits(text: str | None) -> None:
    """Or it is refused."""
    number = phone_number(text)
    if number is not None:
        assert not any(c.isalpha() for c in number)
        assert phone_number(number) == number


@given(st.text(max_size=600), st.integers(2, 300))
def test_cutting_stays_inside_the_limit(text: str, limit: int) -> None:
    """For any text and mark, and it is a beginning of the text."""
    cut = cut_at_word(text, limit, "…")

    assert width(cut) <= limit
    assert text.startswith(cut.removesuffix("…"))
    assert width(message_text(text) or "") <= 255


@given(st.lists(st.text(alphabet="ABC123-", min_size=1, max_size=20), max_size=60))
def test_invoice_numbers_fit_and_count_all(numbers: list[str]) -> None:
    """The listed ones and the counted ones are all there are."""
    text = invoice_numbers(numbers) or ""
    listed, plus, rest = text.partition(" +")

    assert len(text) <= 255
    assert len(listed.split(", ") if listed else []) + int(rest if plus else 0) == len(numbers)


LINES = st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=6)
CURRENCY = st.sampled_from(["USD", "EUR", "JPY"])


def both(lines: list[tuple[Decimal, Decimal]], currency: str) -> tuple[Order, SalesOrder]:
    """Return an Order and the sales order BC would make of it, rounding each line."""
    items = [
        order_item(number, Quantity=quantity, UnitPrice=price)
        for number, (quantity, price) in enumerate(lines, start=1)
    ]
    scale = currency_scale(currency)
    bc_lines = [
        line(
            number,
            quantity=quantity,
            unitPrice=price,
            netAmount=rounded(quantity * price, scale),
        )
        for number, (quantity, price) in enumerate(lines, start=1)
    ]
    total = sum((each["netAmount"] for each in bc_lines), Decimal(0))
    an_order = order(*items, CurrencyIsoCode=currency, TotalAmount=total)
    return an_order, sales_order(*bc_lines, currencyCode=currency)


@given(LINES, CURRENCY, st.randoms())
def test_what_bc_makes_of_an_order_is_adopted_in_any_line_order(
    lines: list[tuple[Decimal, Decimal]], currency: str, shuffle: Any
) -> None:
    """Equal lines and totals are found equal, however they were read."""
    an_order, bc_order = both(lines, currency)
    items = list(an_order.order_items or ())
    shuffle.shuffle(items)
    read = an_order.model_copy(update={"order_items": tuple(items)})
    context = order_context()

    assert compare(read, bc_order) == ()
    found = FoundDocuments(orders=(bc_order,))
    assert isinstance(plan_adoption(read, found, context, OrdersPolicy()), Link)


@given(LINES, CURRENCY, st.integers(0, 5))
def test_a_cent_of_difference_is_always_seen(
    lines: list[tuple[Decimal, Decimal]], currency: str, place: int
) -> None:
    """One unit of the currency on any line or on the total."""
    an_order, bc_order = both(lines, currency)
    unit = Decimal(1).scaleb(-currency_scale(currency))
    at = place % len(lines)
    wrong = bc_order.lines[at].model_copy(
        update={"net_amount": bc_order.lines[at].net_amount + unit}
    )
    on_line = bc_order.model_copy(
        update={"lines": (*bc_order.lines[:at], wrong, *bc_order.lines[at + 1 :])}
    )
    on_total = bc_order.model_copy(
        update={"total_amount_excluding_tax": bc_order.total_amount_excluding_tax - unit}
    )

    assert [each.line for each in compare(an_order, on_line)] == [at + 1]
    assert [each.field for each in compare(an_order, on_total)] == ["totalAmountExcludingTax"]


@given(LINES, CURRENCY)
def test_an_order_that_was_written_is_unchanged_afterwards(
    lines: list[tuple[Decimal, Decimal]], currency: str
) -> None:
    """The base comes back from the ledger as text and still agrees."""
    an_order, bc_order = both(lines, currency)
    context, policy = order_context(), OrdersPolicy()
    decision = plan_order(
        an_order, context=context, found=FoundDocuments(), linked=None, policy=policy
    )
    assert isinstance(decision, Create)
    base = as_stored(agreed_order(an_order, context, policy))
    handed = HandedOver(bc_order.id, bc_order.number, base, bc_order)

    assert isinstance(plan_change(an_order, handed, context=context, policy=policy), Unchanged)


@given(LINES, LINES)
def test_an_applied_change_of_lines_leaves_what_salesforce_has(
    before: list[tuple[Decimal, Decimal]], after: list[tuple[Decimal, Decimal]]
) -> None:
    """Carrying out the line writes gives an order equal to the edited one."""
    context, policy = order_context(), OrdersPolicy()
    old, bc_order = both(before, "USD")
    new, _ = both(after, "USD")
    base = as_stored(agreed_order(old, context, policy))
    decision = plan_change(
        new,
        HandedOver(bc_order.id, bc_order.number, base, bc_order),
        context=context,
        policy=policy,
    )
    if isinstance(decision, Unchanged):
        assert before == after
        return
    assert isinstance(decision, Update)
    held = {each.id: (each.quantity, each.unit_price) for each in bc_order.lines}
    for write in decision.changes["salesOrderLines"]:
        if write.get("delete"):
            del held[write["id"]]
        else:
            held[write.get("id", f"new{len(held)}")] = (write["quantity"], write["unitPrice"])

    assert list(held.values()) == after


AMOUNTS = st.decimals(Decimal("0.00"), Decimal("9999.99"), places=2)


@st.composite
def chains(draw: st.DrawFn) -> OrderChain:
    """Return any chain of invoices, with or without its order."""
    invoices = []
    for number in range(draw(st.integers(0, 4))):
        whole = draw(AMOUNTS)
        status = draw(st.sampled_from(["Draft", "Open", "Paid", "Canceled", "In Review"]))
        remaining = {"Paid": Decimal(0), "Canceled": Decimal(0)}.get(
            status, min(whole, draw(AMOUNTS))
        )
        invoices.append(
            invoice(
                number,
                status=status,
                totalAmountIncludingTax=whole,
                remainingAmount=remaining,
                dueDate=(date(2026, 1, 1) + timedelta(days=draw(st.integers(0, 400)))).isoformat(),
            )
        )
    quantity = draw(QUANTITIES)
    shipped = min(quantity, draw(QUANTITIES))
    there = sales_order(
        line(
            quantity=quantity,
            shippedQuantity=shipped,
            invoicedQuantity=min(shipped, draw(QUANTITIES)),
        ),
        status=draw(st.sampled_from(["Draft", "Open", "In Review"])),
    )
    posted = {each.id for each in invoices if draw(st.booleans()) or each.status != "Open"}
    return OrderChain(
        order=draw(st.sampled_from([None, there])),
        invoices=tuple(invoices),
        posted=frozenset(posted),
        handed_over=True,
        net=draw(AMOUNTS),
        total_differs=draw(st.booleans()),
    )


@given(chains())
def test_the_status_is_consistent_for_any_chain(chain: OrderChain) -> None:
    """Paid is never negative, amounts add up, percents stay in range, null only where allowed."""
    shown = order_status(chain, date(2026, 6, 1))
    invoiced, open_amount, paid = (
        shown[f"BC_{name}_Amount__c"] for name in ("Invoiced", "Open", "Paid")
    )

    assert paid >= 0
    assert invoiced == open_amount + paid
    assert all(0 <= shown[f"BC_{name}_Percent__c"] <= 100 for name in ("Shipped", "Invoiced"))
    assert (shown["BC_Payment_Status__c"] == "Not Invoiced") == (not chain.issued)
    assert shown["BC_Order_Status__c"] is not None
    if shown["BC_Payment_Status__c"] == "Paid":
        assert open_amount == 0
    if shown["BC_Payment_Status__c"] in ("Open", "Partly Paid", "Overdue"):
        assert open_amount > 0
        assert shown["BC_Due_Date__c"] is not None


@given(QUANTITIES, QUANTITIES, QUANTITIES)
def test_posted_drafts_never_exceed_the_order(
    ordered: Decimal, invoiced: Decimal, drafted: Decimal
) -> None:
    """A draft is posted exactly when its quantity is left."""
    invoiced = min(ordered, invoiced)
    there = sales_order(line(quantity=ordered, invoicedQuantity=invoiced))
    draft = invoice(1, line(quantity=drafted), status="Draft", id=guid(0x77))
    decision = plan_draft(draft, order=there, other_invoices=(), policy=InvoicesPolicy())

    assert isinstance(decision, Post) == (drafted <= ordered - invoiced)
