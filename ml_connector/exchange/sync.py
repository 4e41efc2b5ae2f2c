"""The main job without an orchestrator: the same phases in the same order as the `sync` flow.

Crash examinations and benchmarks drive it; people run the flow.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.exchange.budgets import note_budgets, refresh_budgets
from ml_connector.exchange.guard import require_allowed
from ml_connector.exchange.phases import run_phase, sync_phases, windows
from ml_connector.exchange.report import SyncReport, begin_run, run_report
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.run_ids import RunIds

__all__ = ["run_phase", "run_sync", "sync_phases", "windows"]


def run_sync(
    settings: ConnectionSettings,
    run: RunIds | None = None,
    *,
    allow_changes: Decimal | None = None,
) -> SyncReport:
    """Do the whole main job once and return its report.

    *allow_changes* takes the place of the guard's percentage for this run.

    Raises: GuardTripped before anything is written; TransientError at the end when a vendor was not
    available for some records, and everything else was dealt with by then.
    """
    ids = run or RunIds(flow_run_id=str(uuid4()))
    with Systems.open(settings, ids) as systems:
        refresh_budgets(systems)
        require_allowed(systems, allow_changes)
        begin_run(systems, "sync")
        fault = sync_phases(systems)
        note_budgets(systems)
        report = run_report(systems, ids.flow_run_id)
    if fault is not None:
        raise fault
    return report
