"""Where the use of an allowance leads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ml_connector.exchange.budget_forecast import Sample, forecast, kept

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def samples(*points: tuple[float, int]) -> list[Sample]:
    """Return samples at so many hours after noon."""
    return [Sample(NOON + timedelta(hours=hours), used, 1000) for hours, used in points]


def test_growth_goes_on_until_the_day_is_over() -> None:
    """A hundred an hour for twelve hours more."""
    found = samples((0, 0), (11, 400), (12, 500))

    assert forecast(found, found[-1].at) == 500 + 12 * 100


def test_only_the_last_hours_count() -> None:
    """A burst in the morning that is over is not carried on."""
    found = samples((0, 0), (1, 800), (9, 800), (12, 800))

    assert forecast(found, found[-1].at) == 800


def test_at_least_an_hour_is_looked_ahead() -> None:
    """At the end of the day a growing use still leads somewhere."""
    found = samples((0, 0), (22, 100), (23.9, 290))

    assert forecast(found, found[-1].at) == 290 + 100


def test_a_moment_says_nothing() -> None:
    """One reading, or two within minutes, is carried on as it is; a fall is no growth."""
    assert forecast(samples((0, 70)), NOON) == 70
    assert forecast(samples((0, 0), (0.05, 300)), NOON) == 300
    assert forecast(samples((0, 500), (2, 100)), NOON + timedelta(hours=2)) == 100


def test_a_day_is_kept() -> None:
    """What is older has left the rolling day; a sample survives the ledger."""
    found = samples((-25, 1), (-23, 2), (0, 3))

    assert [each.used for each in kept(found, NOON)] == [2, 3]
    assert Sample.of(found[0].to_json()) == found[0]
