"""The Business Central client against a company, under each reading the vendor leaves open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from ml_connector.business_central import odata
from ml_connector.business_central.client import BatchOperation, BusinessCentralClient
from ml_connector.business_central.models import ENTITY_SETS, SalesOrder, WireModel, parse
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.errors import (
    AuthenticationError,
    ConcurrentEdit,
    ConfigurationError,
    DuplicateKey,
    OutcomeUnknown,
    RateLimited,
    RecordNotFound,
    RecordRejected,
    TransientError,
)

Admin = Callable[..., Any]
NESTED = {"contactsInformation", "salesOrderLines", "companies"}
LINES = {
    "salesOrders": "salesOrderLines",
    "salesInvoices": "salesInvoiceLines",
    "salesShipments": "salesShipmentLines",
    "salesCreditMemos": "salesCreditMemoLines",
    "customers": "customerFinancialDetail",
}


def order_body(client: BusinessCentralClient, reference: str) -> dict[str, Any]:
    """Return an order of one line for the first customer that is not blocked."""
    customer = next(
        row for row in client.rows("customers") if row["blocked"] in ("", " ", "_x0020_")
    )
    item = next(
        row
        for row in client.rows("items")
        if not row["blocked"] and row["type"] == "Inventory" and row["unitPrice"] > 0
    )
    return {
        "customerId": customer["id"],
        "externalDocumentNumber": reference,
        "currencyCode": client.settings.local_currency,
        "pricesIncludeTax": False,
        "salesOrderLines": [
            {
                "itemId": item["id"],
                "unitOfMeasureCode": item["baseUnitOfMeasureCode"],
                "quantity": Decimal(3),
                "unitPrice": Decimal("10.10"),
                "discountPercent": 0,
            }
        ],
    }


def test_the_company_is_found(
    business_central: BusinessCentralClient, running_sandbox: Any
) -> None:
    """By the id of the settings."""
    expected = running_sandbox.line["business_central"]["company_name"]

    assert business_central.company().name == expected


@pytest.mark.parametrize("style", ["encoded", "plain"])
@pytest.mark.parametrize("entity_set", sorted(set(ENTITY_SETS) - NESTED))
def test_every_model_reads_what_the_company_has(
    business_central: BusinessCentralClient, admin: Admin, entity_set: str, style: str
) -> None:
    """Each record fits its model, with its parts, in both forms of enums."""
    admin("business-central/switches", enum_style=style)
    business_central.create("salesOrders", order_body(business_central, "READ-1"))

    rows = list(business_central.rows(entity_set, expand=LINES.get(entity_set, "")))

    records: list[WireModel] = [parse(ENTITY_SETS[entity_set], row) for row in rows]
    assert len(records) == len(rows)
    for record in records:
        for value in record.model_dump().values():
            assert not (isinstance(value, str) and "_x0020_" in value)


def test_pages_change_nothing(business_central: BusinessCentralClient) -> None:
    """Small pages give the same rows as one large one."""
    whole = [row["id"] for row in business_central.rows("items", orderby="number")]

    pages = list(business_central.pages("items", orderby="number", page_size=7))

    assert len(pages) > 1
    assert [row["id"] for page in pages for row in page] == whole


@pytest.mark.parametrize("reading", ["with_expand", "never"])
def test_an_order_is_created_whole(
    business_central: BusinessCentralClient, admin: Admin, reading: str
) -> None:
    """One POST makes header and lines to the cent, whether or not the answer shows the lines."""
    switches = admin("business-central/switches")
    if reading != switches["deep_insert_returns_lines"]:
        admin("business-central/switches", deep_insert_returns_lines=reading)
    body = order_body(business_central, "so-1")

    answer = business_central.create("salesOrders", body, expand="salesOrderLines")
    order = parse(SalesOrder, answer)
    if not order.lines_were_read:
        order = parse(
            SalesOrder, business_central.fetch("salesOrders", order.id, expand="salesOrderLines")
        )

    assert order.external_document_number == "SO-1"
    assert order.total_amount_excluding_tax == Decimal("30.30")
    assert [line.net_amount for line in order.lines] == [Decimal("30.30")]
    assert order.status == "Draft"
    assert order.etag


def test_an_order_is_found_by_its_reference(business_central: BusinessCentralClient) -> None:
    """Whatever the case; signs of BC's filter language neither hide nor add orders."""
    references = ["FIND-1", "FIND|2", "FIND&3", "FIND*"]
    for reference in references:
        business_central.create("salesOrders", order_body(business_central, reference))

    for reference in references:
        found = list(business_central.find_by("salesOrders", "externalDocumentNumber", [reference]))
        assert [row["externalDocumentNumber"] for row in found] == [reference]
    every = business_central.find_by(
        "salesOrders", "externalDocumentNumber", [r.lower() for r in references] * 2
    )
    assert len(list(every)) == 4


