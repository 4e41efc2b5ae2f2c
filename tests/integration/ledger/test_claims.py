"""Claims: leases end, fences only rise, and a stale holder is told so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from ml_connector.domain.clock import FixedClock
from ml_connector.domain.identifiers import Kind
from ml_connector.errors import StaleClaim
from ml_connector.ledger.ledger import ConnectionLedger, Ledger, Record

KEY = "801000000000001AAA"


@pytest.fixture
def clock(now: datetime) -> FixedClock:
    """A clock that the test moves."""
    return FixedClock(now)


@pytest.fixture
def ledger(ledger_url: str, clock: FixedClock) -> Iterator[ConnectionLedger]:
    """A ledger whose leases follow the test's clock."""
    with Ledger.open(ledger_url, clock) as store:
        yield store.connection("acme")


def claim(ledger: ConnectionLedger, owner: str, *keys: str) -> dict[str, int]:
    """Claim keys for 60 seconds."""
    with ledger.transaction() as tx:
        return tx.claim(Kind.ORDER, keys or [KEY], owner, 60)


def test_only_free_records_are_claimed(ledger: ConnectionLedger) -> None:
    """What another worker holds is not in the answer; other kinds and connections are apart."""
    claim(ledger, "first", "a", "b")

    assert claim(ledger, "second", "b", "c") == {"c": 1}
    with ledger.transaction() as tx:
        assert tx.claim(Kind.CUSTOMER, ["a"], "second", 60) == {"a": 1}


def test_a_lease_that_ended_is_taken_over(ledger: ConnectionLedger, clock: FixedClock) -> None:
    """After its time the record is free, and the old holder cannot save, renew or check."""
    fence = claim(ledger, "first")[KEY]
    clock.at += timedelta(seconds=59)
    assert claim(ledger, "second") == {}
    clock.at += timedelta(seconds=2)
    assert claim(ledger, "second") == {KEY: fence + 1}

    record = Record.first_seen(Kind.ORDER, KEY, now=clock.at)
    with pytest.raises(StaleClaim) as raised, ledger.transaction() as tx:
        tx.save(record, fence=fence)
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.save_all([record], fences={KEY: fence})
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.renew(Kind.ORDER, KEY, "first", fence, 60)

    assert raised.value.record_id == KEY
    assert ledger.record(Kind.ORDER, KEY) is None


def test_a_lease_that_ended_without_a_successor_still_commits(
    ledger: ConnectionLedger, clock: FixedClock
) -> None:
    """Being slow alone is no reason to lose a result."""
    fence = claim(ledger, "first")[KEY]
    clock.at += timedelta(hours=1)
    with ledger.transaction() as tx:
        tx.renew(Kind.ORDER, KEY, "first", fence, 60)
        tx.save(Record.first_seen(Kind.ORDER, KEY, now=clock.at), fence=fence)

    assert ledger.record(Kind.ORDER, KEY)
    assert claim(ledger, "second") == {}


def test_a_released_record_is_free_and_its_fence_goes_on(ledger: ConnectionLedger) -> None:
    """Release by somebody else changes nothing; fences never start again."""
    claim(ledger, "first")
    with ledger.transaction() as tx:
        tx.release(Kind.ORDER, [KEY], "second")
    assert claim(ledger, "second") == {}
    with ledger.transaction() as tx:
        tx.release(Kind.ORDER, [KEY], "first")

    assert ledger.held_until(Kind.ORDER, KEY) is None
    assert claim(ledger, "second") == {KEY: 2}


def test_a_late_release_does_not_free_a_later_claim_of_the_same_run(
    ledger: ConnectionLedger, clock: FixedClock
) -> None:
    """Given with its fence, a cancelled thread's release leaves the retry's claim alone."""
    cancelled = claim(ledger, "run")
    retry = claim(ledger, "run")
    assert retry == {KEY: 2}
    with ledger.transaction() as tx:
        tx.release(Kind.ORDER, cancelled, "run")

    assert ledger.held_until(Kind.ORDER, KEY) == clock.at + timedelta(seconds=60)
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.check_fence(Kind.ORDER, KEY, cancelled[KEY])
    with ledger.transaction() as tx:
        tx.release(Kind.ORDER, retry, "run")
    assert ledger.held_until(Kind.ORDER, KEY) is None


def test_one_worker_at_a_time_runs_a_feed(ledger: ConnectionLedger, clock: FixedClock) -> None:
    """A feed's lease is renewed, refused to others, and handed over."""
    with ledger.transaction() as tx:
        fence = tx.take_lease("stream", "first", 30)
        assert fence == 1
        assert tx.take_lease("stream", "second", 30) is None
        tx.renew_lease("stream", "first", fence, 60)
    assert ledger.lease_held_until("stream") == clock.at + timedelta(seconds=60)
    with ledger.transaction() as tx:
        tx.release_lease("stream", "first")
        assert tx.take_lease("stream", "second", 30) == 2
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.check_lease("stream", fence)
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.renew_lease("stream", "first", fence, 60)


def test_many_records_are_claimed_at_once(ledger: ConnectionLedger) -> None:
    """A page larger than one query's list is claimed and given back as a whole."""
    keys = [f"{number:06d}" for number in range(1200)]
    fences = claim(ledger, "first", *keys)

    assert fences == dict.fromkeys(keys, 1)
    with ledger.transaction() as tx:
        tx.release(Kind.ORDER, fences, "first")
    assert len(claim(ledger, "second", *keys)) == 1200


def test_without_a_given_clock_leases_follow_the_database(ledger_url: str) -> None:
    """A lease that ended by the database's own time is free."""
    with Ledger.open(ledger_url) as store:
        ledger = store.connection("acme")
        with ledger.transaction() as tx:
            tx.claim(Kind.ORDER, [KEY], "first", -1)

        assert ledger.held_until(Kind.ORDER, KEY) is None
        assert claim(ledger, "second") == {KEY: 2}
