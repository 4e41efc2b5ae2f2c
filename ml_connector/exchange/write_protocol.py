"""The one way a BC record is written: claim, look, intent, call, outcome.

A write that repeats must be harmless although BC has no idempotency key. So each write runs under
a claim with a fencing token, its intent is committed right before its bytes may leave, and an
attempt whose answer is lost is followed by a look into BC before anything is written again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ml_connector.domain.causes import CATALOGUE, Cause
from ml_connector.domain.decision import Candidate, Exclude, Park, Wait
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import (
    ConcurrentEdit,
    ContractError,
    DuplicateKey,
    OutcomeUnknown,
    RecordError,
    StaleClaim,
    TransientError,
)
from ml_connector.exchange import flipping
from ml_connector.exchange.expressed import express
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import AuditEntry, Intent, IntentOutcome, Record
from ml_connector.ledger.transaction import Transaction
from ml_connector.wire_json import decode, encode

log = logging.getLogger("ml_connector")

LEASE_SECONDS = 300
"""How long a claim holds without renewal: longer than the longest single call (120 s)."""

RENEW_BELOW_SECONDS = 150

_AGREED = "_agreed"
"""Name in an intent's payload of what both sides agree on once it came through."""


class Direction(StrEnum):
    """Which system an audit entry's write went to."""

    TO_BUSINESS_CENTRAL = "to_business_central"
    TO_SALESFORCE = "to_salesforce"
    DECISION = "decision"


@dataclass(frozen=True, slots=True)
class Written:
    """A write that BC has committed: the record's BC id and number, and what the call returned."""

    bc_id: str
    bc_number: str
    answer: Any
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One write to BC.

    Attributes:
        operation: "create", "update", "post", … ; with the key it names the intent.
        natural_key: what a look-up finds the record by.
        payload: what is sent, for the audit and for comparing an adopted record.
        send: does the call; is given the callback to run right before bytes may leave.
        look: called for an earlier attempt with unknown outcome; returns what that attempt wrote,
            None when BC does not have it, or a Park when a person has to decide.
        before: the fields as they were, for the audit.
        rule: which rule decided.
        refusal: the cause a record is parked with when BC refuses the write.
        agreed: the content both sides agree on once it came through; kept with the intent, so that
            a record that is edited while the answer is lost is compared with what BC really got.
        take_back: called with what `send` wrote when another worker took the record over meanwhile.
    """

    operation: str
    natural_key: str
    payload: Mapping[str, Any]
    send: Callable[[Callable[[], None]], Written]
    look: Callable[[Intent], Written | Park | None]
    before: Mapping[str, Any]
    rule: str
    refusal: Cause = Cause.REJECTED_BY_BC
    agreed: Mapping[str, Any] | None = None
    take_back: Callable[[Written], None] | None = None


def payload_hash(payload: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the payload's JSON, hexadecimal."""
    return hashlib.sha256(encode(payload)).hexdigest()


class Claims:
    """The records of one kind this worker may write, with their fencing tokens."""

    def __init__(self, systems: Systems, kind: Kind, fences: dict[str, int]) -> None:
        self._systems = systems
        self._kind = kind
        self._fences = fences
        self._until = {key: self._expiry() for key in fences}

    def _expiry(self) -> datetime:
        return self._systems.clock.now() + timedelta(seconds=LEASE_SECONDS)

    def __contains__(self, key: str) -> bool:
        return key in self._fences

    def fence(self, key: str) -> int:
        """Return the fencing token of *key*; renews the lease when it runs short."""
        left = (self._until[key] - self._systems.clock.now()).total_seconds()
        if left < RENEW_BELOW_SECONDS:
            with self._systems.ledger.transaction() as tx:
                tx.renew(self._kind, key, self._systems.owner, self._fences[key], LEASE_SECONDS)
            self._until[key] = self._expiry()
        return self._fences[key]


@contextmanager
def claimed(systems: Systems, kind: Kind, keys: Sequence[str]) -> Iterator[Claims]:
    """Hold the claims on as many of *keys* as are free, and give them back at the end.

    Keys another living worker holds are not in the result; they are dealt with by that worker.
    """
    with systems.ledger.transaction() as tx:
        fences = tx.claim(kind, list(keys), systems.owner, LEASE_SECONDS)
    try:
        yield Claims(systems, kind, fences)
    finally:
        with systems.ledger.transaction() as tx:
            tx.release(kind, fences, systems.owner)


def fresh_record(systems: Systems, kind: Kind, key: str, salesforce_number: str = "") -> Record:
    """Return the ledger's record of *key*, or a new one that was never seen."""
    record = systems.ledger.record(kind, key)
    return record or new_record(systems, kind, key, salesforce_number)


