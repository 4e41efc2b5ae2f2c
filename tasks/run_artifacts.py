"""What a run leaves in the Prefect UI: counts, and a table of records with their links."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.checks import CheckLine
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.systems import Systems
from tasks.batches import PhaseResult, Scope

log = logging.getLogger("ml_connector")

ROWS = 200
"""Rows of the table in the summary; the ledger and `ml-connector status` have all."""

NAME_WIDTH = 40

_ENTITY_SETS = {
    Kind.ITEM: "items",
    Kind.CUSTOMER: "customers",
    Kind.CONTACT: "contacts",
    Kind.ORDER: "salesOrders",
    Kind.INVOICE: "salesInvoices",
    Kind.STATUS: "salesOrders",
}

_CARD_PAGES = {
    Kind.ITEM: 30,
    Kind.CUSTOMER: 21,
    Kind.CONTACT: 5050,
    Kind.ORDER: 42,
    Kind.INVOICE: 43,
}
"""Page ids of the cards in BC's web client."""

_MICROSOFT = "https://api.businesscentral.dynamics.com"


class Links:
    """Addresses of records in both systems."""

    def __init__(self, systems: Systems) -> None:
        company = systems.settings.business_central
        self._instance_url = systems.salesforce.instance_url
        self._company = company
        self._company_id = systems.business_central.company().id

    def salesforce(self, outcome: Outcome) -> str:
        """Return a link to the Salesforce record, "" when there is none."""
        if not outcome.salesforce_id:
            return ""
        return f"[open]({self._instance_url}/{outcome.salesforce_id})"

    def business_central(self, outcome: Outcome) -> str:
        """Return a link to the BC card, or to the API's record where there is no web client."""
        if not outcome.bc_id:
            return ""
        company = self._company
        text = outcome.bc_number or outcome.bc_id
        page = _CARD_PAGES.get(outcome.kind)
        if company.base_url.startswith(_MICROSOFT) and page and outcome.bc_number:
            name = quote(company.company_name or self._company_id)
            number = quote(f"'No.' IS '{outcome.bc_number}'")
            address = (
                f"https://businesscentral.dynamics.com/{company.tenant_id}/{quote(company.environment)}"
                f"?company={name}&page={page}&filter={number}"
            )
        else:
            address = (
                f"{company.base_url}/{company.tenant_id}/{quote(company.environment)}/api/v2.0"
                f"/companies({self._company_id})/{_ENTITY_SETS[outcome.kind]}({outcome.bc_id})"
            )
        return f"[{text}]({address})"


@task(
    name="publish-summary",
    task_run_name="publish summary",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_summary(
    scope: Scope, flow_name: str, titles: Sequence[str], work: Summary
) -> None:
    """Write the run's summary and its table of records as artifacts, one history per connection."""
    systems = scope.systems
    for title, result in zip(titles, work.results, strict=True):
        log.info("%s: %s", title, result)
    links = await asyncio.to_thread(Links, systems)
    name = systems.settings.name
    text = summary_text(name, flow_name, titles, work.results, links)
    await acreate_markdown_artifact(
        text, key=f"{flow_name}-{name}", description=f"What {flow_name} did for {name}."
    )
    rows = record_rows(name, work.results, links)
    if rows:
        await acreate_table_artifact(
            rows, key=f"{flow_name}-{name}-records", description="Records that are not unchanged."
        )


class Summary:
    """The results to publish. A plain object, so that Prefect does not look inside."""

    __slots__ = ("results",)

    def __init__(self, *results: PhaseResult) -> None:
        self.results = results


def summary_text(
    connection: str,
    flow_name: str,
    titles: Sequence[str],
    results: Sequence[PhaseResult],
    links: Links,
) -> str:
    """Return the markdown of a run: counts per phase, then records, the urgent ones first."""
    states = list(State)
    lines = [
        f"# {flow_name}: {connection}",
        "",
        "| | " + " | ".join(states) + " |",
        "|---|" + "---:|" * len(states),
    ]
    for title, result in zip(titles, results, strict=True):
        cells = " | ".join(str(result.counts.get(state, 0)) for state in states)
        lines.append(f"| {title} | {cells} |")
    faults = [fault for result in results for fault in result.faults]
    if faults:
        lines += ["", f"**{len(faults)} batch(es) failed:** {cell(str(faults[0]))}"]
    shown = [outcome for result in results for outcome in result.details]
    shown.sort(key=lambda outcome: _URGENCY[outcome.state])
    if shown:
        lines += [
            "",
            "| record | state | Salesforce | Business Central | why |",
            "|---|---|---|---|---|",
        ]
    for outcome in shown[:ROWS]:
        why = f"{outcome.cause}: {outcome.message}" if outcome.cause else ""
        record = f"{outcome.kind} {cell(short(outcome.number or outcome.key))}"
        lines.append(
            f"| {record} | {outcome.state} | {links.salesforce(outcome)} |"
            f" {links.business_central(outcome)} | {cell(why)} |"
        )
    if len(shown) > ROWS:
        lines += [
            "",
            f"… and more; `ml-connector status {connection}` lists all that need someone.",
        ]
    lines += ["", f"History of one record: `ml-connector audit {connection} NUMBER`."]
    return "\n".join(lines)


_URGENCY = {
    state: place
    for place, state in enumerate(
        (State.PARKED, State.WAITING, State.WRITTEN, State.EXCLUDED, State.UNCHANGED)
    )
}


def record_rows(
    connection: str, results: Sequence[PhaseResult], links: Links
) -> list[dict[str, Any]]:
    """Return the table of records: one row each, with links and the command for its history."""
    return [
        {
            "kind": str(outcome.kind),
            "number": short(outcome.number or outcome.key),
            "state": str(outcome.state),
            "salesforce": links.salesforce(outcome),
            "business_central": links.business_central(outcome),
            "cause": str(outcome.cause),
            "message": outcome.message,
            "audit": f"ml-connector audit {connection} {outcome.salesforce_id or outcome.bc_id}",
        }
        for result in results
        for outcome in result.details
    ]


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
    text = [f"# check-connections: {connection}", "", "| level | what | remedy | where |"]
    text += ["|---|---|---|---|"]
    text += [
        f"| {line.level} | {cell(line.message)} | {cell(line.remedy)} | {cell(line.page)} |"
        for line in lines
    ]
    await acreate_markdown_artifact(
        "\n".join(text),
        key=f"check-connections-{connection}",
        description=f"Preflight of {connection}.",
    )
