"""Deploying on a real server: what people set in the UI stays, and connections stay apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.settings import PREFECT_API_URL

from deployments.deploying import deploy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _server_for_programs(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs this process starts find the server in their environment."""
    del prefect_server
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    yield


async def _deployment(name: str) -> Any:
    async with get_client() as client:
        return await client.read_deployment_by_name(f"sync/{name}")


async def _flip_the_switch(name: str) -> None:
    """Do what the switch in the UI does: one bare change of the schedule."""
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(f"sync/{name}")
        answer = await client._client.patch(  # the call of the UI, word for word
            f"/deployments/{deployment.id}/schedules/{deployment.schedules[0].id}",
            json={"active": True},
        )
        answer.raise_for_status()


async def test_a_new_deployment_leaves_schedules_and_other_connections_alone() -> None:
    """Off at first, on once switched on, and each connection has its own set of deployments."""
    await deploy(ROOT, "acme")
    first = await _deployment("sync")
    assert [each.active for each in first.schedules] == [False]
    assert first.parameters == {"connection": "acme"}

    await _flip_the_switch("sync")
    await deploy(ROOT, "acme")
    await deploy(ROOT, "second")

    again, second = await _deployment("sync"), await _deployment("sync-second")
    assert [each.active for each in again.schedules] == [True]
    assert again.parameters == {"connection": "acme"}
    assert [each.active for each in second.schedules] == [False]
    assert second.parameters == {"connection": "second"}
    assert {"connection:second", "both-directions"} <= set(second.tags)
