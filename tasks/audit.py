"""The life of one record, read from the ledger and left in the Prefect UI."""

from __future__ import annotations

import json
from typing import Any

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.utilities.urls import url_for

from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import RecordNotFound
from ml_connector.exchange.audit_report import audit_of
from ml_connector.exchange.outcome import Outcome
from tasks.batches import Scope
from tasks.links import Links, links_of
from tasks.run_artifacts import cell


@task(
    name="read-audit",
    task_run_name="read the audit of {record}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def read_audit(scope: Scope, record: str) -> dict[str, Any]:
    """Return the entries about the record, oldest first.

    Raises: RecordNotFound when the connection has never seen it.
    """
    document = await scope.run(lambda systems: audit_of(systems, record))
    if document is None:
        raise RecordNotFound(
            f"The connection has never seen a record {record!r}.",
            code="unknown_record",
            remedy="Give the id or number the record has in Salesforce or Business Central.",
        )
    return document


@task(
    name="publish-audit",
    task_run_name="publish the audit",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_audit(scope: Scope, document: dict[str, Any]) -> None:
    """Write the record's life as a text with links and as a table, one history per connection."""
    links = await links_of(scope.systems)
    name = scope.systems.settings.name
    await acreate_markdown_artifact(
        audit_text(document, links),
        key=f"audit-record-{name}",
        description=f"The life of one record of {name}.",
    )
    await acreate_table_artifact(
        [
            {name: value if isinstance(value, str | int) else _text(value) for name, value in row}
            for row in (entry.items() for entry in document["entries"])
        ],
        key=f"audit-record-{name}-entries",
        description="Every decision and write about the record.",
    )


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def audit_text(document: dict[str, Any], links: Links) -> str:
    """Return the markdown of a record's life; each entry links to the run that made it."""
    record = document["record"]
    outcome = Outcome(
        kind=Kind(record["kind"]),
        key=record["salesforce_id"] or record["bc_id"],
        salesforce_id=record["salesforce_id"],
        number=record["salesforce_number"],
        state=State(record["state"]),
        bc_id=record["bc_id"],
        bc_number=record["bc_number"],
    )
    number = cell(outcome.number or outcome.key)
    lines = [
        f"# {record['kind']} {number}",
        "",
        f"{record['state']} {cell(record['message'])} Salesforce: {links.salesforce_cell(outcome)},"
        f" Business Central: {links.business_central_cell(outcome)}",
        "",
        "| at | direction | action | outcome | rule | request | run |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in document["entries"]:
        run = str(entry["flow_run_id"] or "")
        address = url_for("flow-run", obj_id=run) if run else None
        shown = f"[{run[:8]}]({address})" if address else run[:8]
        cells = (entry["at"], entry["direction"], entry["action"], entry["outcome"], entry["rule"])
        told = " | ".join(cell(str(each or "")) for each in cells)
        lines.append(f"| {told} | {cell(str(entry['request_id'] or ''))} | {shown} |")
    return "\n".join(lines)
