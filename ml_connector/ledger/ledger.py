"""The connector's own database: what is linked, where records stand, what was written and why."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Row, text

from ml_connector.domain.clock import Clock, SystemClock
from ml_connector.domain.identifiers import Kind, State, eighteen
from ml_connector.ledger import (
    audit,
    claims,
    copying,
    documents,
    inbox,
    intents,
    record_store,
    runs,
    subscriptions,
)
from ml_connector.ledger.engine import make_engine, opening, parse_url, translated, writing
from ml_connector.ledger.records import (
    AuditEntry,
    Checkpoint,
    Document,
    Intent,
    KnownSubscription,
    NewChange,
    NewIntent,
    Record,
    Run,
    StoredChange,
    VerifyResult,
)
from ml_connector.ledger.run_ids import RunIds
from ml_connector.ledger.schema import bring_up_to_date, prove_writable
from ml_connector.ledger.transaction import StaleVersion, Transaction

__all__ = [
    "AuditEntry",
    "Checkpoint",
    "ConnectionLedger",
    "Document",
    "Intent",
    "KnownSubscription",
    "Ledger",
    "NewChange",
    "NewIntent",
    "Record",
    "Run",
    "RunIds",
    "StoredChange",
    "Transaction",
    "VerifyResult",
]

POOL_SIZE = 8
"""Database connections kept open; twice as many are opened when more threads ask at once."""


class _OpenTransaction(threading.local):
    """The transaction that the present thread has open."""

    value: Transaction | None = None


class Ledger:
    """An open ledger database, safe to use from several threads."""

    def __init__(self, engine: Engine, clock: Clock | None) -> None:
        self._engine = engine
        self._clock = clock or SystemClock()
        self._asks_database = clock is None and engine.dialect.name == "postgresql"
        self._open = _OpenTransaction()
        self._one_writer: AbstractContextManager[Any] = (
            threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        )

    @classmethod
    def open(cls, url: str, clock: Clock | None = None, *, durable: bool = True) -> Self:
        """Open the database at *url*, made or migrated when needed.

        Leases are measured by the database server's clock where there is one, so that all workers
        agree; a given *clock* takes its place. Safe when several processes open it at once.
        One that is not *durable* need not outlast a power failure: a copy to try things out on.

        Raises: ConfigurationError (`ledger_url`, `ledger_unreachable`, `ledger_newer`); none of
        them shows a password.
        """
        parsed = parse_url(url)
        engine = make_engine(parsed, POOL_SIZE, durable=durable)
        try:
            with opening(parsed):
                bring_up_to_date(engine)
                prove_writable(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock)

    def connection(self, name: str) -> ConnectionLedger:
        """Return the part of the ledger that belongs to the connection *name*."""
        return ConnectionLedger(self, name)

    def ping(self) -> None:
        """Ask the database for a sign of life. Raises: TransientError, ConfigurationError."""
        with self.reading() as db:
            db.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every database connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def lease_now(self, db: Connection) -> datetime:
        """Return the time that leases are measured by."""
        if not self._asks_database:
            return self._clock.now()
        now: datetime = db.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading; inside a transaction its own, seeing what it stored."""
        current = self._open.value
        if current is not None:
            yield current.db
            return
        with translated(), self._engine.connect() as db, db.begin():
            yield db

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Give a connection for several reads that all see the same moment."""
        with translated(), self._engine.connect() as db:
            if db.dialect.name == "postgresql":
                db.execution_options(isolation_level="REPEATABLE READ")
            with db.begin():
                yield db

    @contextmanager
    def transaction(self, name: str) -> Iterator[Transaction]:
        """Give the transaction of the connection *name*; joins the one this thread has open."""
        current = self._open.value
        if current is not None:
            if current.name != name:
                raise RuntimeError("a thread stores for one connection at a time")
            yield current
            return
        with self._one_writer, translated(), self._engine.connect() as db:
            transaction = Transaction(db, name, self._clock.now, self.lease_now)
            try:
                with writing(db).begin():
                    self._open.value = transaction
                    try:
                        yield transaction
                        transaction.finish()
                    finally:
                        self._open.value = None
            except StaleVersion as stale:
                error = transaction.stale_among(stale.records, self._versions(name))
                transaction.give_back_versions()
                raise error from None
            except BaseException:
                transaction.give_back_versions()
                raise

    def _versions(self, name: str) -> Any:
        def stored(kind: str, keys: list[str]) -> dict[str, int]:
            with self.reading() as db:
                return record_store.versions(db, name, kind, keys)

        return stored


class ConnectionLedger:
    """The rows of one connection; every read is one short transaction of its own.

    Inside `transaction()` the same thread's reads see what the transaction stored so far.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._name = name

    @property
    def name(self) -> str:
        """The connection's name."""
        return self._name

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction: stored as a whole when the block ends, not at all when it raises.

        A block inside another block of the same thread joins it.
        """
        return self._ledger.transaction(self._name)

    def copy_to(self, target: Ledger) -> ConnectionLedger:
        """Return a copy of this connection in the ledger *target*, which has no such rows yet.

        The copy holds what decisions are made from, as it stood at one moment; neither audit nor
        runs. Nothing stored in either reaches the other.
        """
        copy = target.connection(self._name)
        with self._ledger.snapshot() as source, copy.transaction() as tx:
            copying.copy_rows(source, tx.db, self._name)
        return copy

    # records

    def record(self, kind: Kind, key: str) -> Record | None:
        """Return one record, None when it was never stored."""
        return self.records(kind, [key]).get(key)

    def records(self, kind: Kind, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records of *keys* that exist, by key."""
        with self._ledger.reading() as db:
            return record_store.by_keys(db, self._name, str(kind), keys)

    def records_by_bc_id(self, kind: Kind, bc_ids: Iterable[str]) -> dict[str, list[Record]]:
        """Return the records linked to BC ids, by id in lower case."""
        wanted = [bc_id.lower() for bc_id in bc_ids]
        with self._ledger.reading() as db:
            return record_store.by_column(db, self._name, str(kind), "bc_id", wanted)

    def records_by_bc_number(self, kind: Kind, numbers: Iterable[str]) -> dict[str, list[Record]]:
        """Return the records linked to BC numbers, by number as BC spells it."""
        with self._ledger.reading() as db:
            return record_store.by_column(db, self._name, str(kind), "bc_number", numbers)

    def records_by_reference(
        self, kind: Kind, references: Iterable[str]
    ) -> dict[str, list[Record]]:
        """Return the records whose natural key is one of *references*, by it."""
        with self._ledger.reading() as db:
            return record_store.by_column(db, self._name, str(kind), "reference", references)

    def find(self, text: str) -> list[Record]:
        """Return the records a person may mean by *text*: an id or number of either system."""
        with self._ledger.reading() as db:
            return record_store.find(db, self._name, text)

    def iterate(
        self,
        *,
        kind: Kind | None = None,
        states: Iterable[State] | None = None,
        settled: bool | None = None,
        show_pending: bool | None = None,
        linked: bool | None = None,
        page_size: int = 500,
    ) -> Iterator[list[Record]]:
        """Walk over records page by page in order of kind and key; None means either.

        No transaction is open between pages, so records may be stored while the walk goes on.
        """
        terms = record_store.conditions(states, settled, show_pending, linked)
        for each in (kind,) if kind is not None else sorted(Kind):
            after = ""
            while True:
                with self._ledger.reading() as db:
                    page = record_store.page(db, self._name, str(each), after, terms, page_size)
                if page:
                    yield page
                if len(page) < page_size:
                    break
                after = page[-1].key

    def keys(self, kind: Kind, *, states: Iterable[State]) -> list[str]:
        """Return the keys of the records in *states*, the one longest there first."""
        with self._ledger.reading() as db:
            return record_store.keys(db, self._name, str(kind), states)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many records of each kind are in each state."""
        with self._ledger.reading() as db:
            return record_store.counts(db, self._name)

    # intents and claims

    def closed_intents(self) -> Iterator[Row[Any]]:
        """Walk over the writes whose end is known: id, kind, key, message, payload as JSON text."""
        with self._ledger.reading() as db:
            yield from intents.closed(db, self._name)

    def intents(
        self, kind: Kind, keys: Iterable[str], *, states: Sequence[str] = intents.UNRESOLVED
    ) -> dict[str, list[Intent]]:
        """Return the writes of *keys* in *states*, oldest first, by key."""
        with self._ledger.reading() as db:
            return intents.of_records(db, self._name, str(kind), keys, states)

    def unresolved_intents(self, before: datetime) -> list[Intent]:
        """Return every write opened before *before* whose end is not known."""
        with self._ledger.reading() as db:
            return intents.unresolved_before(db, self._name, before)

    def held_until(self, kind: Kind, key: str) -> datetime | None:
        """Return until when a living worker holds the record; None when it is free."""
        with self._ledger.reading() as db:
            now = self._ledger.lease_now(db)
            return claims.held_until(db, self._name, str(kind), key, now)

    def lease_held_until(self, name: str) -> datetime | None:
        """Return until when a living worker runs the feed *name*; None when nobody does."""
        with self._ledger.reading() as db:
            now = self._ledger.lease_now(db)
            return claims.held_until(db, self._name, claims.LEASE, name, now)

    # feeds

    def checkpoint(self, feed: str) -> Checkpoint | None:
        """Return how far *feed* was read; None when it never was."""
        with self._ledger.reading() as db:
            found = inbox.read_checkpoints(db, self._name, feed)
        return found[0] if found else None

    def checkpoints(self) -> list[Checkpoint]:
        """Return how far each feed was read."""
        with self._ledger.reading() as db:
            return inbox.read_checkpoints(db, self._name)

    def pending_changes(
        self, system: str, entity: str, *, limit: int, after: int = 0
    ) -> list[StoredChange]:
        """Return the next changes nobody dealt with yet, oldest first."""
        with self._ledger.reading() as db:
            return inbox.pending(db, self._name, (system, entity), after, limit)

    def pending_ids(self, system: str, entity: str) -> list[str]:
        """Return the ids of changed records nobody dealt with yet, oldest change first."""
        with self._ledger.reading() as db:
            return inbox.pending_ids(db, self._name, (system, entity))

    def changes_of(self, record_id: str) -> list[StoredChange]:
        """Return every stored change of a record, dealt with or not, oldest first."""
        with self._ledger.reading() as db:
            return inbox.of_record(db, self._name, record_id)

    def changed_since(self, at: datetime) -> list[tuple[str, str]]:
        """Return (entity, record id) of every change seen since *at*, dealt with or not."""
        with self._ledger.reading() as db:
            return inbox.changed_since(db, self._name, at)

    def last_change_id(self) -> int:
        """Return the id of the newest stored change; 0 when there is none."""
        with self._ledger.reading() as db:
            return inbox.last_id(db, self._name)

    def change_counts(self) -> dict[tuple[str, str], int]:
        """Return how many changes of each (system, entity) nobody dealt with yet."""
        with self._ledger.reading() as db:
            return inbox.counts(db, self._name)

    def subscriptions(self) -> list[KnownSubscription]:
        """Return our subscriptions to BC's notifications as they were last seen there."""
        with self._ledger.reading() as db:
            return subscriptions.known(db, self._name)

    # documents

    def documents(self, order_keys: Iterable[str]) -> dict[str, list[Document]]:
        """Return the invoices and credit memos of each order, by the order's key."""
        with self._ledger.reading() as db:
            return documents.of_orders(db, self._name, order_keys)

    def document_by_bc_id(self, bc_ids: Iterable[str]) -> dict[str, Document]:
        """Return the documents of *bc_ids* that are known, by id in lower case."""
        with self._ledger.reading() as db:
            return documents.by_ids(db, self._name, bc_ids)

    def documents_by_number(self, numbers: Iterable[str]) -> dict[str, list[Document]]:
        """Return the known documents that have one of *numbers*, by number as BC spells it."""
        with self._ledger.reading() as db:
            return documents.by_numbers(db, self._name, numbers)

    def open_documents(self, page_size: int = 500) -> Iterator[list[Document]]:
        """Walk over the documents whose amounts may still move, page by page."""
        return self._open_documents(None, page_size)

    def documents_due_before(
        self, due_before: date, page_size: int = 500
    ) -> Iterator[list[Document]]:
        """Walk over the posted documents with something open that were due before a date."""
        return self._open_documents(due_before, page_size)

    def _open_documents(self, due_before: date | None, size: int) -> Iterator[list[Document]]:
        after = ""
        while True:
            with self._ledger.reading() as db:
                page = documents.open_page(db, self._name, after, due_before, size)
            if page:
                yield page
            if len(page) < size:
                return
            after = page[-1].bc_id

    # audit

    def audit_contents(self) -> Iterator[Row[Any]]:
        """Walk over the contents that are not erased: sequence, kind, key, before, after."""
        with self._ledger.reading() as db:
            yield from audit.contents(db, self._name)

    def audit_entries(self, kind: Kind, key: str) -> list[AuditEntry]:
        """Return the life of one record, oldest entry first."""
        with self._ledger.reading() as db:
            return audit.entries(db, self._name, *audit.of_record(str(kind), key))

    def audit_since(
        self, kind: Kind, keys: Iterable[str], at: datetime
    ) -> dict[str, list[AuditEntry]]:
        """Return the entries of some records that are newer than *at*, by key, oldest first.

        One query for all of them: for a page of records, not for a whole book.
        """
        found: dict[str, list[AuditEntry]] = {}
        with self._ledger.reading() as db:
            terms = audit.of_records_since(str(kind), list(keys), at)
            for entry in audit.entries(db, self._name, *terms):
                found.setdefault(entry.key, []).append(entry)
        return found

    def audit_for(self, record_id: str) -> list[AuditEntry]:
        """Return the entries about a Salesforce id (15 or 18 characters) or a BC id."""
        wanted = record_id.strip()
        if len(wanted) == 15:
            wanted = eighteen(wanted)
        with self._ledger.reading() as db:
            return audit.entries(db, self._name, audit.of_id(wanted))

    def audit_of_run(self, flow_run_id: str) -> list[AuditEntry]:
        """Return what one flow run decided and wrote, oldest entry first."""
        with self._ledger.reading() as db:
            return audit.entries(db, self._name, audit.of_run(flow_run_id))

    def verify_audit(self) -> VerifyResult:
        """Check the whole audit chain of the connection; memory stays flat."""
        with self._ledger.snapshot() as db:
            return audit.verify(db, self._name)

    # runs and facts

    def last_run(self, name: str) -> Run | None:
        """Return the run of the flow *name* that started last."""
        with self._ledger.reading() as db:
            return runs.last(db, self._name, name)

    def run(self, flow_run_id: str) -> Run | None:
        """Return one run; None when it is not known."""
        with self._ledger.reading() as db:
            return runs.get(db, self._name, flow_run_id)

    def recall(self, name: str) -> Any:
        """Return a remembered JSON value about the connection; None when there is none."""
        with self._ledger.reading() as db:
            return runs.recall(db, self._name, name)
