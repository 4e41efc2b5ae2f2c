"""`ml-connector sync NAME`: the main job, run in this process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import STUCK, Result, run_command, said_of
from ml_connector.cli.record_tables import counts_table, records_table
from ml_connector.cli.sync_plan import is_plan_id, plan_connection, require_fresh_plan
from ml_connector.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from ml_connector.exchange.report import SyncReport


EVERYTHING = 100.0
"""What a person has seen and applies is not stopped by the guard."""

PlanOption = Annotated[
    bool, typer.Option("--plan", help="Write nothing; show what a sync would do and cost.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="With --plan: save the plan, to be applied later."),
]
Apply = Annotated[
    Path | None,
    typer.Option(
        "--apply",
        metavar="PLAN",
        help="Do what a plan says, by its file or its id, if it still holds; else stop.",
    ),
]
AllowChanges = Annotated[
    float | None,
    typer.Option(
        "--allow-changes",
        metavar="PERCENT",
        min=0,
        max=100,
        help="Share of linked records this run may change, in place of the guard's.",
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """How the run was asked for."""

    plan: bool = False
    out: Path | None = None
    apply: Path | None = None
    allow_changes: float | None = None

    def require_sense(self) -> None:
        """Refuse options that exclude each other. Raises: ConfigurationError code `options`."""
        if self.apply is not None and self.plan:
            wrong = "--plan and --apply exclude each other"
        elif self.out is not None and not self.plan:
            wrong = "--out needs --plan"
        else:
            return
        raise ConfigurationError(
            f"{wrong}.", code="options", remedy="See `ml-connector sync --help`."
        )


def sync(
    name: Name,
    plan: PlanOption = False,
    out: Out = None,
    apply: Apply = None,
    allow_changes: AllowChanges = None,
    as_json: Json = False,
) -> None:
    """Bring the connection NAME into agreement once: catalog, customers, orders, invoices, status.

    Exit code 0 when nothing waits or is parked, 1 when something does, 2 when it did not run: also
    when it would change too much, or a saved plan is stale. A plan always ends with 0.
    """
    asked = Asked(plan, out, apply, allow_changes)
    run_command(lambda: sync_connection(name, asked), as_json=as_json)


async def sync_connection(name: str, asked: Asked | None = None) -> Result:
    """Run the `sync` flow for the connection *name* and return its report, or its plan.

    Raises: ConnectorError when the run could not begin or was ended by a fault that no record has.
    """
    asked = asked or Asked()
    asked.require_sense()
    if asked.plan:
        return await plan_connection(name, asked.out)
    allowed = asked.allow_changes
    plan_id = ""
    if asked.apply is not None:
        if is_plan_id(asked.apply):
            plan_id = str(asked.apply)
        else:
            await require_fresh_plan(name, asked.apply)
            allowed = EVERYTHING
    from flows.sync import sync as sync_flow
    from ml_connector.exchange.report import SyncReport
    from tasks.batches import BatchesFailed

    try:
        report = await sync_flow(name, allow_changes=allowed, apply_plan=plan_id)
    except BatchesFailed as fault:
        report = await _report_of(name, fault.flow_run_id)
        report.exit_code = STUCK
        return _result(report, fault)
    if not isinstance(report, SyncReport):
        raise TypeError("the flow was not asked for a plan")
    return _result(report, None)


def _result(report: SyncReport, fault: ConnectorError | None) -> Result:
    """Return the result of a run, with the fault of a service that stayed away for a part of it."""
    document = report.to_json()
    if fault is not None:
        document["fault"] = said_of(fault)

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