def new_record(systems: Systems, kind: Kind, key: str, salesforce_number: str = "") -> Record:
    """Return a record that was never seen before, waiting for its first decision."""
    now = systems.clock.now()
    return Record(
        kind=kind,
        key=key,
        salesforce_id=key,
        salesforce_number=salesforce_number,
        state=State.WAITING,
        since=now,
        first_seen_at=now,
        last_seen_at=now,
    )


def enter_decision(systems: Systems, record: Record, decision: Wait | Park | Exclude) -> None:
    """Bring *record* into the state that a decision without a write stands for."""
    entry = CATALOGUE[decision.cause]
    now = systems.clock.now()
    match decision:
        case Wait():
            record.enter(
                State.WAITING,
                now=now,
                cause=decision.cause,
                message=decision.message,
                remedy=entry.remedy,
                owner=entry.owner,
                waits_for=[
                    {"kind": str(need.kind), "salesforce_id": need.salesforce_id}
                    for need in decision.needs
                ],
            )
        case Park():
            record.enter(
                State.PARKED,
                now=now,
                cause=decision.cause,
                message=decision.message,
                remedy=entry.remedy,
                owner=entry.owner,
                candidates=[candidate_json(each) for each in decision.candidates],
            )
        case Exclude():
            record.enter(
                State.EXCLUDED,
                now=now,
                cause=decision.cause,
                message=decision.message,
                remedy=entry.remedy,
                owner=entry.owner,
            )


def candidate_json(candidate: Candidate) -> dict[str, str]:
    """Return a candidate as the ledger and the JSON output hold it."""
    return {"bc_id": candidate.bc_id, "bc_number": candidate.bc_number, "name": candidate.name}


def audit(  # noqa: PLR0913  # an entry names all of it
    tx: Transaction,
    systems: Systems,
    record: Record,
    *,
    direction: Direction,
    action: str,
    rule: str,
    outcome: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    request_id: str = "",
) -> None:
    """Append one audit entry about *record* in the caller's transaction."""
    tx.append_audit(
        AuditEntry(
            kind=record.kind,
            key=record.key,
            salesforce_id=record.salesforce_id,
            bc_id=record.bc_id,
            at=systems.clock.now(),
            direction=direction.value,
            action=action,
            before=dict(before or {}),
            after=dict(after or {}),
            rule=rule,
            policy_version=systems.settings.policy_version(),
            outcome=outcome,
            request_id=request_id,
            flow_run_id=systems.run.flow_run_id,
            task_run_id=systems.run.task_run_id,
        )
    )


def store_decision(systems: Systems, record: Record, decision: Wait | Park | Exclude) -> Outcome:
    """Store a decision that writes nothing; audited only when the record's standing changes.

    Nothing is stored when another worker changed the record meanwhile.
    """
    standing = (record.state, record.cause, record.message)
    enter_decision(systems, record, decision)
    express(record)
    try:
        with systems.ledger.transaction() as tx:
            tx.save(record)
            if (record.state, record.cause, record.message) != standing:
                audit_decision(tx, systems, record)
    except StaleClaim as stale:
        log.info("%s", stale.message)
        return Outcome.of(record, is_final=False)
    return Outcome.of(record)


def audit_decision(tx: Transaction, systems: Systems, record: Record) -> None:
    """Append the audit entry of a decision that wrote nothing."""
    audit(
        tx,
        systems,
        record,
        direction=Direction.DECISION,
        action=str(record.state),
        rule=record.cause,
        outcome=str(record.state),
        after={"message": record.message},
    )


def write_once(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    finish: Callable[[Record, Written], None],
) -> tuple[Outcome, TransientError | None]:
    """Do *write* so that its effect exists exactly once, and record how it ended.

    *finish* completes the record from what was written, in memory; it is saved, audited and its
    intent closed in one transaction. Returns the outcome and, when the vendor was not available,
    the fault for the caller to raise after it has dealt with its other records.
    """
    key = record.key
    if key not in claims:
        return _wait(
            systems, record, Cause.HELD_BY_OTHER_WORKER, "another worker has it in hand"
        ), None
    try:
        settled = _settle_earlier_attempts(systems, claims, record, write, finish)
        if settled is not None:
            return settled, None
        flips = _flips(systems, record, write)
        if flips is not None:
            return store_decision(systems, record, flips), None
        return _attempt(systems, claims, record, write, finish)
    except StaleClaim:
        log.warning("%s %s: another worker took over; this one stores nothing", record.kind, key)
        current = systems.ledger.record(record.kind, key) or record
        return Outcome.of(current, is_final=False), None


def _flips(systems: Systems, record: Record, write: Write) -> Park | None:
    """Return why an update must wait that would bring a field back and forth once more."""
    if write.operation != "update":
        return None
    lately = flipping.written_lately(systems, record.kind, [record.key])
    changes = {name: (write.before.get(name), value) for name, value in write.payload.items()}
    return flipping.hold(
        systems, record, lately.get(record.key, ()), "to_business_central", changes
    )


