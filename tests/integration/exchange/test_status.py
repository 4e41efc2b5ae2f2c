"""What a clerk does in BC shows on the Order and the Account after the next sync."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.changes.feed_alarm import is_alarming
from ml_connector.domain.clock import SystemClock
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.replay import Selection, replay
from ml_connector.exchange.report import connection_status
from ml_connector.exchange.systems import Systems


@pytest.fixture
def handed_over(connected: Any) -> Any:
    """A connection whose first sync is done."""
    connected.sync()
    return connected


def some_orders(connected: Any, count: int) -> list[dict[str, Any]]:
    """Return handed-over Orders in the company's own currency, oldest first."""
    found = [
        row
        for row in connected.salesforce("Order")
        if row.get("BC_Order_Id__c") and row["CurrencyIsoCode"] == "USD"
    ]
    return sorted(found, key=lambda row: row["OrderNumber"])[:count]


def shown(connected: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Return the Order as Salesforce shows it now."""
    (row,) = connected.salesforce("Order", Id=order["Id"])
    return row


def money(value: Any) -> Decimal:
    """Return an amount of a row as a Decimal."""
    return Decimal(str(value))


def test_shipment_invoice_and_payments_show_on_the_order(handed_over: Any) -> None:
    """Shipped, partly paid and paid show with BC's own amounts, each after the next sync."""
    (order,) = some_orders(handed_over, 1)
    number = order["BC_Order_Number__c"]
    handed_over.act("business-central", "ship", order=number)
    handed_over.sync()
    row = shown(handed_over, order)
    assert (row["BC_Order_Status__c"], row["BC_Payment_Status__c"]) == ("Shipped", "Not Invoiced")
    assert money(row["BC_Shipped_Percent__c"]) == 100

    handed_over.act("business-central", "invoice", order=number)
    handed_over.sync()
    (invoice,) = handed_over.business_central("salesInvoices", orderNumber=number)
    total = money(invoice["totalAmountIncludingTax"])
    row = shown(handed_over, order)
    assert row["BC_Order_Status__c"] == "Invoiced"
    assert row["BC_Invoice_Numbers__c"] == invoice["number"]
    assert money(row["BC_Invoiced_Amount__c"]) == money(row["BC_Open_Amount__c"]) == total
    assert money(row["BC_Paid_Amount__c"]) == 0

    handed_over.act("business-central", "pay", invoice=invoice["number"], amount="1.00")
    handed_over.sync()
    row = shown(handed_over, order)
    assert money(row["BC_Open_Amount__c"]) == total - 1
    assert money(row["BC_Paid_Amount__c"]) == 1

    handed_over.act("business-central", "pay", invoice=invoice["number"])
    handed_over.sync()
    row = shown(handed_over, order)
    assert row["BC_Payment_Status__c"] == "Paid"
    assert money(row["BC_Open_Amount__c"]) == 0
    assert money(row["BC_Paid_Amount__c"]) == total


def test_draft_invoices_of_linked_orders_are_posted_once(handed_over: Any) -> None:
    """A draft becomes a posted invoice even when the answer to the posting is lost."""
    orders = some_orders(handed_over, 3)
    for order in orders:
        handed_over.act("business-central", "draft_invoice", order=order["BC_Order_Number__c"])
    handed_over.fault(
        "business-central", method="POST", path=r"Microsoft\.NAV\.post", drop="after", times=2
    )

    handed_over.sync_through_faults()
    handed_over.sync()

    for order in orders:
        row = shown(handed_over, order)
        invoices = [
            each
            for each in handed_over.business_central("salesInvoices")
            if each["externalDocumentNumber"] == order["OrderNumber"]
        ]
        assert [each["status"] for each in invoices] == ["Open"]
        assert row["BC_Invoice_Numbers__c"] == invoices[0]["number"]
        assert money(row["BC_Invoiced_Amount__c"]) == money(invoices[0]["totalAmountIncludingTax"])


def order_lines(connected: Any, order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of an Order's sales order as BC stores them, in their sequence."""
    (row,) = connected.business_central("salesOrders", id=order["BC_Order_Id__c"])
    found = connected.business_central("salesOrderLines", documentId=row["id"])
    return sorted(found, key=lambda line: line["sequence"])


def draft_by_hand(connected: Any, order: dict[str, Any], **arguments: Any) -> None:
    """Let a clerk make a draft that only the external document number ties to the order."""
    connected.act(
        "business-central",
        "draft_invoice",
        order=order["BC_Order_Number__c"],
        link=False,
        carry_order=False,
        ship=False,
        **arguments,
    )


def invoice_statuses(connected: Any, order: dict[str, Any]) -> list[str]:
    """Return the statuses of the invoices that carry the Order's reference, sorted."""
    return sorted(
        each["status"]
        for each in connected.business_central("salesInvoices")
        if each["externalDocumentNumber"] == order["OrderNumber"]
    )


def test_two_drafts_by_hand_for_all_of_an_order_are_not_both_posted(handed_over: Any) -> None:
    """Each fits alone, together they bill everything twice: a person has to choose."""
    (order,) = some_orders(handed_over, 1)
    draft_by_hand(handed_over, order)
    draft_by_hand(handed_over, order)

    report = handed_over.sync()

    assert invoice_statuses(handed_over, order) == ["Draft", "Draft"]
    parked = [each["cause"] for each in report.records if each["kind"] == "invoice"]
    assert parked == ["draft_does_not_fit", "draft_does_not_fit"]


def test_a_line_that_is_invoiced_by_hand_is_not_posted_again(handed_over: Any) -> None:
    """The second draft of one line costs less than what is left of the order, but not of it."""
    (order,) = some_orders(handed_over, 1)
    lines = order_lines(handed_over, order)
    first = {str(lines[0]["sequence"]): lines[0]["quantity"]}
    assert 2 * money(lines[0]["netAmount"]) < sum(money(line["netAmount"]) for line in lines)
    draft_by_hand(handed_over, order, quantities=first)
    handed_over.sync()
    assert invoice_statuses(handed_over, order) == ["Open"]

    draft_by_hand(handed_over, order, quantities=first)
    handed_over.sync()

    assert invoice_statuses(handed_over, order) == ["Draft", "Open"]


def parked_draft(connected: Any) -> Any:
    """Sync two drafts for all of an order, and return the record of one; both are parked."""
    (order,) = some_orders(connected, 1)
    draft_by_hand(connected, order)
    draft_by_hand(connected, order)
    connected.sync()
    (first, _) = connected.records(Kind.INVOICE)
    assert (first.state, first.cause) == ("parked", "draft_does_not_fit")
    return first


def test_a_parked_draft_that_is_no_order_s_any_more_is_released(handed_over: Any) -> None:
    """The clerk corrects its reference: that one is left out, and the other draft is posted."""
    first = parked_draft(handed_over)
    handed_over.act(
        "business-central",
        "edit",
        entity="salesInvoices",
        record=first.bc_number,
        fields={"externalDocumentNumber": "COUNTER-SALE-1"},
    )

    handed_over.sync()
    handed_over.sync()

    records = {record.key: record for record in handed_over.records(Kind.INVOICE)}
    ended = records.pop(first.key)
    (other,) = records.values()
    assert (ended.state, ended.cause) == ("excluded", "not_qualifying")
    assert ended.message == f"Draft invoice {first.bc_number} belongs to no linked order any more."
    assert other.state == "written"


@pytest.mark.parametrize("replayed", [False, True], ids=["sync", "replay"])
def test_parked_drafts_are_released_when_posting_is_switched_off(
    handed_over: Any, replayed: bool
) -> None:
    """Whoever looks first, a sync or a replay; switched on again, they are parked as before."""
    first = parked_draft(handed_over)
    off = handed_over.with_policy(invoices={"posting": "off"})

    if replayed:
        replay(off.settings, Selection(cause="draft_does_not_fit"))
    else:
        off.sync()

    assert {(each.state, each.cause) for each in off.records(Kind.INVOICE)} == {
        ("excluded", "not_qualifying")
    }
    (ended,) = [each for each in off.records(Kind.INVOICE) if each.key == first.key]
    assert ended.message == f"Draft invoice {first.bc_number}: the policy posts no invoices."
    handed_over.sync()
    assert {each.cause for each in handed_over.records(Kind.INVOICE)} == {"draft_does_not_fit"}


def test_drafts_that_name_no_order_of_ours_cost_an_idle_sync_nothing(handed_over: Any) -> None:
    """However many drafts clerks keep, each sync asks for the list of them and no more."""
    (order,) = some_orders(handed_over, 1)
    handed_over.sync()
    handed_over.reset_traffic()
    handed_over.sync()
    idle = handed_over.traffic()
    draft_by_hand(handed_over, order, external_document_number="COUNTER-SALE-1")
    draft_by_hand(handed_over, order, external_document_number="")
    handed_over.sync()

    handed_over.reset_traffic()
    handed_over.sync()

    assert handed_over.traffic() == idle
    assert len(handed_over.business_central("salesInvoices", status="Draft")) == 2


def test_an_order_that_bc_made_cheaper_is_invoiced_when_it_is_gone(handed_over: Any) -> None:
    """What counts is the sales order as it last was, not what the Order came to."""
    (order,) = some_orders(handed_over, 1)
    (line, *_) = order_lines(handed_over, order)
    number = order["BC_Order_Number__c"]
    handed_over.act(
        "business-central",
        "edit_order_line",
        order=number,
        sequence=line["sequence"],
        fields={"discountPercent": 10},
    )
    handed_over.sync()
    handed_over.act("business-central", "ship_and_invoice", order=number)

    handed_over.sync()

    row = shown(handed_over, order)
    assert row["BC_Order_Status__c"] == "Invoiced"
    assert money(row["BC_Invoiced_Percent__c"]) == money(row["BC_Shipped_Percent__c"]) == 100


def test_a_deleted_order_is_canceled_and_an_invoiced_one_is_not(handed_over: Any) -> None:
    """Gone from BC means canceled only when no invoice came of it."""
    deleted, invoiced = some_orders(handed_over, 2)
    handed_over.act("business-central", "delete_order", order=deleted["BC_Order_Number__c"])
    handed_over.act("business-central", "ship_and_invoice", order=invoiced["BC_Order_Number__c"])

    handed_over.sync()

    assert shown(handed_over, deleted)["BC_Order_Status__c"] == "Canceled"
    assert shown(handed_over, invoiced)["BC_Order_Status__c"] == "Invoiced"


def test_a_credit_memo_reduces_what_is_invoiced(handed_over: Any) -> None:
    """A credit applied to the invoice shows as less invoiced, not as paid."""
    (order,) = some_orders(handed_over, 1)
    number = order["BC_Order_Number__c"]
    handed_over.act("business-central", "ship_and_invoice", order=number)
    handed_over.sync()
    (invoice,) = handed_over.business_central("salesInvoices", orderNumber=number)
    total = money(invoice["totalAmountIncludingTax"])
    handed_over.act("business-central", "credit", invoice=invoice["number"], amount="1.00")

    handed_over.sync()

    row = shown(handed_over, order)
    credited = [
        money(memo["totalAmountIncludingTax"])
        for memo in handed_over.business_central("salesCreditMemos")
    ]
    assert len(credited) == 1
    assert money(row["BC_Invoiced_Amount__c"]) == total - credited[0]
    assert money(row["BC_Paid_Amount__c"]) == 0


def test_a_clone_does_not_show_the_status_of_its_original(handed_over: Any) -> None:
    """What a rep's copy brought along is no order of its own in BC."""
    (order,) = some_orders(handed_over, 1)
    line = handed_over.salesforce("OrderItem", OrderId=order["Id"])[0]
    clone = handed_over.act(
        "salesforce",
        "create_order",
        account=order["AccountId"],
        lines=[{"product": line["Product2Id"], "quantity": 1, "unit_price": 10}],
        activate=False,
    )
    copied = {
        "BC_Order_Number__c": order["BC_Order_Number__c"],
        "BC_Order_Status__c": "Invoiced",
        "BC_Payment_Status__c": "Paid",
        "BC_Invoiced_Amount__c": 100,
        "BC_Sync_Status__c": "Synced",
    }
    handed_over.act("salesforce", "edit", sobject="Order", record=clone["Id"], fields=copied)

    handed_over.sync()

    row = shown(handed_over, clone)
    assert {name: row.get(name) for name in copied} == {
        **dict.fromkeys(copied),
        "BC_Sync_Status__c": "Excluded",
    }
    before = len(handed_over.writes())
    handed_over.sync()
    assert len(handed_over.writes()) == before


def test_account_shows_balance_overdue_credit_limit_and_block(handed_over: Any) -> None:
    """The Account carries BC's balance once something is invoiced, and that it is blocked."""
    (order,) = some_orders(handed_over, 1)
    (account,) = handed_over.salesforce("Account", Id=order["AccountId"])
    number = account["BC_Customer_Number__c"]
    handed_over.act("business-central", "ship_and_invoice", order=order["BC_Order_Number__c"])
    handed_over.act("business-central", "set_credit_limit", customer=number, amount="5000")
    handed_over.act("business-central", "block_customer", customer=number, blocked="Ship")

    handed_over.sync()

    (account,) = handed_over.salesforce("Account", Id=order["AccountId"])
    row = shown(handed_over, order)
    assert money(account["BC_Balance__c"]) == money(row["BC_Open_Amount__c"])
    assert money(account["BC_Credit_Limit__c"]) == 5000
    assert account["BC_Blocked__c"] == "Ship"


def test_an_invoice_past_due_shows_as_overdue(handed_over: Any) -> None:
    """Going overdue moves nothing in BC; the sweep by date notices it."""
    (order,) = some_orders(handed_over, 1)
    number = order["BC_Order_Number__c"]
    handed_over.act("business-central", "ship_and_invoice", order=number)
    handed_over.sync()
    (invoice,) = handed_over.business_central("salesInvoices", orderNumber=number)
    yesterday = (SystemClock().now() - timedelta(days=1)).date().isoformat()
    handed_over.act(
        "business-central",
        "edit",
        entity="salesInvoices",
        record=invoice["number"],
        fields={"dueDate": yesterday},
    )

    handed_over.sync()

    assert shown(handed_over, order)["BC_Payment_Status__c"] == "Overdue"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "code": "BadRequest_NotFound"},
        {"status": 400, "code": "Internal_ServerError"},
        {"status": 200, "body_text": '{"value": []}', "content_type": "application/json"},
    ],
)
def test_postings_show_where_the_general_ledger_cannot_tell(
    handed_over: Any, answer: dict[str, Any]
) -> None:
    """Not offered, not allowed or empty: the order tells; a released draft is still no invoice."""
    posted, drafted = some_orders(handed_over, 2)
    rule = {"method": "GET", "path": "generalLedgerEntries", "times": None, **answer}
    handed_over.fault("business-central", **rule)
    handed_over.act("business-central", "ship_and_invoice", order=posted["BC_Order_Number__c"])
    handed_over.act("business-central", "draft_invoice", order=drafted["BC_Order_Number__c"])
    (draft,) = handed_over.business_central(
        "salesInvoices", orderNumber=drafted["BC_Order_Number__c"]
    )
    handed_over.act("business-central", "release_invoice", invoice=draft["number"])

    handed_over.sync()

    assert shown(handed_over, posted)["BC_Order_Status__c"] == "Invoiced"
    assert shown(handed_over, posted)["BC_Payment_Status__c"] in ("Open", "Overdue")
    assert shown(handed_over, drafted)["BC_Payment_Status__c"] == "Not Invoiced"
    assert handed_over.sync().counts["written"] == 0


def test_balances_show_where_there_is_no_flat_set_of_them(handed_over: Any) -> None:
    """They are read through the customers then."""
    (order,) = some_orders(handed_over, 1)
    path = "customerFinancialDetails$"
    fault = {"path": path, "status": 404, "code": "BadRequest_NotFound", "times": None}
    handed_over.fault("business-central", method="GET", **fault)
    handed_over.act("business-central", "ship_and_invoice", order=order["BC_Order_Number__c"])

    handed_over.sync()

    (invoice,) = handed_over.business_central("salesInvoices")
    (account,) = handed_over.salesforce("Account", Id=order["AccountId"])
    assert money(account["BC_Balance__c"]) == money(invoice["totalAmountIncludingTax"])


def test_feeds_that_nobody_uses_are_neither_shown_nor_told(handed_over: Any) -> None:
    """Who only syncs hears nothing of streams and notifications."""
    with Systems.open(handed_over.settings) as systems:
        rows = connection_status(systems)["feeds"]

        assert {row["state"] for row in rows} == {"polled"}
        assert not any(is_alarming(systems, row) for row in rows)
