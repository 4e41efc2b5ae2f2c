"""Let the runs of the work pool end before its workers are restarted.

A worker that is stopped takes its runs with it, in the midst of what they do, and Prefect keeps
them Running for ever. So first the pool is paused: nothing new begins, and listeners, which look
for it, end after their round.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from deployments.work_pool import IN_OUR_POOL, POOL, read_our_deployments
from ml_connector.errors import ConfigurationError

LOOK_SECONDS = 1.0

_GOING = FlowRunFilter(
    state=FlowRunFilterState(
        type=FlowRunFilterStateType(
            any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
        )
    )
)


@dataclass(frozen=True, slots=True)
class Drained:
    """The runs that a drain waited for, and those that were left: deployment and name of each."""

    waited_for: list[str]
    left: list[str]


async def drain(seconds: float) -> Drained:
    """Pause the pool and return when none of its runs is going any more, or after *seconds*.

    Effect: the pool stays paused until `resume`; a second call waits again.

    Raises: ConfigurationError when there is no pool.
    """
    await _pause(paused=True)
    seen: dict[str, str] = {}
    deadline = time.monotonic() + seconds
    async with get_client() as client:
        names: dict[UUID | None, str] = {
            each.id: each.name for each in await read_our_deployments(client)
        }
        while True:
            going = {
                str(run.id): f"{names.get(run.deployment_id, '')} {run.name}".strip()
                for run in await _going(client)
            }
            seen |= going
            if not going or time.monotonic() >= deadline:
                return Drained(list(seen.values()), list(going.values()))
            await asyncio.sleep(LOOK_SECONDS)


async def resume() -> None:
    """Let the pool's workers begin runs again. Raises: ConfigurationError when there is no pool."""
    await _pause(paused=False)


async def _going(client: PrefectClient) -> list[FlowRun]:
    return await client.read_flow_runs(flow_run_filter=_GOING, work_pool_filter=IN_OUR_POOL)


async def _pause(*, paused: bool) -> None:
    async with get_client() as client:
        try:
            await client.update_work_pool(POOL, WorkPoolUpdate(is_paused=paused))
        except ObjectNotFound as error:
            raise ConfigurationError(
                f"There is no work pool {POOL!r} on the Prefect server.",
                system="prefect",
                code="no_work_pool",
                remedy="Deploy the flows first: ml-connector deploy NAME.",
            ) from error
