"""What every writer does before and after its writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import TransientError
from ml_connector.exchange.collect import content_digest, shown_fields
from ml_connector.exchange.outcome import Outcome, Planned
from ml_connector.exchange.reading import SOBJECTS
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Claims, claimed, fresh_record
from ml_connector.ledger.records import Record


def planned_record(systems: Systems, plan: Planned) -> Record:
    """Return the ledger's record of *plan* as it is now, with what its source row shows."""
    record = fresh_record(systems, plan.kind, plan.key, plan.number)
    record.salesforce_number = plan.number
    record.source_stamp = content_digest(plan.row)
    record.shown = shown_fields(plan.row, record.wanted)
    record.last_seen_at = systems.clock.now()
    return record


def write_each(
    systems: Systems,
    kind: Kind,
    plans: Sequence[Planned],
    write: Callable[[Claims, Planned], tuple[Outcome, TransientError | None]],
    *,
    complete: Callable[[Claims, list[Outcome]], list[Outcome]] | None = None,
) -> list[Outcome]:
    """Write every plan under the claims of *kind*, whatever becomes of the others.

    *write* deals with one plan; *complete* may still change the outcomes while the claims are held.
    Effect: the changes behind plans of Salesforce records are done in the inbox.
    Raises: the first TransientError, after every other plan was dealt with.
    """
    outcomes: list[Outcome] = []
    faults: list[TransientError] = []
    with claimed(systems, kind, [plan.key for plan in plans]) as claims:
        for plan in plans:
            outcome, fault = write(claims, plan)
            outcomes.append(outcome)
            faults += [fault] if fault is not None else []
        if complete is not None:
            outcomes = complete(claims, outcomes)
    if kind in SOBJECTS:
        finish_plans(systems, SOBJECTS[kind].__name__, plans, outcomes)
    if faults:
        raise faults[0]
    return outcomes


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
