"""SOQL text is built so that no value can change its meaning."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from urllib.parse import quote as url_quote

import pytest

from ml_connector.salesforce import soql


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", "'plain'"),
        ("O'Brien", "'O\\'Brien'"),
        ('say "hi"', "'say \\\"hi\\\"'"),
        ("a\\b", "'a\\\\b'"),
        ("line\nbreak\r\t", "'line\\nbreak\\r\\t'"),
        ("\\'", "'\\\\\\''"),
        ("Ærø & Søn", "'Ærø & Søn'"),
    ],
)
def test_a_literal_keeps_its_value(text: str, literal: str) -> None:
    """Quotes, backslashes and control characters are escaped; the rest stays."""
    assert soql.quote(text) == literal


def test_times_are_written_in_utc() -> None:
    """An instant is unquoted, with milliseconds and Z, whatever its zone."""
    at = datetime(2026, 1, 31, 13, 0, 0, 5000, tzinfo=timezone(timedelta(hours=1)))

    assert soql.instant(at) == "2026-01-31T12:00:00.005Z"
    assert soql.day(date(2026, 1, 31)) == "2026-01-31"


def test_a_time_without_zone_is_refused() -> None:
    """Guessing a zone would lose changes."""
    with pytest.raises(ValueError, match="zone"):
        soql.instant(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


def test_an_empty_in_list_is_refused() -> None:
    """`IN ()` is no SOQL; the caller has nothing to ask."""
    with pytest.raises(ValueError, match="at least one"):
        soql.among("Id", [])


def test_in_lists_are_cut_without_repeats() -> None:
    """Each value is asked for once, at most 200 in a query."""
    chunks = list(soql.in_list([f"{n}" for n in range(201)] + ["0"]))

    assert [len(chunk) for chunk in chunks] == [200, 1]


def test_in_lists_of_long_values_are_cut_by_length() -> None:
    """Two hundred long texts would not fit an address."""
    chunks = list(soql.in_list([f"{n}{'ø' * 50}" for n in range(200)]))

    assert sum(len(chunk) for chunk in chunks) == 200
    assert all(
        len(url_quote(soql.among("Id", chunk))) <= soql.LONGEST_LIST + 50 for chunk in chunks
    )
    assert list(soql.in_list([])) == []


def test_a_select_is_put_together() -> None:
    """Fields once each, then condition, order and limit."""
    text = soql.select(
        "Order",
        ["Id", "Name", "Id", "(SELECT Id FROM OrderItems)"],
        where=soql.both(soql.among("Id", ["801"]), "", "IsDeleted = false"),
        order_by="SystemModstamp, Id",
        limit=5,
    )

    assert text == (
        "SELECT Id, Name, (SELECT Id FROM OrderItems) FROM Order "
        "WHERE (Id IN ('801')) AND (IsDeleted = false) ORDER BY SystemModstamp, Id LIMIT 5"
    )
    assert soql.select("Account", ["Id"]) == "SELECT Id FROM Account"
    assert soql.both("a = 1") == "a = 1"
