"""When a record that Business Central refused is tried again: at once a few times, then seldom.

What cures a refusal (a posting group, a permission, an open period) cannot be seen through the API,
so trying is the only way to notice; but every try is a write, and an idle run should make none.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import State
from ml_connector.ledger.records import Record

REFUSALS = frozenset({Cause.REJECTED_BY_BC, Cause.MISSING_PERMISSION})
TRIES_AT_ONCE = 3
LONGEST_REST = timedelta(hours=1)


def rest_after(attempts: int) -> timedelta:
    """Return how long a record rests that was refused *attempts* times in a row."""
    if attempts < TRIES_AT_ONCE:
        return timedelta()
    minutes = 2.0 ** min(attempts - TRIES_AT_ONCE, 10)
    return min(timedelta(minutes=minutes), LONGEST_REST)


def resting(records: Iterable[Record], now: datetime) -> set[str]:
    """Return the keys of refused records whose next try is not due yet."""
    return {
        record.key
        for record in records
        if record.state is State.PARKED
        and record.cause in REFUSALS
        and now < record.last_seen_at + rest_after(record.attempts)
    }