@pytest.mark.parametrize("status", [400, 409])
def test_a_taken_number_is_told(
    business_central: BusinessCentralClient, admin: Admin, status: int
) -> None:
    """By its code, under both statuses in use."""
    admin("business-central/switches", duplicate_key_status=status)
    number = next(business_central.rows("customers"))["number"]

    with pytest.raises(DuplicateKey):
        business_central.create("customers", {"number": number, "displayName": "Twice"})


def test_a_stale_version_is_told(business_central: BusinessCentralClient) -> None:
    """The second writer with the same version has to read again."""
    customer = business_central.create("customers", {"displayName": "O'Brien & Søn"})
    etag = customer["@odata.etag"]

    changed = business_central.update("customers", customer["id"], etag, {"city": "Oslo"})
    with pytest.raises(ConcurrentEdit):
        business_central.update("customers", customer["id"], etag, {"city": "Bergen"})
    business_central.delete("customers", customer["id"], changed["@odata.etag"])

    with pytest.raises(RecordNotFound):
        business_central.fetch("customers", customer["id"])


def test_a_business_rule_is_told_in_bcs_words(business_central: BusinessCentralClient) -> None:
    """The sentence is fit for people, the correlation id is apart."""
    with pytest.raises(RecordRejected) as caught:
        business_central.create("customers", {"displayName": "x" * 101})

    assert caught.value.code == "Application_StringExceededLength"
    assert "CorrelationId" not in str(caught.value)
    assert caught.value.request_id


def test_an_invoice_is_posted(business_central: BusinessCentralClient) -> None:
    """Shipped and invoiced, the order is gone and its invoice is found by the order's id."""
    created = business_central.create("salesOrders", order_body(business_central, "POST-1"))

    business_central.act("salesOrders", created["id"], "shipAndInvoice")

    with pytest.raises(RecordNotFound):
        business_central.fetch("salesOrders", created["id"])
    (invoice,) = business_central.find_by(
        "salesInvoices", "orderId", [created["id"]], quote=False, expand="salesInvoiceLines"
    )
    assert invoice["orderNumber"] == created["number"]


def test_a_batch_runs_on_after_a_refusal(business_central: BusinessCentralClient) -> None:
    """Each operation has its own answer; without the wish to go on the rest is absent."""
    url = business_central.batch_url("customers")
    operations = [
        BatchOperation("1", "POST", url, {"displayName": "Batch 1"}),
        BatchOperation("2", "POST", url, {"displayName": ""}),
        BatchOperation("3", "POST", url, {"displayName": "Batch 3"}),
    ]

    all_run = business_central.batch(operations)
    stopped = business_central.batch(operations, continue_on_error=False)

    assert [all_run[n].succeeded for n in "123"] == [True, False, True]
    assert isinstance(all_run["2"].error("POST customers"), RecordRejected)
    assert "3" not in stopped


def test_five_threads_stay_within_five_places(
    business_central: BusinessCentralClient, running_sandbox: Any
) -> None:
    """More callers than places wait here, not in BC's queue, so nobody is turned away."""
    business_central.company()
    running_sandbox.admin.post("/business-central/latency", json={"seconds": 0.02})
    running_sandbox.admin.post("/business-central/switches", json={"max_queued": 0})
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(5):
                list(business_central.rows("currencies"))
        except Exception as error:  # noqa: BLE001  # told below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


@pytest.mark.parametrize("with_time", [True, False])
def test_a_call_turned_away_is_sent_again(
    business_central: BusinessCentralClient, running_sandbox: Any, with_time: bool
) -> None:
    """With a named time or without; the order is written once."""
    body = order_body(business_central, "RATE-1")
    rule: dict[str, Any] = {"method": "POST", "path": "salesOrders", "status": 429}
    if with_time:
        rule["retry_after"] = 1
    running_sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()

    business_central.create("salesOrders", body)

    found = business_central.find_by("salesOrders", "externalDocumentNumber", ["RATE-1"])
    assert len(list(found)) == 1


