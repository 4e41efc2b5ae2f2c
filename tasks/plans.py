"""Plans in the Prefect UI: make one, stop a run that would change too much, show what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from ml_connector.exchange.guard import require_allowed
from ml_connector.exchange.plan import Plan, make_plan
from ml_connector.exchange.plan_file import keep_plan, kept_plan, require_fresh
from tasks.batches import Scope
from tasks.open_systems import in_this_task
from tasks.retry_policy import EFFECT
from tasks.run_artifacts import cell, short
from tasks.run_labels import name_run

ROWS = 500
"""Changes the artifact shows; the saved plan has them all."""

WIDTH = 80


@task(name="plan-sync", task_run_name="plan sync", **EFFECT)
async def plan_sync(scope: Scope) -> Plan:
    """Rehearse the whole sync and return what it would do; nothing is written in either system.

    Effect: the plan is kept in the ledger under the run's id, so that a run can apply it.
    """

    def draw() -> Plan:
        plan = make_plan(scope.systems)
        keep_plan(scope.systems, plan)
        return plan

    return await asyncio.to_thread(draw)


@task(name="check-plan", task_run_name="check that the plan still holds", **EFFECT)
async def check_plan(scope: Scope, plan_id: str) -> None:
    """Stop the run when the kept plan does not exist or is no longer true."""

    def check() -> None:
        systems = in_this_task(scope.systems)
        require_fresh(systems, kept_plan(systems, plan_id))

    await asyncio.to_thread(check)


@task(name="guard-changes", task_run_name="guard against too many changes", **EFFECT)
async def guard_changes(scope: Scope, allow_changes: float | None) -> None:
    """Stop the run before it writes when it would change too much of what exists."""
    allowed = None if allow_changes is None else Decimal(str(allow_changes))

    def check() -> None:
        require_allowed(in_this_task(scope.systems), allowed)

    await asyncio.to_thread(check)


class Drawn:
    """A plan to publish. A plain object, so that Prefect does not look inside."""

    __slots__ = ("plan",)

    def __init__(self, plan: Plan) -> None:
        self.plan = plan


@task(name="publish-plan", task_run_name="publish plan", **EFFECT)
async def publish_plan(scope: Scope, drawn: Drawn) -> None:
    """Write the plan as artifacts: counts, money, calls and guard, then every change."""
    systems, plan = scope.systems, drawn.plan
    name = systems.settings.name
    told = f"plan: {', '.join(f'{n} {action}' for action, n in plan.actions.items()) or 'nothing'}"
    await name_run(name, told)
    await acreate_markdown_artifact(plan_text(plan.to_json()), key=f"plan-{name}", description=told)
    rows = change_rows(plan)
    if rows:
        await acreate_table_artifact(
            rows,
            key=f"plan-{name}-changes",
            description=f"Each change, field by field.{_rest(name, len(plan.changes))}",
        )


def _rest(name: str, count: int) -> str:
    """Return where to find what is beyond the rows shown, "" when all are."""
    if count <= ROWS:
        return ""
    return f" The first {ROWS} of {count}; `ml-connector sync {name} --plan --json` lists all."


def plan_text(document: Mapping[str, Any]) -> str:
    """Return the markdown of a plan: what it would do in all, and what stands still."""
    lines = [f"# plan: {document['connection']}", "", "Nothing was written.", ""]
    lines += ["| action | records |", "|---|---:|"]
    lines += [f"| {action} | {count} |" for action, count in document["actions"].items()]
    if not document["actions"]:
        lines.append("| nothing to do | 0 |")
    lines += ["", "| would cost | reads | writes |", "|---|---:|---:|"]
    for system, calls in document["calls"].items():
        lines.append(f"| {system} | {calls['reads']} | {calls['writes']} |")
    if document["money"]:
        lines += [
            "",
            "| currency | orders created | net | orders changed | net before | net after |"
            " orders deleted | net | invoices posted | with tax |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
    lines += [
        f"| {' | '.join(str(value) for value in row.values())} |" for row in document["money"]
    ]
    lines += [
        "",
        f"Apply it: start `sync` with apply_plan = `{document['plan_id'][:8]}`. It is refused when"
        " anything it was concluded from has changed.",
    ]
    guard = document["guard"]
    if guard["stops"]:
        lines += [
            "",
            f"**A sync would stop:** it would change {'; '.join(guard['reasons'])}. "
            f"allow_changes {guard['allow_changes']} lets it through.",
        ]
    stuck = [row for row in document["records"] if row["state"] in ("waiting", "parked")]
    if stuck:
        lines += ["", "| record | state | why |", "|---|---|---|"]
    for row in stuck[:ROWS]:
        number = row["salesforce_number"] or row["bc_number"] or row["salesforce_id"]
        lines.append(
            f"| {row['kind']} {cell(short(number))} | {row['state']} | {cell(row['message'])} |"
        )
    rest = _rest(document["connection"], len(stuck))
    if rest:
        lines += ["", rest.strip()]
    return "\n".join(lines)


def change_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the table of changes, one row per record and action."""
    return [
        {
            "record": f"{change.kind} {short(change.salesforce_number or change.key)}",
            "business central": change.bc_number,
            "action": change.action,
            "in": change.system.replace("_", " "),
            "rule": change.rule,
            "what": change.message or fields_text(change.to_json()["fields"]),
        }
        for change in plan.changes[:ROWS]
    ]


def fields_text(fields: list[dict[str, Any]]) -> str:
    """Return field differences in one line."""
    return "; ".join(
        f"{each['field']}: {_value(each['before'])} → {_value(each['after'])}"
        if each["before"] is not None
        else f"{each['field']}: {_value(each['after'])}"
        for each in fields
    )


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
