"""How fast the ledger stores: `python benchmarks/ledger_speed.py [URL]`, a new SQLite file without.

Prints the median and the slowest of 300 single writes (the two transactions around one vendor
call), and records per second in batches of 100, next to a bare SQLite commit as a yardstick.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ml_connector.domain.identifiers import Kind, State
from ml_connector.ledger.ledger import AuditEntry, ConnectionLedger, Ledger, Record, RunIds

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SINGLE, BATCHES, BATCH = 300, 30, 100


def linked_order(number: int) -> Record:
    """Return an order with three lines as it is stored after its write."""
    record = Record.first_seen(Kind.ORDER, f"801{number:015d}", now=NOW)
    record.enter(State.WRITTEN, now=NOW)
    record.bc_id, record.bc_number = str(uuid.UUID(int=number)), f"S-ORD{number}"
    line = {"itemId": "x" * 36, "quantity": Decimal(2), "unitPrice": Decimal("19.90")}
    record.sent = {"externalDocumentNumber": f"{number:08d}", "salesOrderLines": [line] * 3}
    return record


def entry(record: Record) -> AuditEntry:
    """Return the audit entry of the order's write."""
    return AuditEntry(
        kind=record.kind,
        key=record.key,
        salesforce_id=record.key,
        bc_id=record.bc_id,
        at=NOW,
        direction="to_business_central",
        action="create",
        after=record.sent,
        rule="new",
        outcome="done",
    )


def milliseconds(work: Callable[[int], object]) -> str:
    """Return median and slowest of many calls of *work*."""
    taken = []
    for number in range(SINGLE):
        begun = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - begun) * 1000)
    return f"median {statistics.median(taken):.2f} ms, slowest {max(taken):.2f} ms"


def single_writes(ledger: ConnectionLedger) -> None:
    """Measure what is stored before and after one vendor call."""
    intents: dict[int, tuple[int, int]] = {}

    def before(number: int) -> None:
        record = linked_order(number)
        with ledger.transaction() as tx:
            fence = tx.claim(Kind.ORDER, [record.key], "benchmark", 300)[record.key]
            intent = tx.open_intent(
                Kind.ORDER, record.key, "create", "", record.sent or {}, "", RunIds(), fence
            )
            tx.mark_sent(intent.id, NOW)
        intents[number] = (intent.id, fence)

    def after(number: int) -> None:
        record = linked_order(number)
        intent_id, fence = intents[number]
        with ledger.transaction() as tx:
            tx.save(record, fence=fence)
            tx.append_audit(entry(record))
            tx.close_intent(intent_id, "done", record.bc_id)

    print("claim, intent, sent:    ", milliseconds(before))
    print("link, audit, close:     ", milliseconds(after))


def batches(ledger: ConnectionLedger) -> None:
    """Measure records and their audit entries, a hundred in a transaction."""
    rates = []
    for batch in range(BATCHES):
        records = [linked_order(10_000 + batch * BATCH + number) for number in range(BATCH)]
        begun = time.perf_counter()
        with ledger.transaction() as tx:
            tx.save_all(records)
            for record in records:
                tx.append_audit(entry(record))
        rates.append(BATCH / (time.perf_counter() - begun))
    print(f"batches of {BATCH}:          median {statistics.median(rates):.0f} records/s")


def bare_commits(directory: Path) -> None:
    """Measure a commit of one row without any of our code."""
    connection = sqlite3.connect(directory / "bare.db", isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a TEXT)")
    connection.execute("PRAGMA synchronous = FULL")
    insert = "INSERT INTO t VALUES ('row')"
    print("bare SQLite commit:     ", milliseconds(lambda _: connection.execute(insert)))
    connection.close()


def main() -> None:
    """Measure the ledger at the url given, or a new SQLite file."""
    with tempfile.TemporaryDirectory() as directory:
        bare_commits(Path(directory))
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{directory}/ledger.db"
        begun = time.perf_counter()
        with Ledger.open(url) as store:
            print(f"open an empty ledger:    {(time.perf_counter() - begun) * 1000:.0f} ms")
            ledger = store.connection(f"benchmark-{uuid.uuid4().hex[:8]}")
            single_writes(ledger)
            batches(ledger)
            begun = time.perf_counter()
            result = ledger.verify_audit()
            taken = time.perf_counter() - begun
            print(f"verify the audit chain:  {result.entries / taken:.0f} entries/s")


if __name__ == "__main__":
    main()
