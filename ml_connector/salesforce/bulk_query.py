"""Bulk API 2.0 query jobs: thousands of records in a handful of calls, page by page as CSV."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from ml_connector.errors import ConnectorError, TransientError
from ml_connector.salesforce import faults
from ml_connector.salesforce.describe import Describe
from ml_connector.salesforce.wire import Call, SalesforceWire

log = logging.getLogger("ml_connector")

BulkRow: TypeAlias = dict[str, str | None]
"""One record of a job's result: field name → text, None when empty."""

ROWS_PER_PAGE = 20_000
"""Bounds the memory of a page: some 20 MB of text."""

FIRST_LOOK_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
PATIENCE_SECONDS = 1800.0
"""A job over some hundred thousand records ends within minutes."""

_NUMBERS = frozenset({"double", "currency", "percent", "int", "long"})


def bulk_pages(
    wire: SalesforceWire, soql: str, sleep: Callable[[float], None], page_size: int = ROWS_PER_PAGE
) -> Iterator[list[BulkRow]]:
    """Yield the result of a query job over *soql*, one list per page.

    Effect: makes one job, looks until it is complete, reads its pages, and deletes it where it can.
    """
    body = {"operation": "query", "query": soql}
    job = wire.send(Call("POST", "jobs/query", "bulk", "bulk query", body=body))
    job_id = str(job.get("id") or "") if isinstance(job, Mapping) else ""
    if not job_id:
        raise faults.misshapen("bulk query", "a job without id")
    _await(wire, job_id, sleep)
    locator = ""
    while True:
        params = {"maxRecords": str(page_size), **({"locator": locator} if locator else {})}
        content, headers = wire.download(
            Call(
                "GET",
                f"jobs/query/{job_id}/results",
                "bulk",
                "bulk query",
                params=params,
                headers={"Accept": "text/csv"},
            )
        )
        yield _rows(content, headers)
        following = headers.get("sforce-locator", "null")
        if following in ("", "null"):
            break
        if following == locator:
            raise faults.misshapen("bulk query", "the locator repeats")
        locator = following
    try:
        wire.send(Call("DELETE", f"jobs/query/{job_id}", "bulk", "bulk query"))
    except ConnectorError as error:
        log.info("query job %s stays until Salesforce drops it: %s", job_id, error.message)


def _await(wire: SalesforceWire, job_id: str, sleep: Callable[[float], None]) -> None:
    """Look at a job until it is complete."""
    waited, pause = 0.0, FIRST_LOOK_SECONDS
    while True:
        job = wire.send(Call("GET", f"jobs/query/{job_id}", "bulk", "bulk query"))
        state = str(job.get("state") or "") if isinstance(job, Mapping) else ""
        if state == "JobComplete":
            return
        if state in ("Failed", "Aborted", "") or waited > PATIENCE_SECONDS:
            raise TransientError(
                f"Salesforce's query job ended as {state or 'unknown'}."
                if state != "InProgress"
                else "Salesforce's query job does not end.",
                system=faults.SYSTEM,
                operation="bulk query",
                code="bulk_query_failed",
            )
        sleep(pause)
        waited += pause
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _rows(content: bytes, headers: Mapping[str, str]) -> list[BulkRow]:
    """Return the records of one page; a cut page does not pass for a short one."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise faults.unreadable("bulk query", is_write=False) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = [{name: value or None for name, value in row.items() if name} for row in reader]
    told = headers.get("sforce-numberofrecords", "")
    if told.isdigit() and int(told) != len(rows):
        raise faults.unreadable("bulk query", is_write=False)
    return rows


def typed(row: BulkRow, describe: Describe) -> dict[str, Any]:
    """Return *row* with the values a query would have: numbers as Decimal, booleans as bool.

    Raises: ContractError when a number is none.
    """
    values: dict[str, Any] = {}
    for name, text in row.items():
        kind = describe.fields[name].type if describe.has(name) else "string"
        if text is None:
            values[name] = False if kind == "boolean" else None
        elif kind == "boolean":
            values[name] = text.lower() == "true"
        elif kind in _NUMBERS:
            try:
                values[name] = Decimal(text)
            except InvalidOperation as error:
                raise faults.misshapen("bulk query", f"{name} is no number") from error
        else:
            values[name] = text
    return values
