"""`ml-connector sync NAME --plan` and `--apply`: look before you leap, and leap as looked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml_connector.cli.output import DONE, Result
from ml_connector.cli.record_tables import ROWS, counts_table, records_table

_PLAN_ID = re.compile(r"[0-9a-f-]{8,36}")


async def plan_connection(name: str, out: Path | None) -> Result:
    """Return the plan of a sync of *name*; with *out* it is saved there too.

    Raises: ConnectorError when a system or the connection could not be used.
    """
    from flows.sync import sync as sync_flow
    from ml_connector.exchange.plan import Plan
    from ml_connector.exchange.plan_file import save_plan

    plan = await sync_flow(name, plan=True)
    if not isinstance(plan, Plan):
        raise TypeError("the flow was asked for a plan")
    if out is not None:
        save_plan(plan, out)
    document = plan.to_json()

    def say(console: Console) -> None:
        say_plan(console, document)
        named = out if out is not None else str(document["plan_id"])[:8]
        console.print(f"apply it with: ml-connector sync {name} --apply {named}", markup=False)

    return Result(document, DONE, say)


def is_plan_id(given: Path) -> bool:
    """Tell whether *given* is the id of a kept plan; a file of that name comes first."""
    return bool(_PLAN_ID.fullmatch(str(given))) and not given.exists()


async def require_fresh_plan(name: str, path: Path) -> None:
    """Make sure that the plan saved at *path* still holds for the connection *name*.

    Raises: GuardTripped code `stale_plan`; ConfigurationError when the file is no plan of it.
    """
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.plan_file import load_plan, require_fresh
    from ml_connector.exchange.systems import Systems

    saved = load_plan(path, name)
    settings = await load_connection(name)

    def check() -> None:
        with Systems.open(settings) as systems:
            require_fresh(systems, saved)

    await asyncio.to_thread(check)


def say_plan(console: Console, document: Mapping[str, Any]) -> None:
    """Print a plan: counts, each change, money, cost, and what stands still."""
    console.print(counts_table(document["by_kind"]))
    if document["changes"]:
        console.print(_changes_table(document["changes"]))
    for row in document["money"]:
        console.print(
            f"{row['currency']}: {row['orders_created']} orders created "
            f"({row['created_net']} net), {row['orders_changed']} changed "
            f"({row['changed_net_before']} → {row['changed_net_after']}), "
            f"{row['orders_deleted']} deleted ({row['deleted_net']} net), "
            f"{row['invoices_posted']} invoices posted ({row['posted_including_tax']} with tax)",
            markup=False,
        )
    for system, calls in document["calls"].items():
        console.print(
            f"{system.replace('_', ' ')}: {calls['reads']} reads, {calls['writes']} writes",
            style="dim",
        )
    stuck = [each for each in document["records"] if each["state"] in ("waiting", "parked")]
    if stuck:
        console.print(records_table(stuck))
    guard = document["guard"]
    if guard["stops"]:
        console.print(
            f"A sync would stop: it would change {'; '.join(guard['reasons'])}. "
            f"--allow-changes {guard['allow_changes']} lets it through.",
            style="yellow",
            markup=False,
        )
    console.print("This was a plan; nothing was written.", style="dim")


def _changes_table(changes: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("record", "would", "fields or reason"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "would")
    for change in changes[:ROWS]:
        number = change["salesforce_number"] or change["bc_number"] or change["salesforce_id"]
        what = change["message"] or ", ".join(_field(each) for each in change["fields"])
        table.add_row(
            Text(f"{change['kind']} {number}"),
            Text(f"{change['action']} {change['system'].replace('_', ' ')}".strip()),
            Text(what),
        )
    if len(changes) > ROWS:
        table.add_row(Text(f"… {len(changes) - ROWS} more"), "", Text("--json lists all"))
    return table


def _field(difference: Mapping[str, Any]) -> str:
    name, before, after = difference["field"], difference["before"], difference["after"]
    if isinstance(after, list):
        return f"{name} ({len(after)})"
    return f"{name} {before} → {after}" if before is not None else f"{name} {after}"
