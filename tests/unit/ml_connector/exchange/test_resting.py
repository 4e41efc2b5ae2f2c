"""When a refused record is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.resting import LONGEST_REST, rest_after, resting
from ml_connector.ledger.records import Record

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (8, 32), (9, 60), (5000, 60)]
)
def test_rests_grow_to_an_hour(attempts: int, minutes: int) -> None:
    """Three tries at once, so that a quick cure is seen; then each rest is twice the last."""
    assert rest_after(attempts) == timedelta(minutes=minutes) <= LONGEST_REST


@pytest.mark.parametrize("cause", [Cause.REJECTED_BY_BC, Cause.MISSING_PERMISSION, Cause.NO_ITEM])
def test_only_what_bc_refused_rests_and_only_until_it_is_due(cause: Cause) -> None:
    """What the connector itself can see cured costs no write and is decided by every run."""
    record = Record.first_seen(Kind.ORDER, "801000000000001AAA", now=NOW)
    for _ in range(3):
        record.enter(State.PARKED, now=NOW, cause=cause)
    expected = set() if cause is Cause.NO_ITEM else {record.key}

    assert resting([record], NOW + timedelta(seconds=59)) == expected
    assert resting([record], NOW + timedelta(seconds=60)) == set()
