"""What bad input gets: a listed state with a plain sentence and a remedy; the others go through."""

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.errors import ConfigurationError, TransientError
from ml_connector.exchange import catalog
from ml_connector.exchange.check_line import Level
from ml_connector.exchange.checks import ping_lines
from ml_connector.exchange.replay import Selection, replay
from ml_connector.exchange.report import connection_status
from ml_connector.exchange.systems import Systems
from ml_connector.wire_json import encode


def listed(connected: Any, salesforce_id: str, kind: str) -> dict[str, Any]:
    """Return the record as `status --json` lists it; fails when it is not listed."""
    with Systems.open(connected.settings) as systems:
        rows = connection_status(systems)["records"]
    found = [row for row in rows if row["salesforce_id"] == salesforce_id and row["kind"] == kind]
    assert len(found) == 1, rows
    assert found[0]["message"]
    assert found[0]["remedy"]
    return found[0]


def settled_customer(connected: Any) -> dict[str, Any]:
    """Return an Account that is a customer already and pays in the local currency."""
    rows = [
        row
        for row in connected.salesforce("Account")
        if row.get("BC_Customer_Id__c") and row["CurrencyIsoCode"] == "USD"
    ]
    return min(rows, key=lambda row: str(row["Id"]))


def product_codes(connected: Any) -> list[str]:
    """Return product codes that have an item."""
    rows = [row for row in connected.salesforce("Product2") if row.get("BC_Item_Id__c")]
    return sorted(row["ProductCode"] for row in rows)


def new_order(connected: Any, account: dict[str, Any], **line: Any) -> str:
    """Let the rep close an Order of one line; returns its id."""
    wanted = {"product": product_codes(connected)[0], "quantity": 2, **line}
    made = connected.act(
        "salesforce", "create_order", account=account["Id"], lines=[wanted], activate=True
    )
    return str(made["Id"])


def bc_orders(connected: Any, order_id: str) -> list[dict[str, Any]]:
    """Return the BC orders that carry the number of a Salesforce Order."""
    (order,) = connected.salesforce("Order", Id=order_id)
    found: list[dict[str, Any]] = connected.orders_by_reference()[order["OrderNumber"]]
    return found


@pytest.fixture
def settled(connected: Any) -> Any:
    """A connection whose first sync is done."""
    connected.sync()
    return connected


def test_an_order_of_a_blocked_customer_is_parked_and_released(settled: Any) -> None:
    """Blocked in BC: parked with finance; unblocked: written by the next sync."""
    account = settled_customer(settled)
    number = account["BC_Customer_Number__c"]
    settled.act("business-central", "block_customer", customer=number)
    order = new_order(settled, account)

    settled.sync()
    row = listed(settled, order, "order")
    assert (row["state"], row["cause"], row["owner"]) == ("parked", "blocked_customer", "finance")
    (shown,) = settled.salesforce("Order", Id=order)
    assert shown["BC_Sync_Status__c"] == "Parked"
    assert shown["BC_Order_Status__c"] == "Error"
    settled.act("business-central", "unblock_customer", customer=number)
    settled.sync()

    assert len(bc_orders(settled, order)) == 1
    (shown,) = settled.salesforce("Order", Id=order)
    assert (shown["BC_Sync_Status__c"], shown["BC_Order_Status__c"]) == ("Synced", "Draft")


def test_an_order_with_an_item_blocked_after_the_quote_is_parked_and_released(
    settled: Any,
) -> None:
    """A blocked item holds the order, not the others."""
    item = product_codes(settled)[0]
    order = new_order(settled, settled_customer(settled), product=item)
    settled.act("business-central", "block_item", item=item)

    settled.sync()
    assert listed(settled, order, "order")["cause"] == "blocked_item"
    settled.act("business-central", "unblock_item", item=item)
    settled.sync()

    assert len(bc_orders(settled, order)) == 1


