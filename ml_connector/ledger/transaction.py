"""One transaction of the ledger: everything that is stored goes through here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import StaleClaim
from ml_connector.ledger import (
    audit,
    claims,
    documents,
    inbox,
    intents,
    record_store,
    runs,
    subscriptions,
)
from ml_connector.ledger.records import (
    AuditEntry,
    Checkpoint,
    Document,
    Intent,
    IntentOutcome,
    KnownSubscription,
    NewChange,
    NewIntent,
    Record,
    Run,
)
from ml_connector.ledger.run_ids import RunIds
from ml_connector.ledger.tables import intents as intents_table


class StaleVersion(Exception):
    """Some record of a save was older than the stored one; turned into StaleClaim outside."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__("stale version")
        self.records = records


class Transaction:
    """What is stored together: all of it is durable when the block ends, or none of it.

    Used by one thread. Audit entries join the chain at the end of the block, so that the chain is
    locked as shortly as possible.
    """

    def __init__(
        self,
        db: Connection,
        name: str,
        now: Callable[[], datetime],
        lease_now: Callable[[Connection], datetime],
    ) -> None:
        self._db = db
        self._name = name
        self._now = now
        self._lease_now = lease_now
        self._audit: list[dict[str, Any]] = []
        self._saved: list[tuple[Record, int]] = []

    @property
    def db(self) -> Connection:
        """The database connection, for reading what this transaction stored."""
        return self._db

    @property
    def name(self) -> str:
        """The connection whose rows it stores."""
        return self._name

    def finish(self) -> None:
        """Append the audit entries; called right before the commit."""
        audit.append(self._db, self._name, self._audit)
        self._audit = []

    def give_back_versions(self) -> None:
        """Give the saved copies the versions they had before; called when nothing was stored."""
        for record, version in reversed(self._saved):
            record.version = version
        self._saved = []

    # records

    def save(self, record: Record, *, fence: int | None = None) -> None:
        """Store *record*; with *fence*, only while nobody else claimed it.

        Raises: StaleClaim when it was claimed by somebody else, or the stored row is newer than
        this copy.
        """
        if fence is not None:
            self.check_fence(record.kind, record.key, fence)
        self.save_all((record,))

    def save_all(
        self, records: Iterable[Record], *, fences: Mapping[str, int] | None = None
    ) -> None:
        """Store many records at once; *fences* (key → fence) are checked where they are given.

        Raises: StaleClaim naming the first record that was claimed by somebody else or whose
        stored row is newer than its copy; nothing of the transaction is stored then.
        """
        batch = list(records)
        if not batch:
            return
        for kind in {record.kind for record in batch} if fences else ():
            mine = [record.key for record in batch if record.kind == kind]
            claimed = {key: fences[key] for key in mine if fences and key in fences}
            claims.check_fences(self._db, self._name, str(kind), claimed)
        for record in batch:
            self._saved.append((record, record.version))
            record.version += 1
        if not record_store.upsert(self._db, self._name, batch):
            raise StaleVersion(batch)

    def stale_among(
        self, records: Sequence[Record], stored: Callable[[str, list[str]], dict[str, int]]
    ) -> StaleClaim:
        """Return the error that names which of *records* was older than what is stored."""
        before = {id(record): version for record, version in reversed(self._saved)}
        for kind in sorted({record.kind for record in records}):
            mine = [record for record in records if record.kind == kind]
            versions = stored(str(kind), [record.key for record in mine])
            for record in mine:
                if versions.get(record.key, 0) != before.get(id(record), record.version):
                    return _changed_meanwhile(record)
        return _changed_meanwhile(records[0])

    def erase(self, kind: Kind, key: str, run: RunIds | None = None) -> None:
        """Erase what the ledger says about a person: contents stay provable, but unreadable.

        Effect: empties before and after of the record's audit entries, the payloads of its intents
        and changes, and what the record itself holds beyond ids, numbers and its standing; the
        erasure is an audit entry itself.
        """
        self.finish()
        erased = audit.erase(self._db, self._name, str(kind), key)
        record = record_store.by_keys(self._db, self._name, str(kind), [key]).get(key)
        self._db.execute(
            update(intents_table)
            .where(
                intents_table.c.connection == self._name,
                intents_table.c.kind == str(kind),
                intents_table.c.key == key,
                intents_table.c.state == "closed",
            )
            .values(payload={}, natural_key="", message="")
        )
        inbox.erase_payloads(self._db, self._name, key)
        if record is not None:
            record.message, record.candidates = "", []
            record.sent, record.shown, record.wanted, record.facts = None, None, {}, {}
            record.show_pending = False
            self.save(record)
        self._note_erasure(kind, key, erased, run)

    def erase_contents(
        self, sequences: Sequence[int], intent_ids: Sequence[int], run: RunIds | None = None
    ) -> None:
        """Erase the contents of single audit entries and closed intents, whatever they are about.

        Effect: as `erase`, but what the entries and intents were for stays with the records.
        """
        self.finish()
        erased = audit.erase_numbered(self._db, self._name, sequences)
        intents.erase_numbered(self._db, self._name, intent_ids)
        if erased:
            self._note_erasure(Kind.STATUS, "", erased, run)

    def erase_audit_before(self, at: datetime, run: RunIds | None = None) -> int:
        """Erase the contents of audit entries older than *at*; returns how many those were."""
        self.finish()
        erased = audit.erase_before(self._db, self._name, at)
        if erased:
            self._note_erasure(Kind.STATUS, "", erased, run)
        return len(erased)

    def _note_erasure(self, kind: Kind, key: str, erased: list[int], run: RunIds | None) -> None:
        ids = run or RunIds()
        self.append_audit(
            AuditEntry(
                kind=kind,
                key=key,
                at=self._now(),
                direction="decision",
                action=audit.ERASE,
                after={"sequences": audit.ranges(erased)},
                rule="erasure",
                outcome="done",
                flow_run_id=ids.flow_run_id,
                task_run_id=ids.task_run_id,
            )
        )

    # claims

    def claim(
        self, kind: Kind, keys: Iterable[str], owner: str, lease_seconds: float
    ) -> dict[str, int]:
        """Take those of *keys* that no living worker holds; returns key → fencing token.

        A key that *owner* holds already is taken again with a new fence, so an earlier thread of
        the same run that is still busy cannot commit any more.
        """
        lease = claims.Lease(self._lease_now(self._db), lease_seconds)
        return claims.claim(self._db, self._name, str(kind), keys, owner, lease)

    def renew(self, kind: Kind, key: str, owner: str, fence: int, lease_seconds: float) -> None:
        """Let a lease last longer. Raises: StaleClaim when it was taken over."""
        end = claims.Lease(self._lease_now(self._db), lease_seconds).end
        claims.renew(self._db, self._name, str(kind), key, (owner, fence), end)

    def release(self, kind: Kind, keys: Sequence[str] | Mapping[str, int], owner: str) -> None:
        """Give claims back; given as key → fence, a later claim of the same owner stays."""
        claims.release(self._db, self._name, str(kind), keys, owner)

    def check_fence(self, kind: Kind, key: str, fence: int) -> None:
        """Make sure that nobody claimed the record since, and that nobody can until the commit.

        Raises: StaleClaim.
        """
        claims.check_fences(self._db, self._name, str(kind), {key: fence})

    def take_lease(self, name: str, owner: str, seconds: float) -> int | None:
        """Become the one who runs the feed *name*; None when somebody alive does."""
        lease = claims.Lease(self._lease_now(self._db), seconds)
        return claims.claim(self._db, self._name, claims.LEASE, [name], owner, lease).get(name)

    def renew_lease(self, name: str, owner: str, fence: int, seconds: float) -> None:
        """Go on running the feed *name*. Raises: StaleClaim when it was taken over."""
        end = claims.Lease(self._lease_now(self._db), seconds).end
        claims.renew(self._db, self._name, claims.LEASE, name, (owner, fence), end)

    def check_lease(self, name: str, fence: int) -> None:
        """Make sure that nobody took over the feed *name*. Raises: StaleClaim."""
        claims.check_fences(self._db, self._name, claims.LEASE, {name: fence})

    def release_lease(self, name: str, owner: str) -> None:
        """Let the next one run the feed *name*."""
        claims.release(self._db, self._name, claims.LEASE, [name], owner)

    # intents

    def open_intent(  # noqa: PLR0913, PLR0917  # all of what makes a write recognisable later
        self,
        kind: Kind,
        key: str,
        operation: str,
        natural_key: str,
        payload: Mapping[str, Any],
        payload_hash: str,
        run: RunIds,
        fence: int,
    ) -> Intent:
        """Keep a write before it is tried.

        Raises: StaleClaim when the record was claimed by somebody else, or (`unresolved_intent`)
        when an earlier write of the same operation has no known end.
        """
        new = NewIntent(
            kind=kind,
            key=key,
            operation=operation,
            natural_key=natural_key,
            payload=payload,
            payload_hash=payload_hash,
            fence=fence,
        )
        return self.open_intents([new], run)[0]

    def open_intents(self, new: Sequence[NewIntent], run: RunIds) -> list[Intent]:
        """Keep several writes, all of one kind, before they are tried. Raises: as open_intent."""
        if not new:
            return []
        fences = {each.key: each.fence for each in new}
        claims.check_fences(self._db, self._name, str(new[0].kind), fences)
        return intents.open_all(self._db, self._name, new, run, self._now())

    def mark_sent(self, intent_id: int, at: datetime) -> None:
        """Note that the call may leave this computer from now on. Raises: StaleClaim if closed."""
        intents.mark_sent(self._db, self._name, intent_id, at)

    def mark_uncertain(self, intent_id: int, message: str) -> None:
        """Note that the answer was lost. Raises: StaleClaim if closed."""
        intents.mark_uncertain(self._db, self._name, intent_id, message)

    def close_intent(self, intent_id: int, outcome: IntentOutcome, bc_id: str = "") -> None:
        """Note how a write ended. Raises: StaleClaim when somebody else closed it."""
        intents.close(self._db, self._name, intent_id, (outcome, bc_id), self._now())

    # audit

    def append_audit(self, entry: AuditEntry) -> None:
        """Add an entry to the chain; its content is copied now, its place given at the commit."""
        self._audit.append(audit.row_of(self._name, entry))

    # feeds

    def add_changes(self, changes: Sequence[NewChange]) -> None:
        """Store changes; those with a known dedupe key are ignored."""
        inbox.add(self._db, self._name, changes, self._now())

    def finish_changes(
        self, system: str, entity: str, record_ids: Iterable[str], up_to_id: int | None = None
    ) -> None:
        """Mark the changes of *record_ids* up to *up_to_id* (None: all) as dealt with."""
        stream = (system, entity)
        inbox.finish(self._db, self._name, stream, record_ids, up_to_id, self._now())

    def finish_read(self, change_ids: Iterable[int]) -> None:
        """Mark exactly these changes as dealt with; others of the same records stay."""
        inbox.finish_read(self._db, self._name, change_ids, self._now())

    def reopen_changes(self, record_ids: Iterable[str]) -> None:
        """Make the newest stored change of each record pending again."""
        inbox.reopen(self._db, self._name, record_ids)

    def forget_finished_changes(self, before: datetime) -> int:
        """Delete changes dealt with before *before*; returns how many those were."""
        return inbox.forget_finished(self._db, self._name, before)

    def move_checkpoint(self, feed: str, position: str, confirmed_at: datetime) -> None:
        """Store how far *feed* was read; in the transaction that stores what it covers."""
        inbox.move_checkpoint(self._db, self._name, Checkpoint(feed, position, confirmed_at))

    def lock_checkpoint(self, beginning: Checkpoint) -> Checkpoint:
        """Return how far the feed of *beginning* was read; stored as such when it never was.

        Effect: whoever else locks it waits for the end of this transaction.
        """
        return inbox.lock_checkpoint(self._db, self._name, beginning)

    def save_subscription(self, known: KnownSubscription) -> None:
        """Store one of our subscriptions as it was last seen in BC."""
        subscriptions.save(self._db, self._name, known)

    def forget_subscriptions(self, ids: Iterable[str]) -> None:
        """Forget subscriptions that BC does not have any more."""
        subscriptions.forget(self._db, self._name, ids)

    # documents, runs, facts

    def save_documents(self, rows: Sequence[Document]) -> None:
        """Store invoices and credit memos, in place of what was known about them."""
        documents.save(self._db, self._name, rows)

    def delete_documents(self, bc_ids: Iterable[str]) -> None:
        """Forget documents that BC does not have any more."""
        documents.remove(self._db, self._name, bc_ids)

    def start_run(self, flow_run_id: str, name: str, started_at: datetime) -> None:
        """Remember that a run began."""
        run = Run(
            flow_run_id=flow_run_id,
            name=name,
            started_at=started_at,
            ended_at=None,
            exit_code=None,
            counts={},
        )
        runs.save(self._db, self._name, run)

    def finish_run(
        self,
        flow_run_id: str,
        name: str,
        started_at: datetime,
        ended_at: datetime,
        exit_code: int,
        counts: Mapping[str, Any],
    ) -> None:
        """Remember how a run ended."""
        run = Run(
            flow_run_id=flow_run_id,
            name=name,
            started_at=started_at,
            ended_at=ended_at,
            exit_code=exit_code,
            counts=dict(counts),
        )
        runs.save(self._db, self._name, run)

    def remember(self, name: str, value: Any) -> None:
        """Store a small JSON value about the connection."""
        runs.remember(self._db, self._name, name, value)


def _changed_meanwhile(record: Record) -> StaleClaim:
    return StaleClaim(
        f"{record.kind} {record.key} was changed by another worker meanwhile.",
        system="ledger",
        code="stale_version",
        record_id=record.key,
    )
