"""What a run has done, and what stands in the connection, as values and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml_connector.domain.identifiers import State
from ml_connector.exchange.addresses import Addresses
from ml_connector.exchange.budgets import budgets
from ml_connector.exchange.cause_groups import cause_groups
from ml_connector.exchange.feed_report import feeds, instant_text
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record, Run

__all__ = [
    "SyncReport",
    "begin_run",
    "connection_status",
    "end_run",
    "exit_code",
    "feeds",
    "instant_text",
    "run_report",
]

LISTED = (State.WRITTEN, State.WAITING, State.PARKED, State.EXCLUDED)


@dataclass(slots=True)
class SyncReport:
    """The whole connection after a run: every record in one state."""

    connection: str
    flow_run_id: str
    started_at: datetime
    ended_at: datetime
    exit_code: int
    counts: dict[str, int]
    by_kind: dict[str, dict[str, int]]
    records: list[dict[str, Any]] = field(default_factory=list)
    plan: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the `sync --json` document."""
        return {
            "connection": self.connection,
            "flow_run_id": self.flow_run_id,
            "plan": self.plan,
            "started_at": instant_text(self.started_at),
            "ended_at": instant_text(self.ended_at),
            "exit_code": self.exit_code,
            "counts": self.counts,
            "by_kind": self.by_kind,
            "records": self.records,
        }


def begin_run(systems: Systems, name: str) -> None:
    """Remember that the run of `systems.run.flow_run_id` has begun."""
    with systems.ledger.transaction() as tx:
        tx.start_run(systems.run.flow_run_id, name, systems.clock.now())


def end_run(systems: Systems, name: str, code: int, counts: Mapping[str, int]) -> None:
    """Remember that the run of `systems.run.flow_run_id` has ended, and what it counted."""
    now = systems.clock.now()
    run = systems.ledger.run(systems.run.flow_run_id)
    began = run.started_at if run is not None else now
    with systems.ledger.transaction() as tx:
        tx.finish_run(systems.run.flow_run_id, name, began, now, code, counts)


def state_in_run(record: Record, started_at: datetime) -> State:
    """Return the record's state as the run sees it: what it did not touch is unchanged."""
    if record.state is State.WRITTEN and record.last_seen_at < started_at:
        return State.UNCHANGED
    return record.state


def _all_records(systems: Systems) -> Iterator[Record]:
    for page in systems.ledger.iterate():
        yield from page


def run_report(systems: Systems, flow_run_id: str) -> SyncReport:
    """Return the report of the run *flow_run_id* and close it in the ledger.

    Counts cover every record of the connection: those the run did not touch count as unchanged.
    The listed records are those that are not unchanged; excluded ones only when the run saw them.
    """
    run: Run | None = systems.ledger.run(flow_run_id)
    ended_at = systems.clock.now()
    started_at = run.started_at if run is not None else ended_at
    counts: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {}
    listed: list[dict[str, Any]] = []
    addresses = Addresses(systems.settings)
    for record in _all_records(systems):
        state = state_in_run(record, started_at)
        counts[state] += 1
        by_kind.setdefault(record.kind, Counter())[state] += 1
        if state in LISTED and not (state is State.EXCLUDED and record.last_seen_at < started_at):
            listed.append(addresses.report(record))
    code = 1 if counts[State.WAITING] or counts[State.PARKED] else 0
    report = SyncReport(
        connection=systems.settings.name,
        flow_run_id=flow_run_id,
        started_at=started_at,
        ended_at=ended_at,
        exit_code=code,
        counts=_every_state(counts),
        by_kind={str(kind): _every_state(states) for kind, states in sorted(by_kind.items())},
        records=listed,
    )
    with systems.ledger.transaction() as tx:
        tx.finish_run(
            flow_run_id,
            run.name if run else "sync",
            started_at,
            ended_at,
            code,
            report.counts,
        )
    return report


def _every_state(counts: Counter[str]) -> dict[str, int]:
    return {str(state): counts[state] for state in State}


def exit_code(systems: Systems) -> int:
    """Return 0 when nothing waits or is parked in the connection, else 1."""
    counts = systems.ledger.counts()
    stuck = sum(
        states.get(State.WAITING, 0) + states.get(State.PARKED, 0) for states in counts.values()
    )
    return 1 if stuck else 0


def connection_status(systems: Systems) -> dict[str, Any]:
    """Return the `status --json` document: counts, what is not through, feeds, last run."""
    counts: Counter[str] = Counter()
    for states in systems.ledger.counts().values():
        counts.update({str(state): number for state, number in states.items()})
    addresses = Addresses(systems.settings)
    listed = [
        addresses.report(record)
        for page in systems.ledger.iterate(states=(State.WAITING, State.PARKED, State.EXCLUDED))
        for record in page
    ]
    last = systems.ledger.last_run("sync")
    return {
        "connection": systems.settings.name,
        "counts": {str(state): counts[str(state)] for state in State},
        "groups": [group.to_json() for group in cause_groups(systems)],
        "records": listed,
        "feeds": feeds(systems),
        "budgets": [budget.to_json() for budget in budgets(systems)],
        "last_sync": None
        if last is None
        else {
            "flow_run_id": last.flow_run_id,
            "started_at": instant_text(last.started_at),
            "ended_at": instant_text(last.ended_at),
            "exit_code": last.exit_code,
            "counts": last.counts,
        },
    }
