"""A floor under the ledger's speed, far below what an idle computer reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from ml_connector.domain.identifiers import State
from ml_connector.ledger.ledger import AuditEntry, ConnectionLedger, Record

BATCH = 100


def test_batches_reach_two_thousand_records_a_second(
    ledger: ConnectionLedger,
    make_record: Callable[..., Record],
    make_entry: Callable[..., AuditEntry],
    now: datetime,
) -> None:
    """Link and audit entry, a hundred in a transaction, best of ten batches."""
    best = 0.0
    for batch in range(10):
        records = [make_record(batch * BATCH + number) for number in range(BATCH)]
        begun = time.perf_counter()
        with ledger.transaction() as tx:
            for record in records:
                record.enter(State.WRITTEN, now=now)
                tx.append_audit(make_entry(key=record.key))
            tx.save_all(records)
        best = max(best, BATCH / (time.perf_counter() - begun))

    assert best >= 2000
