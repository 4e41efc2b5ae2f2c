"""Query options, paging, and what the service refuses to filter."""

from typing import Any

import pytest


def _numbers(tenant: Any, query: str) -> list[str]:
    return [row["number"] for row in tenant.values(f"customers?{query}")]


@pytest.mark.parametrize(
    ("filter_text", "numbers"),
    [
        ("number eq 'C100'", ["C100"]),
        ("number eq 'c100'", ["C100"]),
        ("displayName eq 'O''Brien %26 Söhne'", ["C200"]),
        ("displayName eq 'adatum'", []),
        ("tolower(displayName) eq 'adatum'", ["C100"]),
        ("startswith(displayName,'O''')", ["C200"]),
        ("contains(displayName,'株式')", ["C300"]),
        ("endswith(displayName,'tum')", ["C100"]),
        ("substring(displayName,1,3) eq 'dat'", ["C100"]),
        ("number ge 'C200' and number lt 'C300'", ["C200"]),
        ("number eq 'C100' or number eq 'C300'", ["C100", "C300"]),
        ("(country eq 'GB' or country eq 'DE') and blocked eq ' '", ["C200", "C300"]),
        ("blocked eq '_x0020_' and taxLiable eq true", ["C100", "C200", "C300"]),
        ("lastModifiedDateTime gt 2099-01-01T00:00:00Z", []),
        ("creditLimit le 0", ["C100", "C200", "C300"]),
        ("defaultDimensions/any(d: d/dimensionCode eq 'AREA')", ["C100", "C200", "C300"]),
        ("displayName eq 'Ada*'", ["C100"]),
    ],
)
def test_filters(tenant: Any, filter_text: str, numbers: list[str]) -> None:
    """The filters clients write find what they describe."""
    assert _numbers(tenant, f"$filter={filter_text}") == numbers


@pytest.mark.parametrize(
    ("filter_text", "code"),
    [
        ("number eq 'C100' or country eq 'US'", "BadRequest"),
        ("number in ('C100','C200')", "BadRequest"),
        ("contains(tolower(displayName),'ada')", "BadRequest"),
        ("not (number eq 'C100')", "BadRequest"),
        ("balanceDue gt 0", "BadRequest"),
        ("currencyCode eq 'EUR'", "BadRequest"),
        ("colour eq 'red'", "BadRequest"),
        ("number eq C100", "BadRequest"),
        ("id eq 'x'", "BadRequest"),
        ("number eq 'C1", "BadRequest"),
        ("blocked eq 'Sometimes'", "Unknown"),
        ("number eq 'C12345678901234567890'", "Application_FilterErrorException"),
    ],
)
def test_refused_filters(tenant: Any, filter_text: str, code: str) -> None:
    """What the service does not take is refused, not ignored."""
    assert tenant.refusal("GET", f"customers?$filter={filter_text}") == (400, code)


def test_newer_schema_takes_in_and_nesting(tenant: Any) -> None:
    """With $schemaversion=2.1 lists and nested functions work."""
    query = "$schemaversion=2.1&$filter=number in ('C100','C300')"
    assert _numbers(tenant, query) == ["C100", "C300"]
    query = "$schemaversion=2.1&$filter=contains(tolower(displayName),'ada')"
    assert _numbers(tenant, query) == ["C100"]


def test_select_order_top_skip_count(tenant: Any) -> None:
    """The plain options work together."""
    page = tenant.get(
        "customers?$select=number,displayName&$orderby=number desc&$top=1&$skip=1&$count=true"
    )
    (row,) = page["value"]
    assert set(row) == {"@odata.etag", "number", "displayName"}
    assert (row["number"], page["@odata.count"]) == ("C200", 3)
    counted = tenant.call("GET", "customers/$count?$filter=country eq 'US'")
    assert counted.text == "1"
    assert tenant.refusal("GET", "customers?$select=colour") == (400, "BadRequest")
    assert tenant.refusal("GET", "customers?$orderby=balanceDue") == (
        501,
        "BadRequest_MethodNotImplemented",
    )
    assert tenant.refusal("GET", "customers?$top=-1") == (400, "BadRequest")


