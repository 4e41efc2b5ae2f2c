"""The seeded distributor: repeatable, complete, and consistent on both sides."""

from datetime import date
from typing import Any

import pytest

from ml_connector.sandbox.frame.wire import encode
from ml_connector.sandbox.seed import build

DAY = date(2026, 3, 1)


def rows(load: list[tuple[str, list[dict[str, Any]]]], entity: str) -> list[dict[str, Any]]:
    """The rows of one entity."""
    return dict(load)[entity]


def test_the_same_seed_gives_the_same_data() -> None:
    """Two builds from one seed are equal to the byte, another seed differs."""
    first, again, other = (encode(build(seed, 60, 40, 60, today=DAY)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("multi", [True, False])
@pytest.mark.parametrize("size", [(0, 0, 0), (3, 2, 3), (12, 12, 12), (300, 120, 400)])
def test_the_counts_are_those_asked_for(multi: bool, size: tuple[int, int, int]) -> None:
    """Accounts, items and Orders come in the asked numbers, at every size and currency mode."""
    org, company = build(1, *size, multi_currency=multi, today=DAY)
    got = (len(rows(org, "Account")), len(rows(company, "items")), len(rows(org, "Order")))
    assert got == size
    assert all(("CurrencyIsoCode" in row) == multi for row in rows(org, "Order"))


def test_every_reference_leads_somewhere() -> None:
    """Lines, orders, contacts and prices refer to records that are there, in one currency."""
    org, _ = build(1, 100, 60, 300, today=DAY)
    ids = {row["Id"] for _, block in org for row in block}
    for _, block in org:
        for row in block:
            for name, value in row.items():
                if name.endswith("Id") and name != "Id":
                    assert value in ids, (name, value)
    entries = {row["Id"]: row for row in rows(org, "PricebookEntry")}
    orders = {row["Id"]: row for row in rows(org, "Order")}
    for line in rows(org, "OrderItem"):
        entry, order = entries[line["PricebookEntryId"]], orders[line["OrderId"]]
        assert entry["CurrencyIsoCode"] == order["CurrencyIsoCode"]
        assert entry["Pricebook2Id"] == order["Pricebook2Id"]
        assert entry["Product2Id"] == line["Product2Id"]
    with_lines = {line["OrderId"] for line in rows(org, "OrderItem")}
    assert with_lines == set(orders)


def test_only_the_documented_records_cannot_pass() -> None:
    """A plain seed fits Business Central's lengths and codes; a default one has its known few."""
    org, company = build(1, 120, 60, 200, plain=True, today=DAY)
    names = [row["Name"] for row in rows(org, "Account")]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 100
    numbers = {row["number"] for row in rows(company, "items")}
    codes = [row["ProductCode"].upper() for row in rows(org, "Product2")]
    assert sorted(codes) == sorted(numbers)
    for row in rows(company, "customers"):
        assert len(row["city"]) <= 30
        assert len(row["number"]) <= 20
    special, _ = build(1, 120, 60, 200, today=DAY)
    assert [len(row["Name"]) for row in rows(special, "Account") if len(row["Name"]) > 100] == [120]
    assert len([row for row in rows(special, "Contact") if "AccountId" not in row]) == 1
    assert len([row for row in rows(special, "Order") if row.get("IsReductionOrder")]) == 1


def test_lines_per_order_are_a_distributors() -> None:
    """Orders have 1 to 40 lines, the middle one 3 to 5."""
    org, _ = build(3, 50, 80, 1000, plain=True, today=DAY)
    counts: dict[str, int] = {}
    for line in rows(org, "OrderItem"):
        counts[line["OrderId"]] = counts.get(line["OrderId"], 0) + 1
    ordered = sorted(counts.values())
    assert ordered[0] == 1
    assert 30 < ordered[-1] <= 40
    assert 3 <= ordered[len(ordered) // 2] <= 5


def test_the_number_of_lines_can_be_set() -> None:
    """With a set number of lines every order of a plain seed has exactly that many."""
    org, _ = build(1, 20, 15, 30, plain=True, lines=5, today=DAY)
    assert len(rows(org, "OrderItem")) == 150
