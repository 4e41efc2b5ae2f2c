"""What a run leaves in the Prefect UI: counts, money, and a table of records with their links."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from ml_connector.domain.causes import CATALOGUE, Cause
from ml_connector.domain.identifiers import State
from ml_connector.domain.money import Money
from ml_connector.exchange.checks import CheckLine
from ml_connector.exchange.outcome import Outcome
from tasks.batches import PhaseResult, Scope
from tasks.links import Links, links_of
from tasks.run_labels import name_run

log = logging.getLogger("ml_connector")

ROWS = 200
"""Rows of the table in the summary; the ledger and `ml-connector status` have all."""

NAME_WIDTH = 40

NAMED_ONE_BY_ONE = 2
"""Up to so many records the run's name tells one by one."""

_URGENCY = {
    state: place
    for place, state in enumerate(
        (State.PARKED, State.WAITING, State.WRITTEN, State.EXCLUDED, State.UNCHANGED)
    )
}


class Summary:
    """The results to publish. A plain object, so that Prefect does not look inside."""

    __slots__ = ("results",)

    def __init__(self, *results: PhaseResult) -> None:
        self.results = results


@task(
    name="publish-summary",
    task_run_name="publish summary",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_summary(
    scope: Scope, flow_name: str, titles: Sequence[str], work: Summary
) -> None:
    """Write the run's summary and its table of records as artifacts, one history per connection.

    Effect: the run is named after what it did, so that it is found by a record's number.
    """
    systems = scope.systems
    for title, result in zip(titles, work.results, strict=True):
        log.info("%s: %s", title, result)
    links = await links_of(systems)
    name = systems.settings.name
    told = told_in_short(titles, work.results)
    await name_run(name, told)
    text = summary_text(name, flow_name, titles, work.results, links)
    await acreate_markdown_artifact(text, key=f"{flow_name}-{name}", description=told)
    rows = record_rows(work.results, links)
    if rows:
        await acreate_table_artifact(
            rows,
            key=f"{flow_name}-{name}-records",
            description="Every record that is not unchanged, to search and to sort.",
        )


def told_in_short(titles: Sequence[str], results: Sequence[PhaseResult]) -> str:
    """Return what a run did in one line: `orders 24, invoices 3 written; 2 waiting`.

    Few records are told one by one, by their numbers.
    """
    news = [each for each in _records(results) if each.state is not State.EXCLUDED]
    if 0 < len(news) <= NAMED_ONE_BY_ONE:
        return "; ".join(
            f"{each.kind} {short(each.number or each.key)} {each.state}" for each in news
        )
    written = [
        f"{title} {count}"
        for title, result in zip(titles, results, strict=True)
        for count in [result.counts.get(State.WRITTEN, 0)]
        if count
    ]
    shown = sum(result.shown.get(State.WRITTEN, 0) for result in results)
    told = [f"{', '.join(written)} written"] if written else []
    told += [f"{shown} shown in Salesforce"] if shown and not written else []
    for state in (State.WAITING, State.PARKED):
        count = sum(result.in_all().get(state, 0) for result in results)
        told += [f"{count} {state}"] if count else []
    if any(result.faults for result in results):
        told.append("not everything could be done")
    return "; ".join(told) or "nothing new"


def summary_text(
    connection: str,
    flow_name: str,
    titles: Sequence[str],
    results: Sequence[PhaseResult],
    links: Links,
) -> str:
    """Return the markdown of a run: counts and money per phase, what to do, then the records."""
    lines = [f"# {flow_name} of {connection}", "", *_counts(titles, results)]
    faults = [fault for result in results for fault in result.faults]
    if faults:
        lines += [
            "",
            f"**{len(faults)} batch(es) failed:** {cell(str(faults[0]))} Retry the run once the"
            " service answers again; it writes only what is missing.",
        ]
    records = _records(results)
    lines += _what_to_do(records)
    if records:
        lines += [
            "",
            "## Records",
            "",
            "| record | state | why | Salesforce | Business Central | audit |",
            "|---|---|---|---|---|---|",
        ]
    lines += [_record_line(outcome, links) for outcome in records[:ROWS]]
    if len(records) > ROWS:
        lines += [
            "",
            f"… and more; `ml-connector status {connection}` lists all that need someone.",
        ]
    lines += ["", f"Everything that stands: `ml-connector status {connection}`."]
    return "\n".join(lines)


def _counts(titles: Sequence[str], results: Sequence[PhaseResult]) -> list[str]:
    states = list(State)
    lines = [
        "| | " + " | ".join(states) + " | shown in Salesforce | worth |",
        "|---|" + "---:|" * (len(states) + 2),
    ]
    for title, result in zip(titles, results, strict=True):
        cells = [str(result.counts.get(state, 0)) for state in states]
        cells += [str(result.shown.get(State.WRITTEN, 0)), worth(result.money)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    if any(result.money for result in results):
        lines += ["", "Worth of what was written: orders net, invoices with tax."]
    return lines


def _what_to_do(records: Sequence[Outcome]) -> list[str]:
    """Return one line per cause that a person or another record has to cure."""
    stuck = Counter(
        outcome.cause for outcome in records if outcome.state in (State.PARKED, State.WAITING)
    )
    if not stuck:
        return []
    lines = ["", "## What to do", "", "| cause | records | who | remedy |", "|---|---:|---|---|"]
    for cause, count in stuck.most_common():
        entry = CATALOGUE.get(Cause(cause)) if cause in Cause.__members__.values() else None
        owner, remedy = (str(entry.owner), entry.remedy) if entry else ("", "")
        lines.append(f"| {cause} | {count} | {owner} | {cell(remedy)} |")
    return lines


def _record_line(outcome: Outcome, links: Links) -> str:
    record = f"{outcome.kind} {cell(short(outcome.number or outcome.key))}"
    why = cell(f"{outcome.message} ({outcome.cause})") if outcome.cause else ""
    return (
        f"| {record} | {outcome.state} | {why} | {links.salesforce_cell(outcome)} |"
        f" {links.business_central_cell(outcome)} | {links.audit_cell(outcome)} |"
    )


def _records(results: Sequence[PhaseResult]) -> list[Outcome]:
    """Return the records worth naming, the urgent ones first."""
    named = [outcome for result in results for outcome in result.details]
    return sorted(named, key=lambda outcome: _URGENCY[outcome.state])


def record_rows(results: Sequence[PhaseResult], links: Links) -> list[dict[str, Any]]:
    """Return the table of records: one row each, with the addresses in plain text.

    The table of the UI can be searched and sorted, but shows no links; the summary has them.
    """
    return [
        {
            "record": f"{outcome.kind} {short(outcome.number or outcome.key)}",
            "state": str(outcome.state),
            "BC number": outcome.bc_number,
            "worth": str(outcome.money.rounded()) if outcome.money else "",
            "cause": str(outcome.cause),
            "message": outcome.message,
            "Salesforce": links.salesforce(outcome),
            "Business Central": links.business_central(outcome),
            "audit": links.audit(outcome) or links.audit_command(outcome),
        }
        for outcome in _records(results)
    ]


def worth(money: Mapping[str, Decimal]) -> str:
    """Return amounts for people, such as `1,234.50 USD, 99.00 EUR`; "" for none."""
    rounded = [Money(amount, currency).rounded() for currency, amount in sorted(money.items())]
    return ", ".join(f"{each.amount:,f} {each.currency}" for each in rounded)


def short(name: str) -> str:
    """Return *name* so short that the columns after it stay in sight."""
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"


def cell(text: str) -> str:
    """Return *text* so that it stays inside one cell of a markdown table."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(safe.split())


@task(
    name="publish-checks",
    task_run_name="publish checks",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_checks(connection: str, lines: Sequence[CheckLine]) -> None:
    """Write the preflight lines as an artifact, one history per connection."""
    levels = Counter(str(line.level) for line in lines)
    told = ", ".join(f"{count} {level}" for level, count in levels.items())
    text = [f"# check-connections of {connection}", "", "| level | what | remedy | where |"]
    text += ["|---|---|---|---|"]
    text += [
        f"| {line.level} | {cell(line.message)} | {cell(line.remedy)} | {cell(line.page)} |"
        for line in lines
    ]
    await name_run(connection, told)
    await acreate_markdown_artifact(
        "\n".join(text), key=f"check-connections-{connection}", description=told
    )
