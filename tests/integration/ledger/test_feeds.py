"""Inbox, checkpoints, documents, runs: what feeds and flows leave behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ml_connector.ledger.ledger import ConnectionLedger, Document, Ledger, NewChange
from ml_connector.ledger.records import Checkpoint

MakeChange = Callable[..., NewChange]
ACCOUNTS = ("salesforce", "Account")


def add(ledger: ConnectionLedger, *changes: NewChange) -> None:
    """Store changes in one transaction."""
    with ledger.transaction() as tx:
        tx.add_changes(changes)


def test_a_change_reported_twice_is_stored_once(
    ledger: ConnectionLedger, make_change: MakeChange, now: datetime
) -> None:
    """In one call or two, finished or not; another entity may use the same key."""
    add(ledger, make_change("001A", "1"), make_change("001A", "1"), make_change("001B", "2"))
    with ledger.transaction() as tx:
        tx.finish_changes(*ACCOUNTS, ["001A"])
    add(ledger, make_change("001A", "1"), make_change("003A", "1", entity="Contact"))
    add(ledger)

    assert ledger.pending_ids(*ACCOUNTS) == ["001B"]
    assert ledger.change_counts() == {ACCOUNTS: 1, ("salesforce", "Contact"): 1}
    [stored] = ledger.pending_changes(*ACCOUNTS, limit=10)
    assert (stored.payload, stored.changed_at) == ({"Name": "Acme"}, now)


def test_changes_come_in_order_of_arrival_and_in_pages(
    ledger: ConnectionLedger, make_change: MakeChange
) -> None:
    """The record that waits longest is first, whatever came for it later."""
    add(ledger, make_change("b", "1"), make_change("a", "2"), make_change("b", "3"))

    assert ledger.pending_ids(*ACCOUNTS) == ["b", "a"]
    first = ledger.pending_changes(*ACCOUNTS, limit=2)
    rest = ledger.pending_changes(*ACCOUNTS, limit=2, after=first[-1].id)
    assert [change.record_id for change in [*first, *rest]] == ["b", "a", "b"]
    assert ledger.last_change_id() == rest[-1].id


def test_what_arrives_while_a_record_is_dealt_with_stays_pending(
    ledger: ConnectionLedger, make_change: MakeChange
) -> None:
    """Finishing covers what was there before the record was read, no later change."""
    add(ledger, make_change("a", "1"))
    seen = ledger.last_change_id()
    add(ledger, make_change("a", "2"))
    with ledger.transaction() as tx:
        tx.finish_changes(*ACCOUNTS, ["a"], up_to_id=seen)

    assert len(ledger.pending_changes(*ACCOUNTS, limit=10)) == 1


def test_a_change_that_was_not_read_stays_pending_whatever_its_id(
    ledger: ConnectionLedger, make_change: MakeChange
) -> None:
    """Of one record, stored in one transaction or several: only what was read is finished."""
    add(ledger, *(make_change("a", str(number)) for number in range(4)))
    first, unread, *rest = ledger.pending_changes(*ACCOUNTS, limit=10)
    with ledger.transaction() as tx:
        tx.finish_read(each.id for each in (first, *rest))

    assert ledger.pending_changes(*ACCOUNTS, limit=10) == [unread]


def test_a_finished_change_can_be_replayed_until_it_is_forgotten(
    ledger: ConnectionLedger, make_change: MakeChange
) -> None:
    """Replay opens the newest change again; retention deletes finished ones only."""
    add(ledger, make_change("a", "1"), make_change("a", "2"), make_change("b", "3"))
    with ledger.transaction() as tx:
        tx.finish_changes(*ACCOUNTS, ["a", "b"])
        tx.reopen_changes(["a"])
    assert ledger.pending_ids(*ACCOUNTS) == ["a"]
    assert len(ledger.changes_of("a")) == 2
    with ledger.transaction() as tx:
        forgotten = tx.forget_finished_changes(_far_away())

    assert forgotten == 2
    assert ledger.pending_ids(*ACCOUNTS) == ["a"]


def _far_away() -> datetime:
    return datetime.fromisoformat("2999-01-01T00:00:00+00:00")


def test_checkpoints_move(ledger: ConnectionLedger, now: datetime) -> None:
    """The last position of each feed is kept."""
    assert ledger.checkpoint("salesforce/Order") is None
    for minute in (1, 2):
        with ledger.transaction() as tx:
            tx.move_checkpoint("salesforce/Order", str(minute), now + timedelta(minutes=minute))
            tx.move_checkpoint("business_central/items", "", now)

    found = ledger.checkpoint("salesforce/Order")
    assert found
    assert (found.position, found.confirmed_at) == ("2", now + timedelta(minutes=2))
    assert [each.feed for each in ledger.checkpoints()] == [
        "business_central/items",
        "salesforce/Order",
    ]


def document(bc_id: str, **values: Any) -> Document:
    """Build a posted invoice over 121.00 that nobody has paid."""
    given: dict[str, Any] = {
        "bc_id": bc_id,
        "doc_type": "invoice",
        "order_key": "order",
        "number": f"PS-{bc_id}".upper(),
        "status": "Open",
        "total": Decimal("121.00"),
        "remaining": Decimal("121.00"),
        "currency": "EUR",
        "due_date": date(2026, 3, 31),
        "posted": True,
    }
    return Document(**(given | values))


def test_documents_are_kept_by_order_and_replaced(ledger: ConnectionLedger) -> None:
    """Amounts keep their digits; the newest values count; removed ones are gone."""
    with ledger.transaction() as tx:
        tx.save_documents([document("B"), document("a", due_date=None, doc_type="credit_memo")])
        tx.save_documents([document("b", remaining=Decimal("0.10")), document("c")])
        tx.delete_documents(["C"])
        tx.save_documents([])

    found = ledger.documents(["order", "none"])
    assert [(each.bc_id, str(each.remaining)) for each in found["order"]] == [
        ("a", "121.00"),
        ("b", "0.10"),
    ]
    assert list(ledger.documents_by_number(["PS-B", "PS-C", ""])) == ["PS-B"]
    assert ledger.document_by_bc_id(["B", "C"]) == {"b": found["order"][1]}


def test_only_documents_that_may_still_move_are_swept(ledger: ConnectionLedger) -> None:
    """Paid, canceled and corrective ones are left out; drafts stay in, but are never due."""
    with ledger.transaction() as tx:
        tx.save_documents(
            [
                document("paid", remaining=Decimal("0.00")),
                document("canceled", status="Canceled"),
                document("draft", posted=False, remaining=Decimal(0), status="Draft"),
                document("late"),
                document("later", due_date=date(2026, 4, 1)),
                document("undated", due_date=None),
            ]
        )

    swept = [each.bc_id for page in ledger.open_documents(page_size=2) for each in page]
    assert swept == ["draft", "late", "later", "undated"]
    due = [each.bc_id for page in ledger.documents_due_before(date(2026, 4, 1)) for each in page]
    assert due == ["late"]


def test_runs_and_facts_are_remembered(ledger: ConnectionLedger, now: datetime) -> None:
    """The last run of a flow, how it ended, and small facts by name."""
    assert ledger.last_run("sync") is None
    with ledger.transaction() as tx:
        tx.start_run("run-1", "sync", now)
        tx.start_run("run-2", "sync", now + timedelta(minutes=5))
        tx.finish_run(
            "run-1", "sync", now, now + timedelta(minutes=1), 1, {"written": 3, "parked": 1}
        )
        tx.remember("organization_id", "00D")
        tx.remember("organization_id", "00DX")

    newest, first = ledger.last_run("sync"), ledger.run("run-1")
    assert newest and first
    assert (newest.flow_run_id, newest.ended_at) == ("run-2", None)
    assert (first.exit_code, first.counts) == (1, {"written": 3, "parked": 1})
    assert (ledger.recall("organization_id"), ledger.recall("none")) == ("00DX", None)
    assert ledger.run("none") is None


def test_a_locked_checkpoint_is_moved_by_one_at_a_time(
    store: Ledger, ledger: ConnectionLedger, now: datetime
) -> None:
    """Whoever locks it second sees what the first stored, also when there was none before."""
    feed = "salesforce/Order/poll"
    beginning = Checkpoint(feed, "", now)
    seen: list[Checkpoint] = []
    waiting = threading.Event()

    def widen(hours: int) -> None:
        waiting.set()
        with store.connection("acme").transaction() as tx:
            seen.append(tx.lock_checkpoint(beginning))
            tx.move_checkpoint(feed, "", now - timedelta(hours=hours))

    for hours in (1, 2):
        waiting.clear()
        with ledger.transaction() as tx:
            known = tx.lock_checkpoint(beginning)
            other = threading.Thread(target=widen, args=(hours,))
            other.start()
            assert waiting.wait(10)
            other.join(0.3)
            assert other.is_alive()
            tx.move_checkpoint(feed, f"row {hours}", known.confirmed_at)
        other.join(10)

    assert [(each.position, each.confirmed_at) for each in seen] == [
        ("row 1", now),
        ("row 2", now - timedelta(hours=1)),
    ]
    assert ledger.checkpoint(feed) == Checkpoint(feed, "", now - timedelta(hours=2))
