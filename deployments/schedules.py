"""Schedules stay as their operator set them when the deployments are made anew.

Prefect removes every schedule of a deployment when it is deployed again, and makes those of
prefect.yaml.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse

from deployments.work_pool import read_our_deployments


class KnownSchedules:
    """The schedules of each deployment as they are at one moment."""

    def __init__(self, by_deployment: dict[str, list[DeploymentSchedule]]) -> None:
        self._known = by_deployment

    @classmethod
    async def read(cls) -> Self:
        """Return the schedules as they are now; none where there are no deployments yet."""
        async with get_client() as client:
            return cls({each.name: each.schedules for each in await read_our_deployments(client)})

    async def restore(self, first_on: Collection[str] = ()) -> None:
        """Give shipped schedules their cadence and switch back, and others as a whole.

        A shipped schedule keeps its new parameters. One that was not known is off, unless its
        deployment is in *first_on* and had no schedules before.
        """
        async with get_client() as client:
            for deployment in await read_our_deployments(client):
                if deployment.name in self._known:
                    await self._restore(client, deployment)
                elif deployment.name in first_on:
                    for schedule in deployment.schedules:
                        await client.update_deployment_schedule(
                            deployment.id, schedule.id, active=True
                        )

    async def _restore(self, client: PrefectClient, deployment: DeploymentResponse) -> None:
        shipped = {each.slug: each for each in deployment.schedules if each.slug}
        for known in self._known[deployment.name]:
            new = shipped.get(known.slug or "")
            if new is None:
                again = DeploymentScheduleCreate.model_validate(
                    known.model_dump(include={"schedule", "active", "parameters", "slug"})
                )
                await client.create_deployment_schedules(deployment.id, [again])
            elif (new.active, new.schedule) != (known.active, known.schedule):
                await client.update_deployment_schedule(
                    deployment.id, new.id, active=known.active, schedule=known.schedule
                )
