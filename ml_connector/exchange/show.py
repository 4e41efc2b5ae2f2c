"""Make Salesforce show what the ledger says it should: ids, numbers, status, messages.

Every ledger record holds what its Salesforce record should show (`wanted`) and what it shows as far
as is known (`shown`). Only differences are sent, up to 200 records a call: the first link by
Salesforce Id, from then on by External Id with BC_ fields only, so that a lost record can never be
created anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Exclude, Park
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import StaleClaim, TransientError
from ml_connector.exchange import flipping
from ml_connector.exchange.collect import shown_fields
from ml_connector.exchange.expressed import TARGETS, Target, differences, express, json_value
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Direction,
    audit,
    audit_decision,
    claimed,
    enter_decision,
    label,
    new_record,
)
from ml_connector.ledger.records import Record
from ml_connector.salesforce.client import RecordResult

log = logging.getLogger("ml_connector")

PAGE = 200

_TRANSIENT = frozenset({
    "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "UNEXPECTED", "QUERY_TIMEOUT",
    "REQUEST_LIMIT_EXCEEDED", "TXN_SECURITY_METERING_ERROR", "INVALID_SESSION_ID",
})  # fmt: skip
_LOST = frozenset({
    "REQUIRED_FIELD_MISSING", "NOT_FOUND", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY",
    "FAILED_ACTIVATION", "MALFORMED_ID",
})  # fmt: skip
"""How Salesforce may say that it has no such record; whether it has is read, never guessed."""


@dataclass(slots=True)
class ShowResult:
    """How many records were shown, refused, and whether Salesforce was partly unavailable."""

    written: int = 0
    refused: int = 0
    calls: int = 0
    outcomes: list[Outcome] | None = None
    fault: TransientError | None = None


def show(systems: Systems, kind: Kind) -> ShowResult:
    """Write every pending difference of *kind* to Salesforce.

    Effect: collections calls of up to 200 records; repeating it sends only what is still different.
    Raises: TransientError after all other records were dealt with.
    """
    result = ShowResult(outcomes=[])
    for page in systems.ledger.iterate(kind=kind, show_pending=True, page_size=PAGE):
        keys = [record.key for record in page]
        with claimed(systems, kind, keys) as claims:
            records = systems.ledger.records(kind, keys)
            ours = [records[key] for key in keys if key in claims and key in records]
            _show_page(systems, claims, TARGETS[kind], ours, result)
    if result.fault is not None:
        raise result.fault
    return result


def _show_page(
    systems: Systems, claims: Claims, target: Target, records: Sequence[Record], result: ShowResult
) -> None:
    """Send one page; records whose External Id was lost in Salesforce get a second round by Id."""
    _hold_flipping(systems, claims, records, result)
    _without_differences(systems, claims, records)
    waiting = [record for record in records if record.show_pending and _to_send(record)]
    waiting.sort(key=lambda record: (str(record.facts.get("account_id", "")), record.key))
    by_id = [record for record in waiting if not _is_linked_in_salesforce(target, record)]
    by_external = [record for record in waiting if _is_linked_in_salesforce(target, record)]
    lost = _send(systems, claims, target, by_external, result, by_external_id=True)
    found = _still_there(systems, claims, target, lost, result)
    again = [each.sent.record for each in found]
    gone = _send(systems, claims, target, [*by_id, *again], result, by_external_id=False)
    for each in _still_there(systems, claims, target, gone, result):
        _refused(systems, claims, each.sent, each.said, result)


def _hold_flipping(
    systems: Systems, claims: Claims, records: Sequence[Record], result: ShowResult
) -> None:
    """Park the records whose fields somebody overwrites again and again; the rest is sent."""
    pending = [record for record in records if record.shown and differences(record)]
    if not pending:
        return
    keys = [record.key for record in pending]
    lately = flipping.written_lately(systems, pending[0].kind, keys)
    for record in pending:
        shown = record.shown or {}
        changes = {name: (shown.get(name), each) for name, each in differences(record).items()}
        entries = lately.get(record.key, ())
        decision = flipping.hold(systems, record, entries, "to_salesforce", changes)
        if decision is None:
            continue
        standing = (record.state, record.cause, record.message)
        enter_decision(systems, record, decision)
        express(record)
        try:
            with systems.ledger.transaction() as tx:
                tx.save(record, fence=claims.fence(record.key))
                if (record.state, record.cause, record.message) != standing:
                    audit_decision(tx, systems, record)
        except StaleClaim as stale:
            log.info("%s", stale.message)
        else:
            _count(result, record)


def _to_send(record: Record) -> dict[str, Any]:
    """Return the differences that may be written now."""
    held = flipping.held_fields(record)
    return {name: value for name, value in differences(record).items() if name not in held}


def _without_differences(systems: Systems, claims: Claims, records: Sequence[Record]) -> None:
    settled = [record for record in records if not differences(record)]
    if not settled:
        return
    for record in settled:
        record.show_pending = False
        try:
            with systems.ledger.transaction() as tx:
                tx.save(record, fence=claims.fence(record.key))
        except StaleClaim as stale:
            log.info("%s", stale.message)


def _is_linked_in_salesforce(target: Target, record: Record) -> bool:
    shown = (record.shown or {}).get(target.external_id)
    return (
        target.by_external_id
        and bool(record.bc_id)
        and isinstance(shown, str)
        and shown.lower() == record.bc_id.lower()
    )


def _send(
    systems: Systems,
    claims: Claims,
    target: Target,
    records: Sequence[Record],
    result: ShowResult,
    *,
    by_external_id: bool,
) -> list[_Lost]:
    """Send the differences of *records* in one call; returns those Salesforce does not find."""
    if not records:
        return []
    now = systems.clock.now()
    sent: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    for record in records:
        fields = _to_send(record)
        sent.append(fields)
        key_fields = (
            {target.external_id: record.bc_id.lower()}
            if by_external_id
            else {"Id": record.salesforce_id}
        )
        stamp = {"BC_As_Of__c": json_value(now)} if target.has_as_of else {}
        bodies.append({**key_fields, **fields, **stamp})
    result.calls += 1
    if by_external_id:
        results = systems.salesforce.upsert_records(target.sobject, target.external_id, bodies)
    else:
        results = systems.salesforce.update_records(target.sobject, bodies)
    answers = list(zip(records, sent, results, strict=True))
    done = [
        _Shown(record, fields, each.request_id)
        for record, fields, each in answers
        if _is_plain(each)
    ]
    _shown_together(systems, claims, done, result)
    lost: list[_Lost] = []
    for record, fields, answer in answers:
        if _is_plain(answer):
            continue
        if answer.errors and answer.errors[0].code in _LOST:
            lost.append(_Lost(_Shown(record, fields, answer.request_id), _said(answer)))
            continue
        try:
            _settle(systems, claims, target, record, fields, answer, result)
        except StaleClaim:
            log.warning("%s: another worker took over; it will show it", label(record))
    return lost


@dataclass(frozen=True, slots=True)
class _Shown:
    """What Salesforce took for one record."""

    record: Record
    fields: dict[str, Any]
    request_id: str


@dataclass(frozen=True, slots=True)
class _Lost:
    """A record that Salesforce did not find, and what it said."""

    sent: _Shown
    said: str


def _is_plain(answer: RecordResult) -> bool:
    """Tell whether Salesforce did just what was asked; a creation is not what was asked."""
    return answer.success and not answer.created


def _shown_together(
    systems: Systems,
    claims: Claims,
    done: Sequence[_Shown],
    result: ShowResult,
) -> None:
    """Store in one transaction what Salesforce shows now, or one by one when one was taken over."""
    before = [each.record.shown for each in done]
    try:
        _shown(systems, claims, done, result)
    except StaleClaim:
        for each, shown in zip(done, before, strict=True):
            each.record.shown, each.record.show_pending = shown, True
            try:
                _shown(systems, claims, [each], result)
            except StaleClaim:
                log.warning("%s: another worker took over; it will show it", label(each.record))


def _settle(
    systems: Systems,
    claims: Claims,
    target: Target,
    record: Record,
    fields: Mapping[str, Any],
    answer: RecordResult,
    result: ShowResult,
) -> None:
    """Record one answer about a record that Salesforce found."""
    if answer.success:
        _undo_creation(systems, claims, target, record, answer, result)
        return
    code = answer.errors[0].code if answer.errors else "UNKNOWN_EXCEPTION"
    text = _said(answer)
    if code in _TRANSIENT:
        result.fault = TransientError(
            f"{label(record)}: Salesforce could not take the status now: {text}",
            system="salesforce",
            code=code,
        )
        return
    _refused(systems, claims, _Shown(record, dict(fields), answer.request_id), text, result)


def _said(answer: RecordResult) -> str:
    return "; ".join(f"{error.message} ({error.code})" for error in answer.errors)


def _shown(
    systems: Systems,
    claims: Claims,
    done: Sequence[_Shown],
    result: ShowResult,
) -> None:
    if not done:
        return
    with systems.ledger.transaction() as tx:
        for each in done:
            record, fields = each.record, each.fields
            before = {name: (record.shown or {}).get(name) for name in fields}
            record.shown = {**(record.shown or {}), **fields}
            record.show_pending = bool(flipping.held_fields(record) & differences(record).keys())
            audit(
                tx,
                systems,
                record,
                direction=Direction.TO_SALESFORCE,
                action="show",
                rule="shown_differs",
                outcome="done",
                before=before,
                after=fields,
                request_id=each.request_id,
            )
        records = [each.record for each in done]
        tx.save_all(records, fences={record.key: claims.fence(record.key) for record in records})
        statuses = _status_records(systems, records)
        for status in statuses:
            status.enter(State.WRITTEN, now=systems.clock.now())
        tx.save_all(statuses)
    for status in statuses:
        _count(result, status)
    result.written += len(done)


def _count(result: ShowResult, record: Record) -> None:
    if result.outcomes is not None:
        result.outcomes.append(Outcome.of(record))


def status_record(systems: Systems, record: Record) -> Record | None:
    """Return the status record of a linked order or customer; None for other kinds."""
    return next(iter(_status_records(systems, [record])), None)


def _status_records(systems: Systems, records: Sequence[Record]) -> list[Record]:
    """Return the status records of those of *records* that are linked orders or customers."""
    linked = [each for each in records if each.kind in (Kind.ORDER, Kind.CUSTOMER) and each.bc_id]
    known = systems.ledger.records(Kind.STATUS, [record.key for record in linked])
    statuses: list[Record] = []
    for record in linked:
        number = record.salesforce_number
        status = known.get(record.key) or new_record(systems, Kind.STATUS, record.key, number)
        status.salesforce_number = number
        status.bc_id, status.bc_number = record.bc_id, record.bc_number
        statuses.append(status)
    return statuses


def _refused(
    systems: Systems,
    claims: Claims,
    refused: _Shown,
    text: str,
    result: ShowResult,
) -> None:
    """Park the write-back of one record; it stays pending, so the next run tries again."""
    record = refused.record
    message = f"{label(record)}: Salesforce refused the status fields: {text}"
    decision = Park(Cause.REJECTED_BY_SALESFORCE, message)
    status = status_record(systems, record) or record
    enter_decision(systems, status, decision)
    with systems.ledger.transaction() as tx:
        tx.check_fence(record.kind, record.key, claims.fence(record.key))
        tx.save(status)
        audit(
            tx,
            systems,
            record,
            direction=Direction.TO_SALESFORCE,
            action="show",
            rule="shown_differs",
            outcome="refused",
            after={**refused.fields, "message": text},
            request_id=refused.request_id,
        )
    result.refused += 1
    _count(result, status)


def _undo_creation(
    systems: Systems,
    claims: Claims,
    target: Target,
    record: Record,
    answer: RecordResult,
    result: ShowResult,
) -> None:
    """A write-back created a record: delete it again, where that is allowed, and tell a person."""
    deleted = systems.salesforce.delete_records([answer.id]) if answer.id else []
    end = "was deleted again" if deleted and deleted[0].success else "could not be deleted"
    message = (
        f"{label(record)}: writing the status created {target.sobject} {answer.id}, since no "
        f"record carries the External Id any more; the new record {end}."
    )
    enter_decision(systems, record, Park(Cause.UNEXPECTED_CREATION, message))
    record.show_pending = False
    with systems.ledger.transaction() as tx:
        tx.save(record, fence=claims.fence(record.key))
        audit_decision(tx, systems, record)
    result.refused += 1
    _count(result, record)


def _still_there(
    systems: Systems,
    claims: Claims,
    target: Target,
    lost: Sequence[_Lost],
    result: ShowResult,
) -> list[_Lost]:
    """Read records that were not found; returns those that are there, the others are flagged."""
    if not lost:
        return []
    records = [each.sent.record for each in lost]
    wanted = sorted({name for record in records for name in record.wanted})
    fields = list(dict.fromkeys(["Id", target.external_id, *wanted]))
    rows = systems.salesforce.retrieve(
        target.sobject, [record.salesforce_id for record in records], fields
    )
    present: list[_Lost] = []
    for each, record, row in zip(lost, records, rows, strict=True):
        if row is None or row.get("IsDeleted"):
            _flag_deleted(systems, claims, record, result)
            continue
        record.shown = shown_fields(row, record.wanted)
        present.append(each)
    return present


def _flag_deleted(systems: Systems, claims: Claims, record: Record, result: ShowResult) -> None:
    try:
        flag_deleted_in_salesforce(systems, claims, record)
    except StaleClaim:
        log.warning("%s: another worker took over; it will see to it", label(record))
    else:
        result.refused += 1


def flag_deleted_in_salesforce(systems: Systems, claims: Claims, record: Record) -> Outcome:
    """The Salesforce record is gone: uncouple and tell a person; nothing is deleted in BC.

    One that is known to be gone from both sides stays as it is.
    """
    name = label(record)
    known = record.state is State.EXCLUDED and record.cause == Cause.DELETED
    if known:
        log.debug("%s: there is nothing to show it on", name)
    elif record.bc_id:
        message = f"{name} was deleted in Salesforce; {record.bc_number} stays in Business Central."
        enter_decision(systems, record, Park(Cause.DELETED_IN_SALESFORCE, message))
    else:
        enter_decision(
            systems, record, Exclude(Cause.DELETED, f"{name} was deleted in Salesforce.")
        )
    record.show_pending = False
    with systems.ledger.transaction() as tx:
        tx.save(record, fence=claims.fence(record.key))
        if not known:
            audit_decision(tx, systems, record)
    return Outcome.of(record)
