"""The Salesforce client against an org, under each reading the vendor leaves open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from ml_connector.domain.clock import SystemClock
from ml_connector.errors import (
    AuthenticationError,
    ConfigurationError,
    FeedError,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from ml_connector.salesforce import soql
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.models import (
    Account,
    Contact,
    Order,
    OrderItem,
    PricebookEntry,
    Product2,
    SObject,
    parse,
)
from ml_connector.salesforce.settings import SalesforceSettings

Admin = Callable[..., Any]
MODELS: list[type[SObject]] = [Account, Contact, Product2, PricebookEntry, Order, OrderItem]


def first_order(client: SalesforceClient) -> str:
    """Return the Id of some order."""
    rows = client.query_rows(soql.select("Order", ["Id"], order_by="Id", limit=1))
    return str(next(iter(rows))["Id"])


def test_the_session_names_org_and_user(salesforce: SalesforceClient, running_sandbox: Any) -> None:
    """Both ids come from the sign-in and agree with userinfo."""
    who = salesforce.userinfo()

    assert salesforce.organization_id == running_sandbox.line["salesforce"]["organization_id"]
    assert (salesforce.organization_id, salesforce.user_id) == (
        who["organization_id"],
        who["user_id"],
    )
    assert any(version["version"] == "65.0" for version in salesforce.versions())


@pytest.mark.parametrize("model", MODELS)
def test_every_model_reads_what_the_org_has(
    salesforce: SalesforceClient, model: type[SObject]
) -> None:
    """Each selected field exists, each record fits its model."""
    fields = salesforce.fields_for(model)

    records = [
        parse(model, row) for row in salesforce.query_rows(soql.select(model.__name__, fields))
    ]

    assert records


def test_orders_come_with_all_their_lines(salesforce: SalesforceClient, admin: Admin) -> None:
    """Small pages of parents and of children change nothing in what is read."""
    fields = [
        *salesforce.fields_for(Order),
        f"({soql.select('OrderItems', salesforce.fields_for(OrderItem))})",
    ]
    query = soql.select("Order", fields, order_by="Id")
    whole = [parse(Order, row) for row in salesforce.query_rows(query)]
    admin("salesforce/switches", query_page_size=7, child_page_size=2)

    pages = list(salesforce.query(query))

    assert len(pages) > 1
    assert [parse(Order, row) for page in pages for row in page] == whole
    assert any(len(order.order_items or ()) > 2 for order in whole)


def test_a_cursor_that_dies_is_a_feed_error(salesforce: SalesforceClient, admin: Admin) -> None:
    """After the cursor's life the query has to start again."""
    admin("salesforce/switches", query_page_size=7)
    pages = salesforce.query("SELECT Id FROM Account")
    next(pages)
    admin("salesforce/clock", by_seconds=3600)

    with pytest.raises(FeedError) as caught:
        next(pages)

    assert caught.value.code == "query_locator"


def test_values_are_written_exactly(salesforce: SalesforceClient) -> None:
    """Update by Id, upsert by External Id, read back: equal amounts, per-record refusals."""
    order_id = first_order(salesforce)
    gone = f"{order_id[:3]}000000000000"

    updated = salesforce.update_records(
        "Order",
        [
            {"Id": order_id, "BC_Order_Id__c": "abc", "BC_Open_Amount__c": Decimal("1234.10")},
            {"Id": gone, "BC_Order_Id__c": "x"},
        ],
    )
    upserted = salesforce.upsert_records(
        "Order",
        "BC_Order_Id__c",
        [{"BC_Order_Id__c": "ABC", "BC_Paid_Amount__c": Decimal("0.05")}, {"BC_Order_Id__c": "no"}],
    )
    read = salesforce.retrieve(
        "Order", [gone, order_id], ["BC_Open_Amount__c", "BC_Paid_Amount__c"]
    )

    assert [r.success for r in updated] == [True, False]
    assert (upserted[0].id, upserted[0].created) == (order_id, False)
    assert upserted[1].errors[0].code == "REQUIRED_FIELD_MISSING"
    assert read[0] is None
    assert read[1] is not None
    assert (read[1]["BC_Open_Amount__c"], read[1]["BC_Paid_Amount__c"]) == (
        Decimal("1234.10"),
        Decimal("0.05"),
    )


def test_more_than_one_call_holds_is_split(salesforce: SalesforceClient) -> None:
    """Three hundred products in two calls, and away again."""
    created = salesforce.create_records("Product2", [{"Name": f"Desk {n}"} for n in range(300)])
    ids = [result.id for result in created if result.id]

    deleted = salesforce.delete_records(ids)

    assert len(ids) == 300
    assert all(result.success for result in deleted)
    assert salesforce.calls[("POST", "create")] == 2
    assert salesforce.retrieve("Product2", ids[:1], []) == [None]


