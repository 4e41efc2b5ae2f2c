"""Store decisions that need no BC write: a page of records in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.domain.decision import (
    Create,
    Decision,
    Exclude,
    Link,
    Park,
    Unchanged,
    Update,
    Wait,
)
from ml_connector.domain.identifiers import State
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.show import express
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Direction,
    audit,
    audit_decision,
    enter_decision,
)
from ml_connector.ledger.records import Intent, Record
from ml_connector.ledger.transaction import Transaction


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

    Effect: one ledger transaction; an audit entry for each record whose standing changed.
    """
    settled = [each for each in decided if isinstance(each.decision, Link | Unchanged)]
    intents = _unresolved(systems, settled)
    with systems.ledger.transaction() as tx:
        for each in decided:
            _store(tx, systems, each)
        for intent in intents:
            tx.close_intent(intent.id, "adopted", bc_id=intent.bc_id)
        tx.finish_changes(
            "salesforce", sobject, [each.record.key for each in decided], up_to_id=up_to
        )
    return tuple(Outcome.of(each.record) for each in decided)


def _unresolved(systems: Systems, decided: Sequence[Decided]) -> list[Intent]:
    """Return earlier attempts that a look into BC has answered: the record is there and equal."""
    if not decided:
        return []
    kind = decided[0].record.kind
    found = systems.ledger.intents(kind, [each.record.key for each in decided])
    return [intent for intents in found.values() for intent in intents if intent.sent_at]


def _store(tx: Transaction, systems: Systems, each: Decided) -> None:
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
    tx.save(record)
    if isinstance(each.decision, Link):
        audit(
            tx,
            systems,
            record,
            direction=Direction.DECISION,
            action="link",
            rule=each.decision.rule,
            outcome="done",
            before=before,
            after={"bc_id": record.bc_id, "bc_number": record.bc_number},
        )
    elif (record.state, record.cause, record.message, record.bc_id) != standing:
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
            record.enter(State.UNCHANGED, now=now)
        case Wait() | Park() | Exclude():
            enter_decision(systems, record, each.decision)
        case Create() | Update():
            raise ValueError(f"{each.decision!r} needs a write")
