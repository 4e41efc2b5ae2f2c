"""Orders: draft, activated, and what may change when."""

from typing import Any

import pytest


@pytest.fixture
def activated(org: Any, draft: str) -> str:
    """An activated order."""
    assert org.call("PATCH", f"/sobjects/Order/{draft}", {"Status": "Activated"}).status_code == 204
    return draft


def _item(org: Any, order: str) -> str:
    found: str = org.ids(f"SELECT Id FROM OrderItem WHERE OrderId = '{order}'")[0]  # noqa: S608
    return found


def test_an_order_adds_up_its_lines(org: Any, shop: Any, draft: str) -> None:
    """Totals follow the lines, to the cent, half up."""
    line = org.create(
        "OrderItem", OrderId=draft, PricebookEntryId=shop.entry, Quantity=1.5, UnitPrice=0.33
    )
    found = org.read("OrderItem", line)
    assert (found["TotalPrice"], found["ListPrice"]) == (0.5, 2.5)
    assert found["Product2Id"] == shop.product
    assert org.read("Order", draft)["TotalAmount"] == 10.5
    org.call("DELETE", f"/sobjects/OrderItem/{line}")
    order = org.read("Order", draft)
    assert (order["TotalAmount"], order["StatusCode"]) == (10, "Draft")
    assert order["OrderNumber"].isdigit() and len(order["OrderNumber"]) == 8


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Status": "Activated"}, "FAILED_ACTIVATION"),
        ({"Status": "Closed"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"AccountId": None}, "REQUIRED_FIELD_MISSING"),
        ({"EffectiveDate": None}, "REQUIRED_FIELD_MISSING"),
        ({"EndDate": "2025-01-01"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"IsReductionOrder": True}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"TotalAmount": 5}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"StatusCode": "Draft"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"OrderNumber": "1"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
def test_a_new_order_has_its_rules(org: Any, shop: Any, change: dict[str, Any], code: str) -> None:
    """A draft with an account and a date, and nothing that is the platform's."""
    body = {"AccountId": shop.account, "EffectiveDate": "2026-01-31", "Status": "Draft", **change}
    assert org.refusal("POST", "/sobjects/Order", body) == (400, code)


def test_the_missing_account_names_no_field(org: Any) -> None:
    """The refusal comes without a field, though describe calls the account nillable."""
    body = {"EffectiveDate": "2026-01-31", "Status": "Draft"}
    answer = org.call("POST", "/sobjects/Order", body)
    assert not answer.json()[0].get("fields")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Quantity": 0}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Quantity": -1}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Quantity": None}, "REQUIRED_FIELD_MISSING"),
        ({"UnitPrice": None}, "REQUIRED_FIELD_MISSING"),
        ({"ServiceDate": "2026-01-30"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"TotalPrice": 1}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Discount": 1}, "INVALID_FIELD"),
        ({"PricebookEntryId": None}, "REQUIRED_FIELD_MISSING"),
    ],
)
def test_a_line_has_its_rules(
    org: Any, shop: Any, draft: str, change: dict[str, Any], code: str
) -> None:
    """Quantity, price and dates are checked."""
    body = {
        "OrderId": draft,
        "PricebookEntryId": shop.entry,
        "Quantity": 1,
        "UnitPrice": 1,
        **change,
    }
    assert org.refusal("POST", "/sobjects/OrderItem", body) == (400, code)


def test_switches_let_odd_quantities_in(org: Any, shop: Any, draft: str) -> None:
    """An org may allow quantities of zero and below."""
    org.switch(allow_zero_quantity=True, allow_negative_quantity=True)
    for quantity in (0, -2):
        org.create(
            "OrderItem",
            OrderId=draft,
            PricebookEntryId=shop.entry,
            Quantity=quantity,
            UnitPrice=1,
        )
    assert org.read("Order", draft)["TotalAmount"] == 8


