"""How `check` compares clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ml_connector.domain.clock import clock_offset
from ml_connector.exchange.check_line import Level
from ml_connector.exchange.clock_checks import clock_lines

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def systems(salesforce: timedelta | None, central: timedelta | None) -> Any:
    """Return systems whose clocks are so far ahead."""
    return SimpleNamespace(
        salesforce=SimpleNamespace(clock_offset=salesforce),
        business_central=SimpleNamespace(clock_offset=central),
    )


@pytest.mark.parametrize(("seconds", "word"), [(600, "behind"), (-600, "ahead of")])
def test_a_clock_that_is_off_warns(seconds: int, word: str) -> None:
    """The line says by how much and in which direction; the other clock is fine."""
    found = list(clock_lines(systems(timedelta(seconds=seconds), timedelta(seconds=2))))

    assert [line.level for line in found] == [Level.WARNING, Level.OK]
    assert f"600 s {word}" in found[0].message


def test_a_service_that_tells_no_time_is_no_news() -> None:
    """Nothing is said about it."""
    assert list(clock_lines(systems(None, None))) == []


def test_the_offset_is_reckoned_from_the_middle_of_the_call() -> None:
    """Half of a slow answer is on the way back."""
    header = "Fri, 27 Nov 2026 12:00:10 GMT"

    offset = clock_offset(header, NOON, NOON + timedelta(seconds=20))

    assert offset == timedelta(milliseconds=500)


@pytest.mark.parametrize("header", ["", "yesterday", "2026-11-27T12:00:00Z"])
def test_a_date_nobody_can_read_tells_nothing(header: str) -> None:
    """A missing or odd header is no offset."""
    assert clock_offset(header, NOON, NOON) is None
