"""Find out what became of writes whose answers are lost, before anything is decided anew."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import RecordError, StaleClaim
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Direction,
    Written,
    agreed_by,
    as_sent,
    audit,
    claimed,
    close_attempt,
    fresh_record,
    has_settled,
    label,
)
from ml_connector.ledger.records import Intent, Record

log = logging.getLogger("ml_connector")

Look = Callable[[Intent, Mapping[str, Any] | None], Written | None]
"""Returns what an attempt wrote, given also the content both sides agree on if it did."""


def settle_lost_writes(
    systems: Systems,
    kind: Kind,
    keys: Sequence[str],
    look: Look,
    complete: Callable[[Record, Intent], None],
) -> None:
    """Find out what became of earlier writes of *keys* whose answers are lost, before deciding.

    What came through is linked with the content that was sent then, so an edit made since is
    carried over as an edit. What did not, and cannot any more, is abandoned; what still may is left
    alone. *look* returns what an attempt wrote, *complete* fills in the record in memory.
    Effect: a look into BC per lost answer; nothing otherwise. Raises: TransientError.
    """
    lost = {
        key: [intent for intent in intents if intent.sent_at is not None]
        for key, intents in systems.ledger.intents(kind, keys).items()
    }
    if not any(lost.values()):
        return
    with claimed(systems, kind, list(lost)) as claims:
        for key, intents in lost.items():
            for intent in intents if key in claims else ():
                try:
                    _settle_lost(systems, claims, intent, look, complete)
                except StaleClaim as stale:
                    log.info("%s", stale.message)


def _settle_lost(
    systems: Systems,
    claims: Claims,
    intent: Intent,
    look: Look,
    complete: Callable[[Record, Intent], None],
) -> None:
    record = fresh_record(systems, intent.kind, intent.key)
    try:
        written = look(as_sent(intent), agreed_by(intent))
    except RecordError as fault:
        log.info("%s: %s", label(record), fault.message)
        written = None
    if written is None:
        if has_settled(systems, intent):
            close_attempt(systems, claims, record, intent, "abandoned")
        return
    record.bc_id, record.bc_number = written.bc_id, written.bc_number
    record.sent = agreed_by(intent) or {**(record.sent or {}), **as_sent(intent).payload}
    record.enter(State.WRITTEN, now=systems.clock.now())
    complete(record, as_sent(intent))
    with systems.ledger.transaction() as tx:
        tx.save(record, fence=claims.fence(record.key))
        tx.close_intent(intent.id, "adopted", bc_id=written.bc_id)
        audit(
            tx,
            systems,
            record,
            direction=Direction.TO_BUSINESS_CENTRAL,
            action=intent.operation,
            rule="answer_was_lost",
            outcome="adopted",
            after=as_sent(intent).payload,
        )
