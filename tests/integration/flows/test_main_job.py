"""The flows on a real Prefect server and both sandbox systems, in this process."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter

from flows.connection_check import check_connections
from flows.order_ingestion import ingest_orders
from flows.sync import sync
from ml_connector.cli.connect import connect_file
from ml_connector.errors import ConfigurationError
from tasks.batches import BatchesFailed

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

pytestmark = pytest.mark.slow


def _writes(sandbox: RunningSandbox) -> int:
    writes = [
        entry
        for system in ("salesforce", "business-central")
        for entry in sandbox.admin.get(f"/{system}/writes").json()["writes"]
    ]
    return len(writes)


async def _task_runs(flow_run_id: str) -> list[Any]:
    async with get_client() as client:
        children = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(
                {"parent_flow_run_id": {"any_": [flow_run_id]}}
            )
        )
        ids = [flow_run_id, *(str(child.id) for child in children)]
        return await client.read_task_runs(
            flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": ids}}), limit=200
        )


async def _names_with(flow_run_id: str, *starts: str) -> list[str]:
    """Return the names of the run's task runs, which are recorded a while after they ended."""
    deadline = time.monotonic() + 60
    while True:
        names = [run.name for run in await _task_runs(flow_run_id)]
        come = all(any(name.startswith(start) for name in names) for start in starts)
        if come or time.monotonic() > deadline:
            return names
        await asyncio.sleep(0.2)


async def _artifact(key: str) -> str:
    """Return the newest version of an artifact."""
    async with get_client() as client:
        answer = await client.request("GET", f"/artifacts/{key}/latest")
    return str(answer.json()["data"])


def test_sync_writes_once_and_then_nothing(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """The first run brings both sides into agreement, the second has nothing to write."""
    first = asyncio.run(sync(connection))
    written = _writes(running_sandbox)
    second = asyncio.run(sync(connection))

    assert first.by_kind["order"]["written"] > 0
    assert second.by_kind["order"]["written"] == 0
    assert _writes(running_sandbox) == written


def test_the_run_graph_and_the_artifacts_speak_of_the_business(connection: str) -> None:
    """Task runs carry numbers of records; each flow leaves a summary with links."""
    report = asyncio.run(sync(connection))

    names = asyncio.run(_names_with(report.flow_run_id, "order ", "customer "))

    assert [name for name in names if name.startswith("order ")]
    assert [name for name in names if name.startswith("customer ")]
    summary = asyncio.run(_artifact(f"ingest-orders-{connection}"))
    assert "| orders |" in summary
    assert " USD" in summary
    assert "](https://" in summary
    health = asyncio.run(_artifact(f"health-{connection}"))
    assert "| salesforce/Order | polled |" in health
    assert "| product PROTO-0 has no item:" in health
    assert "Salesforce API calls in 24 hours" in health
    assert "| sync | [" in health


def test_a_short_fault_is_retried_within_the_run(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """A service that fails once costs a retry and no order."""
    rule = {"method": "POST", "path": "salesOrders", "status": 503, "times": 1}
    running_sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()

    report = asyncio.run(sync(connection))

    assert report.by_kind["order"]["written"] > 0
    assert not [each for each in report.records if each["cause"] == "service_unavailable"]


def test_a_lasting_fault_fails_the_run_and_the_next_one_writes_what_is_missing(
    connection: str, running_sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One order that cannot be written does not stop the others, and is not forgotten."""
    for task in (ingest_orders, sync):
        assert task.retries in (0, None)
    rule = {"method": "POST", "path": "salesOrders", "status": 503, "times": 6, "skip": 3}
    running_sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()
    monkeypatch.setattr("tasks.orders.write_orders.retries", 0)

    with pytest.raises(BatchesFailed):
        asyncio.run(sync(connection))
    running_sandbox.admin.delete("/business-central/faults").raise_for_status()
    report = asyncio.run(sync(connection))

    assert 1 <= report.by_kind["order"]["written"] <= 6
    assert not [each for each in report.records if each["cause"] == "service_unavailable"]


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_refuses_a_name_that_was_never_saved() -> None:
    """The message says what to do; nothing runs against a guess."""
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(check_connections("nobody"))

    assert caught.value.code == "unknown_connection"


def test_a_second_connection_to_the_same_org_is_refused(
    connection: str, connection_file: Path
) -> None:
    """Two connections on one Salesforce org would write over each other."""
    other = connection_file.with_name("other.toml")
    text = connection_file.read_text(encoding="utf-8")
    other.write_text(text.replace(f'name = "{connection}"', 'name = "second"'), encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(connect_file(other))

    assert caught.value.code == "organization_taken"
    assert connection in caught.value.message