@pytest.mark.parametrize(("switch", "quantity"), [("zero", 0), ("negative", -1)])
def test_an_order_with_a_quantity_of_zero_or_less_is_parked(
    settled: Any, switch: str, quantity: int
) -> None:
    """Salesforce took it; BC needs more than zero."""
    settled.sandbox.admin.post(
        "/salesforce/switches", json={f"allow_{switch}_quantity": True}
    ).raise_for_status()
    order = new_order(settled, settled_customer(settled), quantity=quantity)

    settled.sync()

    assert listed(settled, order, "order")["cause"] == "invalid_quantity"


def test_an_order_whose_total_differs_by_a_cent_is_held_linked_and_explained(
    connected: Any,
) -> None:
    """Linked, Draft in BC, parked; once corrected it is compared again and goes through."""
    connected.sync()
    account = settled_customer(connected)
    order = new_order(connected, account, quantity=3, unit_price=Decimal("33.33"))
    connected.sync()
    (bc_order,) = bc_orders(connected, order)
    connected.act(
        "business-central",
        "edit_order_line",
        order=bc_order["number"],
        sequence=10000,
        fields={"unitPrice": Decimal("33.34")},
    )
    replay(connected.settings, Selection(ids=(order,)))

    row = listed(connected, order, "order")
    assert (row["state"], row["cause"]) == ("parked", "total_differs")
    (shown,) = connected.salesforce("Order", Id=order)
    assert shown["BC_Order_Status__c"] == "On Hold"
    assert shown["BC_Order_Id__c"] == bc_order["id"].lower()
    connected.act(
        "business-central",
        "edit_order_line",
        order=bc_order["number"],
        sequence=10000,
        fields={"unitPrice": Decimal("33.33")},
    )
    connected.sync()

    (shown,) = connected.salesforce("Order", Id=order)
    assert (shown["BC_Sync_Status__c"], shown["BC_Order_Status__c"]) == ("Synced", "Draft")


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("Name", "N" * 101, "text_too_long"),
        ("BillingCity", "C" * 31, "text_too_long"),
        ("Phone", "0123456789" * 4, "text_too_long"),
        ("BillingCountry", "Wonderland", "unknown_country"),
    ],
)
def test_an_account_that_bc_cannot_take_is_parked_and_cured(
    settled: Any, field: str, value: str, cause: str
) -> None:
    """Nothing is cut in silence; the cured Account becomes a customer by itself."""
    base = {"Name": "Fresh Start Ltd", "Type": "Customer", "CurrencyIsoCode": "USD"}
    account = settled.act("salesforce", "create", sobject="Account", fields={**base, field: value})[
        "Id"
    ]
    settled.sync()
    row = listed(settled, account, "customer")
    assert (row["state"], row["cause"]) == ("parked", cause)
    cured = {"Name": "Fresh Start Ltd"} if field == "Name" else {field: None}
    settled.act("salesforce", "edit", sobject="Account", record=account, fields=cured)

    settled.sync()

    (shown,) = settled.salesforce("Account", Id=account)
    assert shown["BC_Sync_Status__c"] == "Synced"
    (customer,) = settled.business_central("customers", displayName="Fresh Start Ltd")
    assert customer["country"] == ""


def test_two_accounts_that_match_one_customer_are_both_parked(settled: Any) -> None:
    """Nobody guesses which of them the customer is."""
    settled.act(
        "business-central", "create_customer", number="SHARED1", displayName="Shared One Inc"
    )
    ids = [
        settled.act(
            "salesforce",
            "create",
            sobject="Account",
            fields={
                "Name": name,
                "AccountNumber": "SHARED1",
                "Type": "Customer",
                "CurrencyIsoCode": "USD",
            },
        )["Id"]
        for name in ("Shared One", "Shared Two")
    ]

    settled.sync()

    for account in ids:
        row = listed(settled, account, "customer")
        assert (row["state"], row["cause"]) == ("parked", "shared_customer")