def _settle_earlier_attempts(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    finish: Callable[[Record, Written], None],
) -> Outcome | None:
    """Look in BC for what earlier attempts may have written; None when the way is free."""
    earlier = systems.ledger.intents(record.kind, [record.key]).get(record.key, [])
    for intent in earlier:
        if intent.operation != write.operation:
            continue
        if intent.sent_at is None:
            close_attempt(systems, claims, record, intent, "not_sent")
            continue
        try:
            found = write.look(as_sent(intent))
        except (TransientError, ContractError) as fault:
            return _unknown(systems, claims, record, intent, fault.message)
        except RecordError:
            found = None
        match found:
            case Written():
                is_older = _is_older(intent, write)
                _finish(systems, claims, record, write, found, intent, finish)
                return Outcome.of(record, is_final=not is_older)
            case Park():
                with systems.ledger.transaction() as tx:
                    enter_decision(systems, record, found)
                    tx.save(record, fence=claims.fence(record.key))
                    tx.close_intent(intent.id, "abandoned")
                    audit_decision(tx, systems, record)
                return Outcome.of(record)
        if not has_settled(systems, intent):
            return _unknown(systems, claims, record, intent, "")
        close_attempt(systems, claims, record, intent, "abandoned")
    return None


def has_settled(systems: Systems, intent: Intent) -> bool:
    """Tell whether an attempt was sent so long ago that it cannot be carried out any more."""
    sent = intent.sent_at or intent.created_at
    wait = timedelta(seconds=systems.settings.business_central.settle_seconds)
    return systems.clock.now() >= sent + wait


def _kept_payload(write: Write) -> dict[str, Any]:
    agreed = {} if write.agreed is None else {_AGREED: dict(write.agreed)}
    return {**write.payload, **agreed}


def as_sent(intent: Intent) -> Intent:
    """Return *intent* with nothing but what was sent as its payload."""
    payload = {name: value for name, value in intent.payload.items() if name != _AGREED}
    return replace(intent, payload=payload)


def agreed_by(intent: Intent) -> dict[str, Any] | None:
    """Return the content both sides agree on when *intent* came through; None when unknown."""
    agreed = intent.payload.get(_AGREED)
    return dict(agreed) if agreed is not None else None


def _is_older(intent: Intent, write: Write) -> bool:
    """Tell whether an earlier attempt wrote another content than *write* would."""
    if write.agreed is None:
        return False
    return bool(agreed_by(intent) != decode(encode(dict(write.agreed))))


def close_attempt(
    systems: Systems, claims: Claims, record: Record, intent: Intent, outcome: IntentOutcome
) -> None:
    """Store how an attempt ended. Raises: StaleClaim when the record was taken over."""
    with systems.ledger.transaction() as tx:
        tx.check_fence(record.kind, record.key, claims.fence(record.key))
        tx.close_intent(intent.id, outcome)


def _attempt(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    finish: Callable[[Record, Written], None],
) -> tuple[Outcome, TransientError | None]:
    fence = claims.fence(record.key)
    intents: list[Intent] = []

    def on_send() -> None:
        """Commit the intent, marked as sent, before the first byte may leave."""
        with systems.ledger.transaction() as tx:
            tx.check_fence(record.kind, record.key, fence)
            if not intents:
                intents.append(
                    tx.open_intent(
                        record.kind,
                        record.key,
                        write.operation,
                        write.natural_key,
                        _kept_payload(write),
                        payload_hash(write.payload),
                        systems.run,
                        fence,
                    )
                )
            tx.mark_sent(intents[0].id, systems.clock.now())

    systems.business_central.wire.forget_last_write()
    try:
        written = write.send(on_send)
    except (OutcomeUnknown, ContractError) as fault:
        if not intents:
            return _unavailable(systems, record, fault), _as_transient(fault)
        return _unknown(systems, claims, record, intents[0], fault.message), _as_transient(fault)
    except TransientError as fault:
        _refused(systems, claims, record, intents)
        return _unavailable(systems, record, fault), fault
    except ConcurrentEdit as fault:
        if write.operation != "create":
            _refused(systems, claims, record, intents)
            raise
        text = f"{label(record)}: another user of Business Central was in the way."
        busy = Park(Cause.CONCURRENT_EDIT, text)
        return _rejected(systems, claims, record, write, intents, fault, busy), None
    except DuplicateKey as fault:
        return _duplicate(systems, claims, record, write, intents, fault, finish)
    except RecordError as fault:
        return _rejected(systems, claims, record, write, intents, fault), None
    _finish(systems, claims, record, write, written, intents[0] if intents else None, finish)
    return Outcome.of(record), None