@pytest.mark.parametrize(
    ("rule", "expected", "written"),
    [
        ({"drop": "after"}, OutcomeUnknown, 1),
        ({"drop": "before"}, OutcomeUnknown, 0),
        ({"truncate": 30}, OutcomeUnknown, 1),
        ({"status": 504, "after_commit": True}, OutcomeUnknown, 1),
        ({"status": 502, "body_text": "<html>", "content_type": "text/html"}, OutcomeUnknown, 0),
        ({"status": 503, "code": "Internal_TenantUnavailable"}, TransientError, 0),
        ({"status": 429, "retry_after": 100}, RateLimited, 0),
    ],
)
def test_faults_of_a_write(
    business_central: BusinessCentralClient,
    running_sandbox: Any,
    rule: dict[str, Any],
    expected: type[Exception],
    written: int,
) -> None:
    """Lost answers are unknown and never repeated here; refusals are decided."""
    body = order_body(business_central, "FAULT-1")
    running_sandbox.admin.post(
        "/business-central/faults", json={"method": "POST", "path": "salesOrders", **rule}
    ).raise_for_status()
    marks: list[int] = []

    with pytest.raises(expected) as caught:
        business_central.create("salesOrders", body, on_send=lambda: marks.append(1))

    assert type(caught.value) is expected
    assert marks == [1]
    found = business_central.find_by("salesOrders", "externalDocumentNumber", ["FAULT-1"])
    assert len(list(found)) == written


def test_tokens_may_die_at_any_time(business_central: BusinessCentralClient, admin: Admin) -> None:
    """A dead token costs one sign-in, not the call."""
    business_central.company()
    admin("business-central/expire-sessions")

    list(business_central.rows("currencies"))

    assert business_central.calls[("POST", "sign_in")] == 2


@pytest.mark.parametrize(
    ("update", "kind", "code"),
    [
        ({"client_secret": SecretStr("wrong-secret")}, AuthenticationError, "wrong_secret"),
        ({"client_id": "0" * 8}, AuthenticationError, "unknown_client"),
        ({"tenant_id": "00000000-1111-0000-0000-000000000000"}, ConfigurationError, "wrong_tenant"),
        ({"environment": "Nowhere"}, ConfigurationError, "wrong_environment"),
        ({"company_id": "", "company_name": "Nobody"}, ConfigurationError, "wrong_company"),
    ],
)
def test_wrong_settings_are_named(
    business_central_settings: BusinessCentralSettings,
    update: dict[str, Any],
    kind: type[Exception],
    code: str,
) -> None:
    """One clear sentence with a remedy, and never the secret."""
    with pytest.raises(ConfigurationError) as caught:
        BusinessCentralClient(business_central_settings.model_copy(update=update)).company()

    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.remedy
    assert "wrong-secret" not in str(caught.value)


def test_an_app_that_bc_does_not_know_is_sent_to_the_page(
    business_central: BusinessCentralClient, admin: Admin
) -> None:
    """The second registration, inside BC, is the one that is forgotten."""
    admin("business-central/switches", app_registered=False)

    with pytest.raises(AuthenticationError) as caught:
        business_central.company()

    assert "Microsoft Entra Applications" in caught.value.remedy


def test_a_missing_permission_is_a_matter_of_configuration(
    business_central: BusinessCentralClient, admin: Admin
) -> None:
    """BC answers 400 to a read without permission."""
    business_central.company()
    admin("business-central/switches", permission_missing=True)

    with pytest.raises(ConfigurationError) as caught:
        list(business_central.rows("items"))

    assert caught.value.code == "missing_permission"


def test_changes_are_read_since_a_time(business_central: BusinessCentralClient) -> None:
    """A filter by time takes the literal as we write it."""
    customer = parse(
        ENTITY_SETS["customers"], business_central.create("customers", {"displayName": "New"})
    )
    stamp = customer.model_dump()["last_modified_date_time"]

    rows = business_central.rows(
        "customers", filter=f"lastModifiedDateTime ge {odata.instant(stamp)}"
    )

    assert customer.model_dump()["id"] in {row["id"] for row in rows}
