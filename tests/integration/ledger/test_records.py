"""Records: stored and found exactly, never overwritten by a stale copy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import StaleClaim
from ml_connector.ledger.ledger import ConnectionLedger, Ledger, Record

MakeRecord = Callable[..., Record]


def save(ledger: ConnectionLedger, *records: Record) -> None:
    """Store records in one transaction."""
    with ledger.transaction() as tx:
        tx.save_all(records)


def test_every_field_comes_back_as_it_was_stored(
    ledger: ConnectionLedger, make_record: MakeRecord, now: datetime
) -> None:
    """Text of any script, amounts to the digit, times to the microsecond, None and empty."""
    record = make_record(
        salesforce_number="00000101",
        bc_id="AbC-1",
        bc_number="S-ORD1",
        reference="PO 4711",
        waits_for=[{"kind": "item", "salesforce_id": "01t"}],
        candidates=[{"bc_id": "x", "bc_number": "C1", "name": "Żółć & 株式会社"}],
        source_stamp="2026-03-01T12:30:15.000+0000",
        sent={"unitPrice": Decimal("1.10"), "lines": [{"quantity": Decimal("0.333")}]},
        facts={"blank": None, "flag": True},
        shown=None,
        wanted={"BC_Open_Amount__c": Decimal("10.00")},
        show_pending=True,
        settled=True,
        run_id="run-1",
    )
    record.enter(State.PARKED, now=now, cause=Cause.NO_LINES, message="Order has no\x00 lines")
    save(ledger, record)

    found = ledger.record(Kind.ORDER, record.key)

    record.bc_id, record.message = "abc-1", "Order has no lines"
    assert found == record
    assert str(found.wanted["BC_Open_Amount__c"]) == "10.00"


def test_a_stale_copy_is_refused_and_named(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """Of two copies of one row only the first save counts; nothing of the second is stored."""
    save(ledger, make_record(1), make_record(2))
    mine, theirs = (ledger.record(Kind.ORDER, make_record(2).key) for _ in range(2))
    other = ledger.record(Kind.ORDER, make_record(1).key)
    assert mine and theirs and other
    mine.message = "mine"
    save(ledger, mine)
    theirs.message = other.message = "theirs"

    with pytest.raises(StaleClaim) as raised:
        save(ledger, other, theirs)

    assert raised.value.record_id == theirs.key
    assert {r.message for page in ledger.iterate() for r in page} == {"", "mine"}
    assert (other.version, theirs.version) == (1, 1)


def test_a_new_record_does_not_overwrite_a_stored_one(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """Two workers that both think a record is new: the second is refused."""
    save(ledger, make_record(1))

    with pytest.raises(StaleClaim):
        save(ledger, make_record(1))


def test_a_transaction_that_fails_stores_nothing_and_gives_versions_back(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """After an error in the block the copy can be saved again."""
    record = make_record(1)
    with pytest.raises(ZeroDivisionError), ledger.transaction() as tx:
        tx.save(record)
        record.message = str(1 / 0)

    assert ledger.record(Kind.ORDER, record.key) is None
    save(ledger, record)
    assert record.version == 1


def test_a_transaction_sees_what_it_stored_and_inner_blocks_join_it(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """Reads inside the block see its rows, and a nested block is stored or lost with it."""
    with pytest.raises(ZeroDivisionError), ledger.transaction() as tx:
        tx.save(make_record(1))
        assert ledger.record(Kind.ORDER, make_record(1).key)
        with ledger.transaction() as inner:
            inner.save(make_record(2))
        raise ZeroDivisionError

    assert ledger.counts() == {}


def test_records_are_found_by_any_of_their_names(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """15 or 18 characters, either number, BC id; whatever the case; and only what matches."""
    key = make_record(7).key
    record = make_record(7, salesforce_number="00000107", bc_id="ab-7", bc_number="S-ORD7")
    save(ledger, record, make_record(8, bc_number="S-ORD8"))

    for text in (key, key.lower(), key[:15], "00000107", "AB-7", "s-ord7", " S-ORD7 "):
        assert [found.key for found in ledger.find(text)] == [key], text
    assert ledger.find("S-ORD") == ledger.find("") == []


def test_records_are_found_by_bc_id_number_and_reference(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """Several records may share a partner; blanks match nothing."""
    save(
        ledger,
        make_record(1, bc_id="AB", bc_number="C1", reference="100"),
        make_record(2, bc_id="ab", reference="100"),
        make_record(3),
    )

    assert [r.key for r in ledger.records_by_bc_id(Kind.ORDER, ["AB", ""])["ab"]] == [
        make_record(1).key,
        make_record(2).key,
    ]
    shared = ledger.records_by_reference(Kind.ORDER, ["100", "101", ""])
    assert {reference: len(records) for reference, records in shared.items()} == {"100": 2}
    assert set(ledger.records_by_bc_number(Kind.ORDER, ["C1", "C2", ""])) == {"C1"}


def test_a_walk_visits_every_record_once_in_order(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """Pages follow kind and key, also when records are stored while walking."""
    save(ledger, *(make_record(n) for n in range(1, 8)), make_record(1, kind=Kind.CUSTOMER))
    seen = []
    for page in ledger.iterate(page_size=3):
        seen += [(str(record.kind), record.key) for record in page]
        assert len(page) <= 3
        save(ledger, *page)

    assert seen == sorted(seen)
    assert len(seen) == 8


def test_a_walk_is_narrowed_by_every_filter(
    ledger: ConnectionLedger, make_record: MakeRecord
) -> None:
    """Kind, states, settled, pending display and link each leave out what does not fit."""
    save(
        ledger,
        make_record(1, state=State.WRITTEN, bc_id="a", settled=True),
        make_record(2, state=State.PARKED, show_pending=True),
        make_record(3, kind=Kind.ITEM),
    )

    def walk(**filters: object) -> list[str]:
        return [r.key[-4] for page in ledger.iterate(**filters) for r in page]  # type: ignore[arg-type]  # filters by name

    assert walk() == ["3", "1", "2"]
    assert walk(kind=Kind.ITEM) == ["3"]
    assert walk(states=[State.PARKED, State.WRITTEN]) == ["1", "2"]
    assert walk(settled=True) == ["1"]
    assert walk(settled=False) == ["3", "2"]
    assert walk(show_pending=True) == ["2"]
    assert walk(linked=True) == ["1"]
    assert walk(linked=False, kind=Kind.ORDER) == ["2"]


def test_counts_and_keys_by_state(
    ledger: ConnectionLedger, store: Ledger, make_record: MakeRecord, now: datetime
) -> None:
    """Counts are per kind and state, keys come in order of waiting; other connections stay out."""
    later = now.replace(minute=59)
    save(
        ledger,
        make_record(1, since=later),
        make_record(2),
        make_record(3, state=State.PARKED),
    )
    save(store.connection("other"), make_record(1))

    assert ledger.counts() == {"order": {"waiting": 2, "parked": 1}}
    assert ledger.keys(Kind.ORDER, states=[State.WAITING]) == [
        make_record(2).key,
        make_record(1).key,
    ]


def test_many_keys_are_read_at_once(ledger: ConnectionLedger, make_record: MakeRecord) -> None:
    """More keys than one query takes are no problem."""
    save(ledger, *(make_record(n) for n in range(1, 1201)))

    assert len(ledger.records(Kind.ORDER, [make_record(n).key for n in range(3000)])) == 1200
