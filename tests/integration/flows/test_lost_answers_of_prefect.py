"""What a command says when the Prefect server's answer to the end of its run is lost.

Prefect's client sends the end again and is told that it stands already, in a state without the
run's return value. The command must not look for it there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from prefect import get_client

from ml_connector.cli.listen import poll_connection
from ml_connector.cli.output import DONE, STUCK, Result
from ml_connector.cli.reconcile import reconcile_connection
from ml_connector.cli.replay import replay_connection
from ml_connector.cli.sync import Asked, sync_connection

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

Command = Callable[[str], Awaitable[Result]]

replay_all = partial(replay_connection, record_ids=[], cause="", since="", everything=True)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lose the first answer to each run's end, once the server has it; return those runs' ends."""
    answers: list[str] = []
    seen: set[str] = set()
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def lose(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await send(transport, request)
        path = request.url.path
        if "/flow_runs/" not in path or not path.endswith("/set_state") or path in seen:
            return response
        state = json.loads(request.content)["state"]["type"]
        if state not in ("COMPLETED", "FAILED"):
            return response
        await response.aread()
        assert response.status_code in (200, 201), response.text
        seen.add(path)
        answers.append(state)
        raise httpx.ReadTimeout("the answer was lost", request=request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lose)
    return answers


async def _state_of(flow_run_id: str) -> str:
    async with get_client() as client:
        run = await client.read_flow_run(flow_run_id)  # type: ignore[arg-type]
        assert run.state is not None
        return str(run.state.type.value)


@pytest.mark.slow
@pytest.mark.parametrize("command", [poll_connection, reconcile_connection, replay_all])
def test_a_command_has_its_result_though_the_answer_to_its_end_was_lost(
    connection: str, lost: list[str], command: Command
) -> None:
    """Poll, reconciliation and replay print what they found."""
    result = asyncio.run(command(connection))

    assert result.exit_code in (DONE, STUCK)
    assert result.document["connection"] == connection
    assert "fault" not in result.document
    assert lost
    assert set(lost) == {"COMPLETED"}


@pytest.mark.slow
@pytest.mark.parametrize("asked", [Asked(), Asked(plan=True)], ids=["sync", "plan"])
def test_a_sync_has_its_report_though_the_answer_to_its_end_was_lost(
    connection: str, lost: list[str], asked: Asked
) -> None:
    """The report is the run's, of which the server knows that it completed."""
    result = asyncio.run(sync_connection(connection, asked))

    assert result.document["counts"]["written"] > 0
    assert asyncio.run(_state_of(result.document["flow_run_id"])) == "COMPLETED"
    assert lost[-1] == "COMPLETED"


@pytest.mark.slow
def test_a_sync_that_failed_in_part_says_so_though_the_answer_to_its_end_was_lost(
    connection: str,
    running_sandbox: RunningSandbox,
    lost: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault and what was done all the same come from the run, not from Prefect's state."""
    rule = {"method": "POST", "path": "salesOrders", "status": 503, "times": 6, "skip": 3}
    running_sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()
    monkeypatch.setattr("tasks.orders.write_orders.retries", 0)
    try:
        result = asyncio.run(sync_connection(connection))
    finally:
        running_sandbox.admin.delete("/business-central/faults").raise_for_status()

    assert result.exit_code == STUCK
    assert result.document["fault"]["code"] == "batches_failed"
    assert result.document["by_kind"]["customer"]["written"] > 0
    assert asyncio.run(_state_of(result.document["flow_run_id"])) == "FAILED"
    assert "FAILED" in lost
