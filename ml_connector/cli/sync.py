"""`ml-connector sync NAME`: the main job, run in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import STUCK, Result, run_command
from ml_connector.cli.record_tables import counts_table, records_table
from ml_connector.errors import ConnectorError

if TYPE_CHECKING:
    from ml_connector.exchange.report import SyncReport


def sync(name: Name, as_json: Json = False) -> None:
    """Bring the connection NAME into agreement once: catalog, customers, orders, invoices, status.

    Exit code 0 when nothing waits or is parked, 1 when something does, 2 when it did not run.
    """
    run_command(lambda: sync_connection(name), as_json=as_json)


async def sync_connection(name: str) -> Result:
    """Run the `sync` flow for the connection *name* and return its report.

    Raises: ConnectorError when the run could not begin or was ended by a fault that no record has.
    """
    from flows.sync import sync as sync_flow
    from tasks.batches import BatchesFailed

    state = await sync_flow(name, return_state=True)
    outcome: Any = await state.aresult(raise_on_failure=False)
    if isinstance(outcome, BatchesFailed):
        report = await _report_of(name, str(state.state_details.flow_run_id))
        report.exit_code = STUCK
        return _result(report, outcome)
    if isinstance(outcome, BaseException):
        raise outcome
    return _result(outcome, None)


def _result(report: SyncReport, fault: ConnectorError | None) -> Result:
    """Return the result of a run, with the fault of a service that stayed away for a part of it."""
    document = report.to_json()
    if fault is not None:
        document["fault"] = {
            "code": fault.code,
            "message": fault.message,
            "remedy": fault.remedy,
        }

    def say(console: Console) -> None:
        say_report(console, report)
        if fault is not None:
            console.print(f"{fault.message} {fault.remedy}", markup=False, style="red")

    return Result(document, report.exit_code, say)


async def _report_of(name: str, flow_run_id: str) -> SyncReport:
    """Return the report of a run that dealt with every record but could not write some."""
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.report import run_report
    from ml_connector.exchange.systems import Systems

    settings = await load_connection(name)

    def read() -> SyncReport:
        with Systems.open(settings) as systems:
            return run_report(systems, flow_run_id)

    return await asyncio.to_thread(read)


def say_report(console: Console, report: SyncReport) -> None:
    """Print counts by kind, and the records that need someone."""
    console.print(counts_table(report.by_kind))
    stuck = [each for each in report.records if each["state"] in ("waiting", "parked")]
    if stuck:
        console.print(records_table(stuck))
    console.print(f"flow run {report.flow_run_id}", style="dim", highlight=False)