def _duplicate(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    intents: list[Intent],
    fault: DuplicateKey,
    finish: Callable[[Record, Written], None],
) -> tuple[Outcome, TransientError | None]:
    """BC has a record with this key: ours from an attempt nobody remembers, or somebody else's."""
    try:
        twin = write.look(as_sent(intents[0])) if intents else None
    except (TransientError, ContractError) as lost:
        return _unknown(systems, claims, record, intents[0], lost.message), _as_transient(lost)
    if isinstance(twin, Written):
        _finish(systems, claims, record, write, twin, intents[0], finish)
        return Outcome.of(record), None
    return _rejected(systems, claims, record, write, intents, fault, twin), None


def _as_transient(fault: TransientError | ContractError) -> TransientError:
    if isinstance(fault, TransientError):
        return fault
    return OutcomeUnknown(fault.message, system=fault.system, operation=fault.operation)


def _refused(systems: Systems, claims: Claims, record: Record, intents: list[Intent]) -> None:
    if intents:
        close_attempt(systems, claims, record, intents[0], "refused")


def _finish(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    written: Written,
    intent: Intent | None,
    finish: Callable[[Record, Written], None],
) -> None:
    """Store what was written; when another worker took the record over, take it back instead."""
    record.bc_id, record.bc_number = written.bc_id, written.bc_number
    record.enter(State.WRITTEN, now=systems.clock.now())
    finish(record, written)
    if written.adopted and intent is not None and _is_older(intent, write):
        record.sent = agreed_by(intent) or record.sent
    try:
        _store_written(systems, claims, record, write, written, intent)
    except StaleClaim:
        if write.take_back is not None and not written.adopted:
            write.take_back(written)
        raise


def _store_written(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    written: Written,
    intent: Intent | None,
) -> None:
    with systems.ledger.transaction() as tx:
        tx.save(record, fence=claims.fence(record.key))
        if intent is not None:
            tx.close_intent(
                intent.id, "adopted" if written.adopted else "done", bc_id=written.bc_id
            )
        audit(
            tx,
            systems,
            record,
            direction=Direction.TO_BUSINESS_CENTRAL,
            action=write.operation,
            rule=write.rule,
            outcome="adopted" if written.adopted else "done",
            before=write.before,
            after=write.payload,
            request_id="" if written.adopted else systems.business_central.wire.last_write,
        )
        if record.state in (State.PARKED, State.WAITING):
            audit_decision(tx, systems, record)


def _wait(systems: Systems, record: Record, cause: Cause, text: str) -> Outcome:
    """Return the outcome of a record that waits, without storing it (someone else's turn)."""
    enter_decision(systems, record, Wait(cause, f"{label(record)}: {text}."))
    return Outcome.of(record, is_final=False)


def _unavailable(
    systems: Systems, record: Record, fault: TransientError | ContractError
) -> Outcome:
    return store_decision(
        systems,
        record,
        Wait(Cause.SERVICE_UNAVAILABLE, f"{label(record)}: {fault.message}"),
    )


def _unknown(
    systems: Systems, claims: Claims, record: Record, intent: Intent, text: str
) -> Outcome:
    sent = intent.sent_at or systems.clock.now()
    again = sent + timedelta(seconds=systems.settings.business_central.settle_seconds)
    message = (
        f"{label(record)}: the answer of Business Central to the last write is lost; looked for "
        f"again from {again:%Y-%m-%dT%H:%M:%SZ} on."
    )
    enter_decision(systems, record, Wait(Cause.OUTCOME_UNKNOWN, message))
    express(record)
    with systems.ledger.transaction() as tx:
        tx.save(record, fence=claims.fence(record.key))
        tx.mark_uncertain(intent.id, text)
        audit_decision(tx, systems, record)
    return Outcome.of(record)


def _rejected(
    systems: Systems,
    claims: Claims,
    record: Record,
    write: Write,
    intents: list[Intent],
    fault: RecordError,
    decision: Park | None = None,
) -> Outcome:
    enter_decision(
        systems,
        record,
        decision
        or Park(
            Cause.MISSING_PERMISSION if fault.code == "missing_permission" else write.refusal,
            f"{label(record)}: Business Central refused it: {fault.message} ({fault.code})",
        ),
    )
    express(record)
    with systems.ledger.transaction() as tx:
        tx.save(record, fence=claims.fence(record.key))
        if intents:
            tx.close_intent(intents[0].id, "refused")
        audit(
            tx,
            systems,
            record,
            direction=Direction.TO_BUSINESS_CENTRAL,
            action=write.operation,
            rule=write.rule,
            outcome=f"refused: {fault.code}",
            before=write.before,
            after=write.payload,
            request_id=fault.request_id,
        )
    return Outcome.of(record)


def label(record: Record) -> str:
    """Return how a person names the record: its kind and number."""
    number = record.salesforce_number or record.bc_number or record.key
    return f"{str(record.kind).capitalize()} {number}"
