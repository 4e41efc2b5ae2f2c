"""Several workers on one ledger: one writer per record; who wakes up late stores nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.examination.checker import Checker, Expected
from tests.examination.examination import AFTER_A_LEASE, AFTER_SETTLING, START, settings_for
from tests.examination.points import Event
from tests.examination.workers import Ahead, Job, Worker, run_alone
from tests.examination.world import World


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Url of an empty ledger, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_ledger")
    return url


def references(world: World) -> Counter[str]:
    """Return how many sales orders BC has per external document number."""
    return Counter(row["externalDocumentNumber"] for row in world.business_central("salesOrders"))


def complaints(world: World, ledger_url: str, customers: set[str]) -> list[str]:
    """Return what the checker finds."""
    return Checker(world, ledger_url, Expected(customers=customers)).check()


def numbers_of_customers(world: World) -> set[str]:
    """Return the numbers of the customers BC has."""
    return {row["number"] for row in world.business_central("customers")}


def test_three_workers_at_once_write_every_record_once(
    examined_world: tuple[World, str], shared_ledger: str, tmp_path: Path
) -> None:
    """A first load by three workers together, then a quiet run: everything once and equal."""
    world, connection_file = examined_world
    world.restore(START)
    before = numbers_of_customers(world)
    job = Job(settings_for(connection_file, shared_ledger), world.admin_url)

    workers = [Worker(job, tmp_path) for _ in range(3)]
    for worker in workers:
        worker.wait()
    ends = [worker.ended() for worker in workers]
    quiet = run_alone(job, tmp_path)

    assert [end.how for end in [*ends, quiet]] == ["done"] * 4, ends
    assert complaints(world, shared_ledger, before) == []


@pytest.mark.parametrize("nth", [1, 2, 5, 6])
def test_a_worker_that_wakes_up_late_cannot_commit(
    examined_world: tuple[World, str], tmp_path: Path, nth: int
) -> None:
    """Frozen right before (odd) or after (even) BC got an order, it wakes up beyond its lease.

    The other worker looked, found or wrote nothing twice; the late one stores nothing of its own.
    """
    world, connection_file = examined_world
    world.restore(START)
    before = numbers_of_customers(world)
    path = tmp_path / "ledger.db"
    settings = settings_for(connection_file, f"sqlite:///{path}")
    central = settings.business_central.model_copy(update={"max_in_flight": 1})
    settings = settings.model_copy(update={"business_central": central})
    sleeper = Worker(Job(settings, world.admin_url, [Event("create", nth, "stop")]), tmp_path)
    sleeper.wait()
    assert sleeper.is_frozen

    other = run_alone(Job(settings, world.admin_url, ahead=Ahead(AFTER_A_LEASE)), tmp_path)
    sleeper.thaw()
    sleeper.wait()
    for ahead in (AFTER_SETTLING, 2 * AFTER_SETTLING, 3 * AFTER_SETTLING):
        later = run_alone(Job(settings, world.admin_url, ahead=Ahead(ahead)), tmp_path)
        assert later.how == "done", later

    # The signal may stop the sleeper inside its commit: then SQLite is locked for the other.
    assert other.how in ("done", "unavailable")
    assert sleeper.ended().how in ("done", "unavailable")
    assert set(references(world).values()) == {1}
    assert complaints(world, f"sqlite:///{path}", before) == []
    with closing(sqlite3.connect(path)) as ledger:
        links = ledger.execute(
            "SELECT key, count(*) FROM audit_entries WHERE kind = 'order' AND bc_id <> '' "
            "AND action IN ('create', 'link') GROUP BY key HAVING count(*) > 1"
        ).fetchall()
    assert links == []


@pytest.mark.parametrize("nth", [1, 5])
def test_a_write_that_was_given_up_meanwhile_is_not_sent(
    examined_world: tuple[World, str], tmp_path: Path, nth: int
) -> None:
    """Frozen between note and first byte, beyond lease and settling: the other wrote the order.

    Nothing but the age of its note keeps the sleeper from sending it a second time.
    """
    world, connection_file = examined_world
    for attempt in range(5):
        world.restore(START)
        path = tmp_path / f"ledger{attempt}.db"
        settings = settings_for(connection_file, f"sqlite:///{path}")
        central = settings.business_central.model_copy(update={"max_in_flight": 1})
        settings = settings.model_copy(update={"business_central": central})
        ahead = Ahead()
        job = Job(settings, world.admin_url, [Event("create", nth, "stop")], ahead)
        sleeper = Worker(job, tmp_path)
        sleeper.wait()
        assert sleeper.is_frozen
        ahead.move(AFTER_A_LEASE + AFTER_SETTLING)
        other = run_alone(Job(settings, world.admin_url, ahead=ahead), tmp_path)
        written = references(world)
        sleeper.thaw()
        sleeper.wait()
        # The signal may stop another thread inside its commit: then SQLite is locked for the other.
        if other.how != "unavailable":
            break

    assert other.how == "done", other
    assert sleeper.ended().how in ("done", "unavailable")
    assert references(world) == written
    assert set(written.values()) == {1}