def test_lines_need_the_order_to_have_their_price_book(org: Any, shop: Any, draft: str) -> None:
    """No book, another book, another currency and an inactive price are refused."""
    bare = org.create("Order", AccountId=shop.account, EffectiveDate="2026-01-31", Status="Draft")
    line = {"PricebookEntryId": shop.entry, "Quantity": 1, "UnitPrice": 1}

    def code(order: str, **change: Any) -> str:
        body = {"OrderId": order, **line, **change}
        refusal: tuple[int, str] = org.refusal("POST", "/sobjects/OrderItem", body)
        return refusal[1]

    assert code(bare) == "FIELD_INTEGRITY_EXCEPTION"
    book = org.create("Pricebook2", Name="Special", IsActive=True)
    special = org.create(
        "PricebookEntry", Product2Id=shop.product, Pricebook2Id=book, UnitPrice=1, IsActive=True
    )
    assert code(draft, PricebookEntryId=special) == "FIELD_INTEGRITY_EXCEPTION"
    euro = org.create(
        "PricebookEntry",
        Product2Id=shop.product,
        Pricebook2Id=shop.book,
        UnitPrice=1,
        IsActive=True,
        CurrencyIsoCode="EUR",
    )
    assert code(draft, PricebookEntryId=euro) == "FIELD_INTEGRITY_EXCEPTION"
    org.call("PATCH", f"/sobjects/PricebookEntry/{shop.entry}", {"IsActive": False})
    assert code(draft) == "FIELD_INTEGRITY_EXCEPTION"


def test_prices_need_a_standard_price_and_come_once(org: Any, shop: Any) -> None:
    """A custom price waits for the standard one; a second one is a duplicate."""
    product = org.create("Product2", Name="Nut")
    book = org.create("Pricebook2", Name="Special", IsActive=True)
    body = {"Product2Id": product, "Pricebook2Id": book, "UnitPrice": 1}
    path = "/sobjects/PricebookEntry"
    assert org.refusal("POST", path, body) == (400, "STANDARD_PRICE_NOT_DEFINED")
    body = {"Product2Id": shop.product, "Pricebook2Id": shop.book, "UnitPrice": 1}
    assert org.refusal("POST", path, body) == (400, "DUPLICATE_VALUE")


def test_activation_wants_a_line_and_changes_nothing_else(org: Any, shop: Any, draft: str) -> None:
    """The status alone may change in that update."""
    empty = org.create("Order", AccountId=shop.account, EffectiveDate="2026-01-31", Status="Draft")
    status = {"Status": "Activated"}
    refusal = (400, "FAILED_ACTIVATION")
    assert org.refusal("PATCH", f"/sobjects/Order/{empty}", status) == refusal
    path = f"/sobjects/Order/{draft}"
    assert org.refusal("PATCH", path, {**status, "Name": "x"}) == refusal
    assert org.call("PATCH", path, status).status_code == 204
    order = org.read("Order", draft)
    assert order["StatusCode"] == "Activated" and order["ActivatedDate"] and order["ActivatedById"]
    assert org.call("PATCH", path, status).status_code == 204


def test_an_activated_order_is_fixed(org: Any, shop: Any, activated: str) -> None:
    """No lines in or out, no other account, no delete; other fields still move."""
    path = f"/sobjects/Order/{activated}"
    line = {"OrderId": activated, "PricebookEntryId": shop.entry, "Quantity": 1, "UnitPrice": 1}
    item = f"/sobjects/OrderItem/{_item(org, activated)}"
    other = org.create("Account", Name="Other")
    assert org.refusal("POST", "/sobjects/OrderItem", line) == (400, "ENTITY_IS_LOCKED")
    assert org.refusal("DELETE", item) == (400, "ENTITY_IS_LOCKED")
    assert org.refusal("DELETE", path) == (400, "DELETE_FAILED")
    assert org.refusal("PATCH", path, {"AccountId": other}) == (400, "ENTITY_IS_LOCKED")
    assert org.refusal("DELETE", f"/sobjects/Account/{shop.account}") == (400, "DELETE_FAILED")
    assert org.call("PATCH", path, {"BC_Order_Id__c": "x"}).status_code == 204


