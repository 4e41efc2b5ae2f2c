"""What every writer does before and after its writes."""

from __future__ import annotations

from collections.abc import Sequence

from ml_connector.exchange.collect import content_digest, shown_fields
from ml_connector.exchange.outcome import Outcome, Planned
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import fresh_record
from ml_connector.ledger.records import Record


def planned_record(systems: Systems, plan: Planned) -> Record:
    """Return the ledger's record of *plan* as it is now, with what its source row shows."""
    record = fresh_record(systems, plan.kind, plan.key, plan.number)
    record.salesforce_number = plan.number
    record.source_stamp = content_digest(plan.row)
    record.shown = shown_fields(plan.row, record.wanted)
    record.last_seen_at = systems.clock.now()
    return record


def finish_plans(
    systems: Systems, sobject: str, plans: Sequence[Planned], outcomes: Sequence[Outcome]
) -> None:
    """Mark the changes behind *plans* as done: each plan's record has a state of its own now.

    What another worker holds or wrote stays in the inbox, since that worker may have read older
    content.
    """
    open_ones = {each.key for each in outcomes if not each.is_final}
    done = [plan.key for plan in plans if plan.key not in open_ones]
    if not done:
        return
    up_to = min(plan.up_to for plan in plans)
    with systems.ledger.transaction() as tx:
        tx.finish_changes("salesforce", sobject, done, up_to_id=up_to)
