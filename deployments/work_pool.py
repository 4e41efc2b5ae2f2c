"""The work pool the deployments of prefect.yaml run in."""

from __future__ import annotations

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

POOL = "ml-connector"
"""Name of the pool, as in prefect.yaml."""

IN_OUR_POOL = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))


async def require_work_pool() -> None:
    """Make the work pool when it does not exist: processes on the worker's own computer."""
    pool = WorkPoolCreate(
        name=POOL,
        type=ProcessWorker.type,
        description="Runs of ml-connector as processes of the worker.",
        base_job_template=ProcessWorker.get_default_base_job_template(),
    )
    async with get_client() as client:
        try:
            await client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return


async def read_our_deployments(client: PrefectClient) -> list[DeploymentResponse]:
    """Return the deployments of the pool; there are fewer than one page."""
    return await client.read_deployments(work_pool_filter=IN_OUR_POOL)
