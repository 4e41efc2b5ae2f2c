"""The work pool the deployments of prefect.yaml run in."""

from __future__ import annotations

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

POOL = "ml-connector"
"""Name of the pool, as in prefect.yaml."""


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
