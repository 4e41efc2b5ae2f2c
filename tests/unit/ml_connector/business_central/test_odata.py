"""OData text is built so that BC reads every value as meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ml_connector.business_central import odata


def test_quotes_are_doubled() -> None:
    """A quote in a value does not end the literal."""
    assert odata.literal("O'Brien") == "'O''Brien'"


def test_several_values_are_joined_on_one_field() -> None:
    """`or` is taken on one field only; ids go unquoted."""
    assert odata.or_filter("number", ["A", "B"]) == "number eq 'A' or number eq 'B'"
    assert odata.or_filter("orderId", ["x-1"], quoted=False) == "orderId eq x-1"


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        ("Smith & Sons", "contains(f,'Smith')"),
        ("A|BCD", "contains(f,'BCD')"),
        ("10..20", "f eq '10..20'"),
        ("x*", "contains(f,'x')"),
        ("a@b.example", "contains(f,'b.example')"),
        ("**", "f eq '**'"),
        ("v1.2", "f eq 'v1.2'"),
    ],
)
def test_bcs_filter_language_does_not_leak_in(value: str, condition: str) -> None:
    """A value with operators is found by its longest plain part, or asked for as it is."""
    expected = "contains(f,'10')" if value == "10..20" else condition

    assert odata.equals("f", value) == expected


def test_conditions_are_joined() -> None:
    """Each keeps its own parentheses; empty ones vanish."""
    assert odata.both("a or b", "", "c") == "(a or b) and (c)"
    assert odata.both("", "c") == "c"
    assert odata.both() == ""


def test_queries_are_encoded() -> None:
    """Spaces and quotes are escaped, OData's own signs stay readable."""
    query = odata.query_string(
        {"$filter": "number eq 'Å&B'", "$expand": "salesOrderLines($select=id)", "$select": ""}
    )

    assert query == ("?$filter=number%20eq%20%27%C3%85%26B%27&$expand=salesOrderLines($select=id)")
    assert odata.query_string({"$filter": ""}) == ""


def test_times_are_written_in_utc() -> None:
    """An instant is unquoted, in UTC, to the millisecond."""
    at = datetime(2026, 1, 1, 1, 0, 0, 120_999, tzinfo=timezone(timedelta(hours=1)))

    assert odata.instant(at) == "2026-01-01T00:00:00.120Z"
    with pytest.raises(ValueError, match="zone"):
        odata.instant(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


def test_paths_name_a_set_or_a_record() -> None:
    """Keys stand in bare parentheses."""
    assert odata.entity_path("items") == "items"
    assert odata.entity_path("items", "x") == "items(x)"


def test_chunks_keep_addresses_short() -> None:
    """By count or by length, whichever is reached first; one value always goes."""
    by_count = list(odata.chunks(["a"] * 120, len, at_most=50))
    by_length = list(
        odata.chunks(["a" * 5_000, "b" * 5_000], lambda c: sum(map(len, c)), at_most=9)
    )

    assert [len(chunk) for chunk in by_count] == [50, 50, 20]
    assert [len(chunk) for chunk in by_length] == [1, 1]
    assert list(odata.chunks([], len, at_most=5)) == []
