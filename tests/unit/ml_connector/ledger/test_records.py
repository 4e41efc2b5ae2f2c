"""Records in memory: how they enter a state and how they are printed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ml_connector.domain.causes import CATALOGUE, Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.ledger.records import Document, Record

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def record() -> Record:
    """Build a record met for the first time."""
    return Record.first_seen(Kind.ORDER, "801000000000001AAA", now=NOW)


def test_the_same_standing_keeps_its_time_and_counts_attempts() -> None:
    """Parked again for the same cause: since when it is, and how often it was tried."""
    each = record()
    each.enter(State.PARKED, now=NOW, cause=Cause.NO_LINES, message="first")
    each.enter(State.PARKED, now=LATER, cause=Cause.NO_LINES, message="second")

    assert (each.since, each.attempts, each.message) == (NOW, 2, "second")
    assert each.last_seen_at == LATER


@pytest.mark.parametrize(
    ("state", "cause"),
    [(State.PARKED, Cause.MISSING_VALUE), (State.WAITING, Cause.NO_LINES), (State.WRITTEN, "")],
)
def test_another_standing_starts_anew(state: State, cause: str) -> None:
    """Another state or another cause resets time, attempts and what the old one left."""
    each = record()
    each.enter(State.PARKED, now=NOW, cause=Cause.NO_LINES, candidates=[{"bc_id": "x"}])
    each.enter(state, now=LATER, cause=cause)

    assert (each.since, each.attempts, each.candidates) == (LATER, 1, [])


def test_the_first_wait_starts_counting_now() -> None:
    """A record that waits from the start has been tried once after its first decision."""
    each = record()
    each.enter(State.WAITING, now=LATER)

    assert (each.since, each.attempts) == (LATER, 1)


def test_owner_and_remedy_come_from_the_catalogue_unless_given() -> None:
    """Every cause has somebody who can cure it."""
    each = record()
    each.enter(State.PARKED, now=NOW, cause=Cause.NO_LINES)
    entry = CATALOGUE[Cause.NO_LINES]
    assert (each.remedy, each.owner) == (entry.remedy, entry.owner)
    each.enter(State.PARKED, now=NOW, cause=Cause.NO_LINES, remedy="Do.", owner="it")
    assert (each.remedy, each.owner) == ("Do.", "it")
    each.enter(State.WRITTEN, now=NOW)
    assert (each.remedy, each.owner, each.cause) == ("", "", "")


def test_a_record_prints_as_plain_values() -> None:
    """Record R of the commands' JSON: strings, counts and times in UTC with Z."""
    each = record()
    each.enter(
        State.WAITING,
        now=NOW,
        cause=Cause.MISSING_ITEM,
        message="Product P-1 has no item.",
        waits_for=[{"kind": "item", "salesforce_id": "01t"}],
    )
    printed = each.report()

    assert {**printed, "remedy": ""} == {
        "kind": "order",
        "salesforce_id": "801000000000001AAA",
        "salesforce_number": "",
        "bc_id": "",
        "bc_number": "",
        "state": "waiting",
        "cause": "missing_item",
        "message": "Product P-1 has no item.",
        "remedy": "",
        "owner": "finance",
        "waits_for": [{"kind": "item", "salesforce_id": "01t"}],
        "candidates": [],
        "since": "2026-03-01T12:00:00Z",
        "first_seen_at": "2026-03-01T12:00:00Z",
        "last_seen_at": "2026-03-01T12:00:00Z",
        "attempts": 1,
    }
    assert {type(value) for value in printed.values()} == {str, int, list}


def test_which_documents_may_still_move() -> None:
    """A draft always, a posted one while something remains, a canceled or corrective one never."""
    posted = Document(
        bc_id="a",
        doc_type="invoice",
        order_key="o",
        number="1",
        status="Open",
        total=Decimal("10.00"),
        remaining=Decimal("0.01"),
        currency="EUR",
        due_date=date(2026, 3, 31),
        posted=True,
    )

    assert posted.is_open
    assert not replace(posted, remaining=Decimal("0.00")).is_open
    assert replace(posted, remaining=Decimal(0), posted=False, status="Draft").is_open
    assert not replace(posted, status="Corrective").is_open
    assert not replace(posted, status="Canceled", posted=False).is_open
