"""How a connection is doing, on one page of the Prefect UI that keeps its history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.utilities.urls import url_for

from ml_connector.domain.identifiers import State
from ml_connector.exchange.budgets import TITLES, budgets
from ml_connector.exchange.cause_groups import cause_groups
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.systems import Systems
from tasks.batches import Scope
from tasks.run_artifacts import cell, short

WELL = ("live", "polled")
"""States of a feed that need nobody."""

CAUSES = 50
NUMBERS = 5
"""Causes, and records of each, that the page names; `ml-connector status` has all."""


@task(
    name="publish-health",
    task_run_name="publish health",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_health(scope: Scope) -> None:
    """Write how the connection is doing as an artifact, one history per connection."""
    name = scope.systems.settings.name
    told, text = await scope.run(lambda systems: (in_short(systems), health_text(systems)))
    await acreate_markdown_artifact(text, key=f"health-{name}", description=told)


def in_short(systems: Systems) -> str:
    """Return the connection's health in one line: `6 parked, 5 waiting, feeds well`."""
    counts = _counts(systems)
    stuck = [f"{counts[state]} {state}" for state in (State.PARKED, State.WAITING) if counts[state]]
    ill = [f"{row['name']} {row['state']}" for row in feeds(systems) if row["state"] not in WELL]
    return ", ".join([*(stuck or ["nothing parked or waiting"]), *(ill or ["feeds well"])])


def health_text(systems: Systems) -> str:
    """Return the markdown of the page: every section that has something to say."""
    lines = [f"# Health of {systems.settings.name}"]
    for title, section in SECTIONS:
        body = section(systems)
        if body:
            lines += ["", f"## {title}", "", *body]
    return "\n".join(lines)


def records_section(systems: Systems) -> list[str]:
    """Return how many records of each kind are in each state."""
    counts = systems.ledger.counts()
    if not counts:
        return ["No record was seen yet; run `sync`."]
    return table(
        ("kind", *State),
        [(kind, *(states.get(state, 0) for state in State)) for kind, states in counts.items()],
    )


def causes_section(systems: Systems) -> list[str]:
    """Return what waits or is parked, one line per thing that somebody has to cure."""
    rows = [
        (
            cell(group.sentence),
            group.owner,
            cell(group.remedy),
            cell(", ".join(short(number) for number in group.numbers[:NUMBERS])),
            moment(group.since),
        )
        for group in cause_groups(systems)[:CAUSES]
    ]
    return table(("what", "who", "remedy", "records", "since"), rows) if rows else []


def feeds_section(systems: Systems) -> list[str]:
    """Return the state and the lag of every feed."""
    rows = [
        (
            cell(row["name"]),
            row["state"],
            row["lag_seconds"],
            (row["last_confirmed_at"] or "")[:19].replace("T", " "),
            cell(str(row.get("message") or "")),
        )
        for row in feeds(systems)
    ]
    headings = ("feed", "state", "lag in seconds", "everything known up to (UTC)", "message")
    return table(headings, rows) if rows else []


def budgets_section(systems: Systems) -> list[str]:
    """Return how much of the vendors' allowances is used."""
    rows = [
        (
            TITLES[each.name],
            each.used,
            each.limit,
            f"{100 * each.used // each.limit} %" if each.limit else "",
            each.forecast,
            each.reserved,
            each.state,
        )
        for each in budgets(systems)
    ]
    return table(("allowance", "used", "of", "", "expected", "kept for orders", "state"), rows)


def runs_section(systems: Systems) -> list[str]:
    """Return when the connection was last synced and last reconciled, and how that ended."""
    rows = []
    for name in ("sync", "reconcile"):
        run = systems.ledger.last_run(name)
        if run is None:
            rows.append((name, "never", "", ""))
            continue
        address = url_for("flow-run", obj_id=run.flow_run_id) if run.flow_run_id else None
        began = moment(run.started_at)
        told = ", ".join(f"{count} {what}" for what, count in run.counts.items() if count)
        end = {None: "not ended", 0: "nothing open"}.get(run.exit_code, "needs someone")
        rows.append((name, f"[{began}]({address})" if address else began, end, cell(told)))
    return table(("run", "last begun (UTC)", "ended", "counts"), rows)


SECTIONS: Sequence[tuple[str, Callable[[Systems], list[str]]]] = (
    ("Records", records_section),
    ("What to do", causes_section),
    ("Feeds", feeds_section),
    ("Budgets", budgets_section),
    ("Last runs", runs_section),
)
"""The page from top to bottom; a section that returns no lines is left out."""


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a markdown table; numbers stand at the right."""
    numeric = [all(isinstance(row[at], int) for row in rows) for at in range(len(headings))]
    return [
        f"| {' | '.join(headings)} |",
        f"|{'|'.join('---:' if each else '---' for each in numeric)}|",
        *(f"| {' | '.join(str(value) for value in row)} |" for row in rows),
    ]


def moment(at: datetime) -> str:
    """Return an instant to the minute, as people read it."""
    return f"{at:%d %b %H:%M}"


def _counts(systems: Systems) -> Counter[str]:
    counts: Counter[str] = Counter()
    for states in systems.ledger.counts().values():
        counts.update({str(state): number for state, number in states.items()})
    return counts
