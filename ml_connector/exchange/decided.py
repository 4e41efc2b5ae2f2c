"""Store decisions that need no BC write: a page of records in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Create,
    Decision,
    Delete,
    Exclude,
    Link,
    Park,
    Unchanged,
    Update,
    Wait,
)
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import StaleClaim
from ml_connector.exchange.expressed import TARGETS, differences, express
from ml_connector.exchange.flipping import held_fields
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Direction,
    agreed_by,
    audit,
    audit_decision,
    enter_decision,
    has_settled,
)
from ml_connector.ledger.records import Intent, Record
from ml_connector.ledger.transaction import Transaction
from ml_connector.wire_json import decode, encode

log = logging.getLogger("ml_connector")


@dataclass(slots=True)
class Decided:
    """A record with a decision that writes nothing in BC.

    `facts` are merged into the record's; `wanted` are further BC_ fields it should show; `sent` is
    the content both sides now agree on, None to leave it as it is.
    """

    record: Record
    decision: Decision
    facts: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=dict)
    sent: Mapping[str, Any] | None = None


def store_decided(
    systems: Systems, sobject: str, decided: Sequence[Decided], up_to: int
) -> tuple[Outcome, ...]:
    """Store *decided* and finish their changes in the inbox up to change id *up_to*.

    A record that another worker changed since it was read is left to the next run: its change stays
    in the inbox. Effect: one ledger transaction; an audit entry for each record whose standing
    changed.
    """
    steps = [_Step.enter(systems, each) for each in decided]
    while steps:
        try:
            _store_page(systems, sobject, steps, up_to)
            break
        except StaleClaim as stale:
            left = [step for step in steps if step.record.key != stale.record_id]
            if len(left) == len(steps):
                raise
            log.info("%s Decided again by the next run.", stale.message)
            steps = left
    return tuple(Outcome.of(step.record) for step in steps)


def gone_on_both_sides(record: Record) -> Exclude:
    """Return where a linked record stands that neither Salesforce nor BC has any more."""
    sobject = TARGETS[record.kind].sobject
    partner = "sales order" if record.kind is Kind.ORDER else str(record.kind)
    return Exclude(
        Cause.DELETED,
        f"{sobject} {record.salesforce_number or record.key} was deleted in Salesforce, and so was "
        f"{partner} {record.bc_number} in Business Central.",
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """A record that was brought into its new standing, in memory, and how it stood before."""

    record: Record
    decision: Decision
    standing: tuple[Any, ...]
    before: Mapping[str, Any]

    @classmethod
    def enter(cls, systems: Systems, each: Decided) -> _Step:
        record = each.record
        standing = (record.state, record.cause, record.message, record.bc_id)
        before = {"bc_id": record.bc_id, "bc_number": record.bc_number}
        _enter(systems, each)
        record.facts.update(each.facts)
        record.wanted.update(each.wanted)
        if each.sent is not None:
            record.sent = dict(each.sent)
        record.last_seen_at = systems.clock.now()
        express(record)
        return cls(record, each.decision, standing, before)


def _store_page(systems: Systems, sobject: str, steps: Sequence[_Step], up_to: int) -> None:
    settled = [step.record for step in steps if isinstance(step.decision, Link | Unchanged)]
    with systems.ledger.transaction() as tx:
        answered = _answered(systems, settled)
        older = _rebased({step.record.key: step.record for step in steps}, answered)
        for step in steps:
            _store(tx, systems, step)
        for intent in answered:
            tx.close_intent(intent.id, "adopted", bc_id=intent.bc_id)
        keys = [step.record.key for step in steps if step.record.key not in older]
        tx.finish_changes("salesforce", sobject, keys, up_to_id=up_to)


def _rebased(records: Mapping[str, Record], answered: Sequence[Intent]) -> set[str]:
    """Let records agree on what another worker's creation really wrote, were they edited since.

    Returns the keys of those: their change stays in the inbox, so that the edit is carried over.
    """
    older: set[str] = set()
    for intent in answered:
        record, written = records[intent.key], agreed_by(intent)
        if intent.operation != "create" or written is None or record.sent is None:
            continue
        if written != decode(encode(record.sent)):
            record.sent = written
            older.add(record.key)
    return older


def _answered(systems: Systems, records: Sequence[Record]) -> list[Intent]:
    """Return earlier attempts that a look into BC has answered: the record is there and equal.

    A change that may still arrive is not answered by that: both sides can be equal because the rep
    took the edit back. It is looked for again until it has settled.
    """
    if not records:
        return []
    found = systems.ledger.intents(records[0].kind, [record.key for record in records])
    sent = [intent for intents in found.values() for intent in intents if intent.sent_at]
    return [
        intent for intent in sent if intent.operation == "create" or has_settled(systems, intent)
    ]


def _store(tx: Transaction, systems: Systems, step: _Step) -> None:
    record = step.record
    tx.save(record)
    if isinstance(step.decision, Link):
        audit(
            tx,
            systems,
            record,
            direction=Direction.DECISION,
            action="link",
            rule=step.decision.rule,
            outcome="done",
            before=step.before,
            after={"bc_id": record.bc_id, "bc_number": record.bc_number},
        )
    elif (record.state, record.cause, record.message, record.bc_id) != step.standing:
        audit_decision(tx, systems, record)


def _enter(systems: Systems, each: Decided) -> None:
    record = each.record
    now = systems.clock.now()
    match each.decision:
        case Link(bc_id=bc_id, bc_number=number):
            record.bc_id, record.bc_number = bc_id.lower(), number
            record.enter(State.WRITTEN, now=now)
        case Unchanged(bc_id=bc_id, bc_number=number):
            record.bc_id, record.bc_number = bc_id.lower(), number
            if not held_fields(record) & differences(record).keys():
                record.enter(State.UNCHANGED, now=now)
        case Wait() | Park() | Exclude():
            enter_decision(systems, record, each.decision)
        case Create() | Update() | Delete():
            raise ValueError(f"{each.decision!r} needs a write")