def test_windows_tell_what_changed(salesforce: SalesforceClient) -> None:
    """A change of a moment ago is in the window that ends later."""
    order_id = first_order(salesforce)
    salesforce.update_records("Order", [{"Id": order_id, "BC_Sync_Status__c": "Synced"}])
    now = SystemClock().now()

    ids, covered = salesforce.updated("Order", now - timedelta(hours=1), now + timedelta(minutes=2))
    gone, _covered, earliest = salesforce.deleted("Order", now - timedelta(hours=1), now)

    assert order_id in ids
    assert covered.tzinfo is not None
    assert gone == []
    assert earliest < now


def test_a_window_too_far_back_is_a_feed_error(salesforce: SalesforceClient) -> None:
    """Thirty days is as far as Salesforce looks back."""
    now = SystemClock().now()

    with pytest.raises(FeedError):
        salesforce.updated("Order", now - timedelta(days=40), now)


@pytest.mark.parametrize("status", [400, 401])
def test_a_wrong_secret_is_named(
    salesforce_settings: SalesforceSettings, admin: Admin, status: int
) -> None:
    """Whichever status the org uses; neither secret is shown."""
    admin("salesforce/switches", token_invalid_client_status=status)
    wrong = salesforce_settings.model_copy(update={"client_secret": SecretStr("wrong-secret")})

    with pytest.raises(AuthenticationError) as caught:
        SalesforceClient(wrong).limits()

    assert caught.value.code == "wrong_secret"
    assert "wrong-secret" not in str(caught.value)


def test_an_unknown_client_is_named(salesforce_settings: SalesforceSettings) -> None:
    """The remedy mentions how long a new app takes."""
    wrong = salesforce_settings.model_copy(update={"client_id": "unknown"})

    with pytest.raises(AuthenticationError) as caught:
        SalesforceClient(wrong).limits()

    assert caught.value.code == "unknown_client"
    assert "ten minutes" in caught.value.remedy


@pytest.mark.parametrize(
    "switch",
    [
        {"run_as_user": False},
        {"client_credentials_enabled": False},
        {"app_approved": False},
        {"user_active": False},
        {"user_frozen": True},
        {"organization_active": False},
    ],
)
def test_an_app_that_is_not_set_up_is_a_matter_of_configuration(
    salesforce: SalesforceClient, admin: Admin, switch: dict[str, bool]
) -> None:
    """No retry; the remedy says what to do in Salesforce."""
    admin("salesforce/switches", **switch)

    with pytest.raises(ConfigurationError) as caught:
        salesforce.limits()

    assert caught.value.remedy


def test_sessions_may_end_at_any_time(salesforce: SalesforceClient, admin: Admin) -> None:
    """Five threads over ended sessions: every call is answered, few sign-ins."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(10):
                salesforce.limits()
        except Exception as error:  # noqa: BLE001  # told below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    salesforce.limits()
    admin("salesforce/expire-sessions")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert salesforce.calls[("POST", "sign_in")] == 2


def test_what_the_user_does_not_see_is_a_matter_of_configuration(
    salesforce: SalesforceClient,
) -> None:
    """Unknown fields, objects and External Ids stop the run with a remedy."""
    with pytest.raises(ConfigurationError):
        list(salesforce.query("SELECT Nothing__c FROM Account"))
    with pytest.raises(ConfigurationError):
        salesforce.describe("Nothing__c")
    with pytest.raises(ConfigurationError):
        salesforce.upsert_records("Order", "Nothing__c", [{"Nothing__c": "1"}])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"drop": "after"}, OutcomeUnknown),
        ({"drop": "before"}, OutcomeUnknown),
        ({"truncate": 20}, OutcomeUnknown),
        ({"status": 502, "body_text": "<html>", "content_type": "text/html"}, OutcomeUnknown),
        ({"status": 503, "code": "SERVER_UNAVAILABLE"}, TransientError),
        ({"status": 403, "code": "REQUEST_LIMIT_EXCEEDED"}, RateLimited),
        ({"shortcut": "lock_row"}, TransientError),
    ],
)
def test_faults_of_a_write(
    salesforce: SalesforceClient,
    running_sandbox: Any,
    rule: dict[str, Any],
    expected: type[Exception],
) -> None:
    """Lost answers are unknown, refusals are decided; the next call works again."""
    order_id = first_order(salesforce)
    running_sandbox.admin.post(
        "/salesforce/faults", json={"method": "PATCH", **rule}
    ).raise_for_status()
    record = {"Id": order_id, "BC_Sync_Status__c": "Synced"}

    with pytest.raises(expected) as caught:
        salesforce.update_records("Order", [record])

    assert type(caught.value) is expected
    assert salesforce.update_records("Order", [record])[0].success
