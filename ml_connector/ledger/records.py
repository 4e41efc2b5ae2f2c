"""What the ledger keeps, as plain values: records, intents, changes, documents, audit, runs.

JSON values (`sent`, `facts`, `shown`, `wanted`, `payload`, `before`, `after`, `counts`) come back
as JSON gives them: Decimals stay Decimals, a date or a time is ISO text when it is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from ml_connector.domain.causes import CATALOGUE, Cause
from ml_connector.domain.identifiers import Kind, State

IntentState = Literal["open", "sent", "uncertain", "closed"]
IntentOutcome = Literal["done", "refused", "adopted", "not_sent", "abandoned"]
Direction = Literal["to_business_central", "to_salesforce", "decision"]
DocumentType = Literal["invoice", "credit_memo"]


@dataclass(slots=True, kw_only=True)
class Record:
    """One record of Salesforce (an invoice: of BC), its partner and where it stands.

    Attributes:
        kind: What it is.
        key: 18-character Salesforce id; for an invoice the BC invoice id.
        salesforce_id: 18-character Salesforce id, "" when there is none.
        bc_id: Id of the partner in BC, lower case; "" while it is not linked.
        reference: The natural key BC's documents carry: an order's external document number.
        state: Where it stands; `enter` changes it.
        waits_for: What has to exist first, as `{"kind", "salesforce_id"}`.
        candidates: What a person can choose from, as `{"bc_id", "bc_number", "name"}`.
        since: Since when state and cause are what they are.
        attempts: How often the record was tried since then.
        source_stamp: SystemModstamp that was last decided on.
        bc_stamp: lastModifiedDateTime that was last seen.
        sent: Mapped values both sides last agreed on, the base of three-way comparisons.
        facts: What later steps need to know.
        shown: BC_ fields as Salesforce shows them; None when that is unknown.
        wanted: BC_ fields as Salesforce should show them.
        show_pending: Whether `wanted` has to be written to Salesforce.
        settled: Whether the record is finished for good.
        run_id: Flow run that touched it last.
        version: Version of the row this is a copy of, 0 when it was never stored. Saving a copy
            of an older version is refused, so a stale copy never overwrites a newer one.
    """

    kind: Kind
    key: str
    state: State
    since: datetime
    first_seen_at: datetime
    last_seen_at: datetime
    salesforce_id: str = ""
    salesforce_number: str = ""
    bc_id: str = ""
    bc_number: str = ""
    reference: str = ""
    cause: str = ""
    message: str = ""
    remedy: str = ""
    owner: str = ""
    waits_for: list[dict[str, Any]] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    source_stamp: str = ""
    bc_stamp: str = ""
    sent: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Any] | None = None
    wanted: dict[str, Any] = field(default_factory=dict)
    show_pending: bool = False
    settled: bool = False
    run_id: str = ""
    version: int = 0

    @classmethod
    def first_seen(
        cls, kind: Kind, key: str, *, now: datetime, salesforce_id: str | None = None
    ) -> Record:
        """Return a record met for the first time; it waits until something is decided about it."""
        return cls(
            kind=kind,
            key=key,
            salesforce_id=key if salesforce_id is None else salesforce_id,
            state=State.WAITING,
            since=now,
            first_seen_at=now,
            last_seen_at=now,
        )

    def enter(  # noqa: PLR0913  # all of what a standing is made of, by keyword
        self,
        state: State,
        *,
        now: datetime,
        cause: str = "",
        message: str = "",
        remedy: str = "",
        owner: str = "",
        waits_for: Iterable[Mapping[str, Any]] = (),
        candidates: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Stand in *state* from now on; `since` stays when state and cause stay, attempts count up.

        Remedy and owner come from the catalogue of causes when they are not given.
        """
        if (state, cause) == (self.state, self.cause) and self.attempts:
            self.attempts += 1
        else:
            self.since, self.attempts = now, 1
        if cause in Cause.__members__.values():
            entry = CATALOGUE[Cause(cause)]
            remedy, owner = remedy or entry.remedy, owner or str(entry.owner)
        self.state, self.cause, self.message = state, str(cause), message
        self.remedy, self.owner = remedy, str(owner)
        self.waits_for = [dict(need) for need in waits_for]
        self.candidates = [dict(candidate) for candidate in candidates]
        self.last_seen_at = now

    def report(self) -> dict[str, Any]:
        """Return the record as commands print it (record R of the `--json` output)."""
        return {
            "kind": str(self.kind),
            "salesforce_id": self.salesforce_id,
            "salesforce_number": self.salesforce_number,
            "bc_id": self.bc_id,
            "bc_number": self.bc_number,
            "state": str(self.state),
            "cause": self.cause,
            "message": self.message,
            "remedy": self.remedy,
            "owner": self.owner,
            "waits_for": self.waits_for,
            "candidates": self.candidates,
            "since": _instant(self.since),
            "first_seen_at": _instant(self.first_seen_at),
            "last_seen_at": _instant(self.last_seen_at),
            "attempts": self.attempts,
        }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIntent:
    """A write that is about to be tried, kept before the call so that a lost answer is noticed."""

    kind: Kind
    key: str
    operation: str
    natural_key: str
    payload: Mapping[str, Any]
    payload_hash: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A write as the ledger knows it: open (not sent), sent, uncertain (answer lost) or closed."""

    id: int
    kind: Kind
    key: str
    operation: str
    natural_key: str
    payload: dict[str, Any]
    payload_hash: str
    attempt: int
    state: IntentState
    outcome: str
    message: str
    bc_id: str
    fence: int
    created_at: datetime
    sent_at: datetime | None
    closed_at: datetime | None
    flow_run_id: str
    task_run_id: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a feed was read: its position, and the time up to which nothing is missing."""

    feed: str
    position: str
    confirmed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChange:
    """A change as a feed reported it; the dedupe key is the same when it is reported again."""

    system: str
    entity: str
    record_id: str
    change_type: str
    changed_at: datetime
    source: str
    dedupe_key: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChange:
    """A change in the inbox."""

    id: int
    system: str
    entity: str
    record_id: str
    change_type: str
    changed_at: datetime
    source: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSubscription:
    """One of our subscriptions in BC; `verified_at` is when it was last seen there."""

    subscription_id: str
    entity_set: str
    notification_url: str
    created_at: datetime
    verified_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An invoice or credit memo of BC that belongs to an order (`order_key`: the order's key).

    `invoice_id` is the invoice a credit memo is applied to; `stamp` is lastModifiedDateTime as it
    was last seen.
    """

    bc_id: str
    doc_type: DocumentType
    order_key: str
    number: str
    status: str
    total: Decimal
    remaining: Decimal
    currency: str
    due_date: date | None
    posted: bool
    invoice_id: str = ""
    stamp: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its amounts may still move: a draft, or a posted one with something remaining."""
        if self.status in {"Canceled", "Corrective"}:
            return False
        return not self.posted or self.remaining != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One decision or write, kept for good; `before` and `after` are None once they were erased."""

    kind: Kind
    key: str
    at: datetime
    direction: Direction
    action: str
    salesforce_id: str = ""
    bc_id: str = ""
    before: Mapping[str, Any] | None = field(default_factory=dict)
    after: Mapping[str, Any] | None = field(default_factory=dict)
    rule: str = ""
    policy_version: str = ""
    outcome: str = ""
    request_id: str = ""
    flow_run_id: str = ""
    task_run_id: str = ""
    sequence: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Whether the audit chain is whole; `first_bad_sequence` names the first entry that is not.

    `head` is the digest of the newest entry: kept elsewhere, it also proves that the end was not
    cut off. `erased` counts the entries whose content was erased by an entry of the chain itself.
    """

    ok: bool
    entries: int
    first_bad_sequence: int | None
    erased: int = 0
    head: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a flow as the ledger remembers it; `ended_at` is None while it lasts."""

    flow_run_id: str
    name: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    counts: dict[str, Any]