def test_editing_an_activated_order_needs_its_permission(org: Any, activated: str) -> None:
    """Without it neither order nor line can be written; the code is a switch."""
    org.act("withdraw", permission="EditActivatedOrders")
    path = f"/sobjects/Order/{activated}"
    wanted = (403, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert org.refusal("PATCH", path, {"BC_Order_Id__c": "x"}) == wanted
    item = f"/sobjects/OrderItem/{_item(org, activated)}"
    assert org.refusal("PATCH", item, {"Description": "x"}) == wanted
    org.switch(edit_activated_refusal="ENTITY_IS_LOCKED")
    assert org.refusal("PATCH", path, {"BC_Order_Id__c": "x"}) == (400, "ENTITY_IS_LOCKED")
    org.act("grant", permission="EditActivatedOrders")
    assert org.call("PATCH", path, {"BC_Order_Id__c": "x"}).status_code == 204


def test_an_order_can_go_back_to_draft_and_be_activated_again(org: Any, activated: str) -> None:
    """Draft unlocks it; the next activation has its own time."""
    first = org.read("Order", activated)["ActivatedDate"]
    org.act("draft_order", order=activated)
    assert org.read("Order", activated)["ActivatedDate"] is None
    assert org.call("DELETE", f"/sobjects/OrderItem/{_item(org, activated)}").status_code == 204
    org.act("add_line", order=activated, line={"product": "B-1", "quantity": 3})
    org.move_clock(60)
    org.act("activate_order", order=activated)
    order = org.read("Order", activated)
    assert order["ActivatedDate"] > first
    assert order["TotalAmount"] == 7.5


def test_a_draft_keeps_its_book_once_it_has_lines(org: Any, draft: str) -> None:
    """Price book and currency are fixed by the first line; the account is not."""
    path = f"/sobjects/Order/{draft}"
    for change in ({"Pricebook2Id": None}, {"CurrencyIsoCode": "EUR"}):
        assert org.refusal("PATCH", path, change) == (400, "FIELD_INTEGRITY_EXCEPTION")
    other = org.create("Account", Name="Other")
    assert org.call("PATCH", path, {"AccountId": other}).status_code == 204


def test_a_reduction_takes_from_what_is_available(org: Any, activated: str) -> None:
    """Negative lines against the original; the original cannot be drafted again."""
    item = _item(org, activated)
    reduction = org.act("reduce_order", order=activated, lines=[{"line": item, "quantity": 3}])
    assert reduction["IsReductionOrder"] is True and reduction["StatusCode"] == "Activated"
    assert org.read("OrderItem", item)["AvailableQuantity"] == 1
    refused = org.admin.post("/act", json={"act": "draft_order", "order": activated})
    assert "FAILED_ACTIVATION" in refused.text
    lines = [{"line": item, "quantity": 2}]
    refused = org.admin.post(
        "/act", json={"act": "reduce_order", "order": activated, "lines": lines}
    )
    assert "FIELD_INTEGRITY_EXCEPTION" in refused.text


def test_statuses_are_the_orgs_own(org: Any, draft: str) -> None:
    """Another status of the category Activated activates as well."""
    org.act("add_order_status", label="Won", category="Activated")
    assert org.call("PATCH", f"/sobjects/Order/{draft}", {"Status": "Won"}).status_code == 204
    assert org.read("Order", draft)["StatusCode"] == "Activated"
    found = org.query("SELECT ApiName, StatusCode FROM OrderStatus ORDER BY SortOrder")["records"]
    assert [(r["ApiName"], r["StatusCode"]) for r in found][-1] == ("Won", "Activated")


def test_orders_can_be_off(org: Any) -> None:
    """Without the feature the objects are unknown."""
    org.switch(orders_enabled=False)
    assert org.refusal("GET", "/sobjects/Order/describe") == (404, "NOT_FOUND")
    soql = {"q": "SELECT Id FROM Order"}
    assert org.refusal("GET", "/query", params=soql) == (400, "INVALID_TYPE")
