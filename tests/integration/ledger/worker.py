"""A worker in a process of its own, for tests of several at once; reports on standard output.

Usage: worker.py MODE URL [ARGUMENT]. Modes: open, race COUNT, append COUNT, pause, stream.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import StaleClaim
from ml_connector.ledger.ledger import (
    AuditEntry,
    ConnectionLedger,
    Ledger,
    NewChange,
    Record,
    RunIds,
)
from ml_connector.ledger.owner import this_process_owner

START = datetime(2026, 3, 1, tzinfo=UTC)


def say(text: str) -> None:
    """Report one line to the test."""
    print(text, flush=True)  # noqa: T201  # the test reads it


def entry(key: str) -> AuditEntry:
    """Return an audit entry about *key*."""
    return AuditEntry(
        kind=Kind.ORDER, key=key, at=START, direction="decision", action="test", after={"key": key}
    )


def race(ledger: ConnectionLedger, count: int) -> None:
    """Claim orders one by one and report those we got; live on until told, to hold them."""
    owner = this_process_owner()
    say("ready")
    sys.stdin.readline()
    for number in range(count):
        key = f"order-{number}"
        with ledger.transaction() as tx:
            fences = tx.claim(Kind.ORDER, [key], owner, 60)
            if fences:
                tx.append_audit(entry(key))
        if fences:
            say(key)
    say("done")
    sys.stdin.readline()


def append(ledger: ConnectionLedger, count: int) -> None:
    """Add audit entries, one in each transaction."""
    for number in range(count):
        with ledger.transaction() as tx:
            tx.append_audit(entry(str(number)))


def pause(ledger: ConnectionLedger) -> None:
    """Claim an order for half a second, sleep until told, then try to commit its write."""
    with ledger.transaction() as tx:
        fence = tx.claim(Kind.ORDER, ["order-1"], this_process_owner(), 0.5)["order-1"]
        intent = tx.open_intent(
            Kind.ORDER, "order-1", "create", "100", {}, "hash", RunIds("paused"), fence
        )
        tx.mark_sent(intent.id, START)
    say("claimed")
    sys.stdin.readline()
    record = Record.first_seen(Kind.ORDER, "order-1", now=START)
    record.bc_id = "late"
    try:
        with ledger.transaction() as tx:
            tx.close_intent(intent.id, "done", "late")
            tx.append_audit(entry("late"))
            tx.save(record, fence=fence)
    except StaleClaim:
        say("stale")
    else:
        say("stored")


def stream(ledger: ConnectionLedger) -> None:
    """Take in changes for ever: change, record, audit entry and position in one transaction."""
    number = 0
    while True:
        number += 1
        with ledger.transaction() as tx:
            change = NewChange(
                system="salesforce",
                entity="Order",
                record_id=str(number),
                change_type="UPDATE",
                changed_at=START,
                source="poll",
                dedupe_key=str(number),
            )
            tx.add_changes([change])
            tx.save(Record.first_seen(Kind.ORDER, str(number), now=START))
            tx.append_audit(entry(str(number)))
            tx.move_checkpoint("feed", str(number), START + timedelta(seconds=number))
        say(str(number))


def main(mode: str, url: str, argument: str = "0") -> None:
    """Open the ledger and do what *mode* says."""
    with Ledger.open(url) as store:
        ledger = store.connection("acme")
        match mode:
            case "open":
                say("opened")
            case "race":
                race(ledger, int(argument))
            case "append":
                append(ledger, int(argument))
            case "pause":
                pause(ledger)
            case "stream":
                stream(ledger)


if __name__ == "__main__":
    main(*sys.argv[1:])