def test_server_driven_paging(tenant: Any) -> None:
    """Pages follow the asked size, the link is opaque, and the size is asked for on each page."""
    for number in range(5):
        tenant.create("customers", displayName=f"More {number}", number=f"M{number}")
    path = "customers?$select=number&$filter=number ge 'C'&$count=true"
    seen: list[str] = []
    pages = 0
    while path:
        page = tenant.get(path, prefer="odata.maxpagesize=3")
        assert page["@odata.count"] == 8
        seen += [row["number"] for row in page["value"]]
        path = page.get("@odata.nextLink", "")
        assert not path or "$skiptoken=" in path
        pages += 1
    assert (len(seen), pages) == (8, 3)
    assert seen == sorted(set(seen))
    first = tenant.get("customers", prefer="odata.maxpagesize=3")
    rest = tenant.get(first["@odata.nextLink"])
    assert len(rest["value"]) == 5
    assert "@odata.nextLink" not in rest
    limited = tenant.get("customers?$top=4", prefer="odata.maxpagesize=3")
    last = tenant.get(limited["@odata.nextLink"], prefer="odata.maxpagesize=3")
    assert len(last["value"]) == 1
    assert "@odata.nextLink" not in last
    assert tenant.refusal("GET", "customers?$skiptoken=zzz") == (400, "BadRequest")


def test_expand(tenant: Any) -> None:
    """Navigation properties come along, nested, with options of their own."""
    tenant.order()
    (order,) = tenant.values(
        "salesOrders?$expand=customer($select=number;$expand=paymentTerm),"
        "salesOrderLines($filter=quantity gt 50;$select=sequence),currency"
    )
    assert order["customer"]["number"] == "C100"
    assert order["customer"]["paymentTerm"]["code"] == "1M(8D)"
    assert [line["sequence"] for line in order["salesOrderLines"]] == [20000]
    assert order["currency"] is None
    assert tenant.refusal("GET", "salesOrders?$expand=friends") == (400, "BadRequest")


@pytest.mark.parametrize(
    "entity",
    [
        "salesOrderLines",
        "salesInvoiceLines",
        "salesCreditMemoLines",
        "customerPayments",
        "contactsInformation",
        "defaultDimensions",
        "dimensionSetLines",
    ],
)
def test_never_flat(tenant: Any, entity: str) -> None:
    """Lines and other parts are only listed through their parent."""
    assert tenant.refusal("GET", entity) == (400, "Application_DialogException")


def test_lines_by_document(tenant: Any) -> None:
    """Lines are found under their document, by its id, and by their own."""
    order = tenant.order()
    under = tenant.values(f"salesOrders({order['id']})/salesOrderLines")
    assert under == tenant.values(f"salesOrderLines?$filter=documentId eq {order['id']}")
    single = tenant.get(f"salesOrderLines({under[0]['id']})")
    assert single["lineObjectNumber"] == "1000"


def test_shapes(tenant: Any) -> None:
    """Blank values, encoded enums, entity tags and contexts look as the service's."""
    customer = tenant.get(f"customers({tenant.ids['C100']})")
    assert customer["blocked"] == "_x0020_"
    assert customer["currencyId"] == "00000000-0000-0000-0000-000000000000"
    assert customer["currencyCode"] == "USD"
    assert customer["@odata.etag"].startswith('W/"')
    assert customer["@odata.context"].endswith("/customers/$entity")
    assert customer["lastModifiedDateTime"].endswith("Z")
    order = tenant.order()
    assert order["requestedDeliveryDate"] == "0001-01-01"
    tenant.switch(enum_style="plain")
    assert tenant.get(f"customers({tenant.ids['C100']})")["blocked"] == " "


def test_rows_changed_since(tenant: Any) -> None:
    """A poll by the time of change finds exactly what changed after it."""
    stamp = tenant.get(f"customers({tenant.ids['C300']})")["lastModifiedDateTime"]
    tenant.move_clock(60)
    tenant.change(f"customers({tenant.ids['C200']})", phoneNumber="123")
    assert _numbers(tenant, f"$filter=lastModifiedDateTime gt {stamp}") == ["C200"]


def test_read_only_intent(tenant: Any) -> None:
    """A read-only intent is for reading."""
    tenant.get("customers", data_access_intent="ReadOnly")
    answer = tenant.refusal("POST", "customers", {}, data_access_intent="ReadOnly")
    assert answer == (400, "BadRequest")