def test_a_record_deleted_between_listing_and_reading_is_left_out(connected: Any) -> None:
    """The others go through; the deleted one is excluded with its reason."""
    connected.sync()
    made = connected.act(
        "salesforce",
        "create",
        sobject="Product2",
        fields={"Name": "Short lived", "ProductCode": "SHORT", "IsActive": True},
    )["Id"]
    with Systems.open(connected.settings) as systems:
        keys = catalog.collect_products(systems)
        assert made in keys
        connected.act("salesforce", "delete", sobject="Product2", record=made)
        catalog.prepare_items(systems, keys)

    row = listed(connected, made, "item")
    assert (row["state"], row["cause"]) == ("excluded", "deleted")


@pytest.mark.parametrize(
    "happens",
    [
        {
            "status": 502,
            "body_text": "<html><body>Bad gateway</body></html>",
            "content_type": "text/html",
        },
        {"truncate": 40},
    ],
)
def test_a_gateway_page_or_a_cut_answer_is_survived(settled: Any, happens: dict[str, Any]) -> None:
    """The order waits with a sentence; the next sync finds or writes it, once."""
    order = new_order(settled, settled_customer(settled))
    settled.fault("business-central", method="POST", path="salesOrders", times=1, **happens)

    settled.sync_through_faults()
    row = listed(settled, order, "order")
    assert (row["state"], row["cause"]) == ("waiting", "outcome_unknown")
    (shown,) = settled.salesforce("Order", Id=order)
    assert shown["BC_Sync_Status__c"] == "Waiting"
    assert shown["BC_Sync_Message__c"]
    settled.sync()

    assert len(bc_orders(settled, order)) == 1
    (shown,) = settled.salesforce("Order", Id=order)
    assert shown["BC_Sync_Status__c"] == "Synced"


def test_what_bc_refuses_is_told_on_the_order(settled: Any) -> None:
    """The rep sees why, though nothing was known before BC was asked."""
    account = settled_customer(settled)
    number = account["BC_Customer_Number__c"]
    settled.act("business-central", "remove_posting_groups", customer=number)
    order = new_order(settled, account)

    settled.sync()

    row = listed(settled, order, "order")
    assert (row["state"], row["cause"]) == ("parked", "rejected_by_bc")
    (shown,) = settled.salesforce("Order", Id=order)
    assert shown["BC_Sync_Status__c"] == "Parked"
    assert shown["BC_Order_Status__c"] == "Error"
    assert "Posting Group" in shown["BC_Sync_Message__c"]


def test_an_order_bc_keeps_refusing_is_tried_seldom_and_at_once_by_replay(settled: Any) -> None:
    """Each try is a write, so a run with nothing new makes none; a cure needs no wait."""

    def tries() -> int:
        traffic = settled.sandbox.admin.get("/traffic").json()
        return int(traffic["business-central"]["kinds"].get("POST salesOrders", 0))

    refusal = {"status": 400, "code": "Application_DialogException"}
    settled.fault("business-central", method="POST", path="salesOrders", times=3, **refusal)
    order = new_order(settled, settled_customer(settled))
    before = tries()

    for _ in range(5):
        settled.sync()

    assert tries() == before + 3
    assert listed(settled, order, "order")["state"] == "parked"
    replay(settled.settings, Selection(ids=(order,)))
    assert tries() == before + 4
    assert len(bc_orders(settled, order)) == 1


def test_a_permission_the_app_lacks_is_for_it_to_give(settled: Any) -> None:
    """BC tells it with 400 like any refusal; nobody in sales or finance could cure it."""
    refusal = {"status": 400, "code": "Internal_ServerError", "times": 1}
    settled.fault("business-central", method="POST", path="salesOrders", **refusal)
    order = new_order(settled, settled_customer(settled))

    settled.sync()

    row = listed(settled, order, "order")
    assert (row["state"], row["cause"], row["owner"]) == ("parked", "missing_permission", "it")
    assert "Microsoft Entra Applications" in row["remedy"]
    settled.sync()
    assert len(bc_orders(settled, order)) == 1


