"""What programs rely on: the documents of the commands, field by field, and their exit codes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.exceptions import ObjectNotFound

from ml_connector.cli.audit import audit_of_record
from ml_connector.cli.check import check_connection
from ml_connector.cli.output import failure
from ml_connector.cli.reconcile import reconcile_connection
from ml_connector.cli.replay import replay_connection
from ml_connector.cli.status import status_of
from ml_connector.cli.sync import Asked, sync_connection
from ml_connector.errors import ConfigurationError

pytestmark = pytest.mark.slow

Answer = TypeVar("Answer")

KINDS = {"item", "customer", "contact", "order", "invoice", "status"}
STATES = {"written", "unchanged", "waiting", "parked", "excluded"}
OWNERS = {"sales", "finance", "it"}


def is_record(row: dict[str, Any]) -> bool:
    """Tell whether *row* is a record R, every field of its type."""
    assert row["kind"] in KINDS
    assert row["state"] in STATES
    for name in ("salesforce_id", "salesforce_number", "bc_id", "bc_number", "cause", "message"):
        assert isinstance(row[name], str), name
    assert isinstance(row["remedy"], str)
    assert row["owner"] in OWNERS | {""}
    if row["state"] in ("waiting", "parked"):
        assert row["cause"]
        assert row["message"]
        assert row["remedy"]
        assert row["owner"] in OWNERS
        assert row["links"]["salesforce"].startswith("https://")
    for need in row["waits_for"]:
        assert set(need) == {"kind", "salesforce_id"}
    assert row["salesforce_id"] == "" or re.fullmatch(r"[0-9A-Za-z]{18}", row["salesforce_id"])
    assert row["bc_id"] == row["bc_id"].lower()
    for name in ("since", "first_seen_at", "last_seen_at"):
        assert is_time(row[name])
    return isinstance(row["attempts"], int) and row["attempts"] >= 1


def is_time(text: str) -> bool:
    """Tell whether *text* is an ISO-8601 instant in UTC, written with Z."""
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


def is_money(text: Any) -> bool:
    """Tell whether *text* is an exact amount as text."""
    return isinstance(text, str) and Decimal(text).is_finite()


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run one command's work, or a question to Prefect."""
    return asyncio.run(work)


async def subflows_of(flow_run_id: str) -> set[str]:
    """Return the ids of the flow runs that a flow run started."""
    parent = {"parent_flow_run_id": {"any_": [flow_run_id]}}
    async with get_client() as client:
        found = await client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(parent))
    return {str(each.id) for each in found}


async def flow_run_of_task(task_run_id: str) -> str:
    """Return the flow run a task run belongs to; it is recorded a while after it ended."""
    deadline = time.monotonic() + 60
    async with get_client() as client:
        while True:
            try:
                return str((await client.read_task_run(UUID(task_run_id))).flow_run_id)
            except ObjectNotFound:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)


def check_run(document: dict[str, Any], *, plan: bool) -> None:
    """Check the document of `sync`."""
    assert isinstance(document["connection"], str)
    assert len(document["flow_run_id"]) == 36
    assert document["plan"] is plan
    assert is_time(document["started_at"])
    assert is_time(document["ended_at"])
    assert set(document["counts"]) == STATES
    assert set(document["by_kind"]) <= KINDS
    assert all(set(states) == STATES for states in document["by_kind"].values())
    for state in STATES:
        of_kinds = sum(states[state] for states in document["by_kind"].values())
        assert of_kinds == document["counts"][state]
    assert document["records"]
    assert all(is_record(row) and row["state"] != "unchanged" for row in document["records"])


def test_runs_and_status_have_the_fields_that_programs_read(connection: str) -> None:
    """Plan, sync, idle sync, status, audit and replay, with their exit codes."""
    planned = run(sync_connection(connection, Asked(plan=True)))
    check_run(planned.document, plan=True)
    assert (planned.exit_code, planned.document["exit_code"]) == (0, 0)

    synced = run(sync_connection(connection))
    check_run(synced.document, plan=False)
    assert (synced.exit_code, synced.document["exit_code"]) == (1, 1)
    idle = run(sync_connection(connection))
    assert idle.document["counts"]["written"] == 0
    assert idle.exit_code == 1

    status = run(status_of(connection))
    document = status.document
    assert status.exit_code == 1
    assert set(document) >= {"connection", "counts", "records", "feeds", "last_sync"}
    assert all(is_record(row) for row in document["records"])
    assert {row["state"] for row in document["records"]} == {"waiting", "parked", "excluded"}
    for feed in document["feeds"]:
        assert set(feed) >= {"name", "lag_seconds", "last_confirmed_at", "state"}
    assert document["last_sync"]["flow_run_id"] == idle.document["flow_run_id"]
    for group in document["groups"]:
        assert group["count"] == sum(group["by_kind"].values())
        assert group["owner"] in OWNERS
        assert set(group["links"]) == {"salesforce", "business_central"}
        assert is_time(group["since"])
        assert is_time(group["last_seen_at"])

    order = next(row for row in synced.document["records"] if row["state"] == "written"
                 and row["kind"] == "order")  # fmt: skip
    audited = run(audit_of_record(connection, order["bc_number"]))
    assert audited.exit_code == 0
    assert is_record(audited.document["record"])
    for entry in audited.document["entries"]:
        assert set(entry) >= {
            "at", "direction", "action", "before", "after", "rule", "outcome", "flow_run_id",
            "task_run_id",
        }  # fmt: skip
        assert is_time(entry["at"])
    writes = [entry for entry in audited.document["entries"] if entry["direction"] != "decision"]
    assert {entry["direction"] for entry in writes} == {"to_business_central", "to_salesforce"}
    for entry in writes:
        assert entry["flow_run_id"] in run(subflows_of(synced.document["flow_run_id"]))
        assert entry["flow_run_id"] == run(flow_run_of_task(entry["task_run_id"]))

    replayed = run(replay_connection(connection, [], "", "", everything=True))
    assert replayed.exit_code == 1
    assert all(is_record(row) for row in replayed.document["records"])


def test_reconcile_and_check_have_the_fields_that_programs_read(connection: str) -> None:
    """Verdict, pairs, money, class of each difference; level and remedy of each line."""
    run(sync_connection(connection))

    reconciled = run(reconcile_connection(connection, heal=False))
    document = reconciled.document
    assert (reconciled.exit_code, document["agree"]) == (1, False)
    assert isinstance(document["pairs"], int)
    for row in document["money"]:
        assert set(row) == {"currency", "salesforce", "business_central", "difference"}
        assert all(is_money(row[name]) for name in set(row) - {"currency"})
    assert {row["class"] for row in document["differences"]} <= {"ours", "theirs", "excluded"}

    checked = run(check_connection(connection))
    levels = {line["level"] for line in checked.document["lines"]}
    assert levels <= {"ok", "notice", "warning", "blocking"}
    assert checked.exit_code == (2 if "blocking" in levels else 1 if "warning" in levels else 0)
    assert all(set(line) >= {"code", "level", "message", "remedy"}
               for line in checked.document["lines"])  # fmt: skip


def test_a_failure_says_code_message_and_remedy() -> None:
    """One document, exit code 2."""
    result = failure(ConfigurationError("It is so.", code="x", remedy="Do this."))

    assert result.exit_code == 2
    assert result.document == {"error": {"code": "x", "message": "It is so.", "remedy": "Do this."}}