def test_an_order_in_a_currency_bc_lacks_is_parked(settled: Any) -> None:
    """The currency is named; finance adds it, and the order goes through."""
    settled.act("business-central", "delete", entity="currencies", record="JPY")
    account = settled.act(
        "salesforce",
        "create",
        sobject="Account",
        fields={"Name": "Tokyo Trading", "Type": "Customer", "CurrencyIsoCode": "JPY"},
    )["Id"]

    settled.sync()

    row = listed(settled, account, "customer")
    assert (row["state"], row["cause"]) == ("parked", "unknown_currency")
    settled.act("business-central", "create_currency", code="JPY", exchange_rate="0.0067")
    settled.sync()
    (shown,) = settled.salesforce("Account", Id=account)
    assert shown["BC_Sync_Status__c"] == "Synced"


def test_a_single_currency_org_whose_currency_nobody_named_writes_nothing(connected: Any) -> None:
    """Its amounts must not be taken for Business Central's own currency."""
    switch = {"multi_currency": False}
    connected.sandbox.admin.post("/salesforce/switches", json=switch).raise_for_status()
    salesforce = connected.settings.salesforce.model_copy(update={"currency": ""})
    connected.settings = connected.settings.model_copy(update={"salesforce": salesforce})

    with Systems.open(connected.settings) as systems:
        (line,) = [each for each in ping_lines(systems) if each.level is Level.BLOCKING]
    assert line.code == "salesforce_currency"
    with pytest.raises(ConfigurationError) as refusal:
        connected.sync()
    assert refusal.value.code == "currency"
    assert refusal.value.remedy
    assert connected.business_central("salesOrders") == []


@pytest.mark.parametrize(
    ("system", "path"), [("salesforce", "oauth2/token"), ("business-central", "companies")]
)
def test_a_fault_that_passes_is_no_finding_of_the_first_look(
    connected: Any, system: str, path: str
) -> None:
    """A run begins again after a moment instead of asking a person to set something up."""
    connected.fault(system, path=path, status=503, body_text="", times=1)

    with Systems.open(connected.settings) as systems:
        with pytest.raises(TransientError):
            ping_lines(systems)
        assert {each.level for each in ping_lines(systems)} == {Level.OK}


@pytest.mark.parametrize("code", ["REQUIRED_FIELD_MISSING", "INVALID_CROSS_REFERENCE_KEY"])
def test_a_status_that_salesforce_refuses_is_no_deleted_record(settled: Any, code: str) -> None:
    """Another field became required, say: the Order is there, and nobody reads it was deleted."""
    order_id = new_order(settled, settled_customer(settled))
    error = {"statusCode": code, "message": "refused", "fields": ["Region__c"]}
    answer = [{"id": order_id, "success": False, "errors": [error]}]
    settled.fault(
        "salesforce",
        method="PATCH",
        path="composite/sobjects$",
        body=order_id,
        status=200,
        body_text=encode(answer).decode(),
        times=None,
    )

    settled.sync()

    refused = listed(settled, order_id, "status")
    assert (refused["state"], refused["cause"]) == ("parked", "rejected_by_salesforce")
    assert code in refused["message"]
    assert len(bc_orders(settled, order_id)) == 1
    settled.sandbox.admin.delete("/salesforce/faults").raise_for_status()
    settled.sync()
    (order,) = settled.salesforce("Order", Id=order_id)
    assert order["BC_Sync_Status__c"] == "Synced"


def test_long_orders_are_read_however_few_cursors_a_user_has(connected: Any) -> None:
    """Lines on pages of their own take a cursor for each Order, and the oldest ones die."""
    connected.switch("salesforce", child_page_size=2)

    connected.sync()

    orders = [row for row in connected.salesforce("Order") if row.get("BC_Order_Id__c")]
    assert len(orders) > 10
    for order in orders:
        ours = connected.salesforce("OrderItem", OrderId=order["Id"])
        theirs = connected.business_central("salesOrderLines", documentId=order["BC_Order_Id__c"])
        assert len(ours) == len(theirs)
    assert connected.sync().counts["written"] == 0
