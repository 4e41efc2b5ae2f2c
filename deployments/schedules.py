"""Schedules belong to the operators: they outlive a new deployment as people have set them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse

from deployments.work_pool import read_our_deployments


class KnownSchedules:
    """The schedules of every deployment as they stood before it was made anew.

    Prefect itself replaces them by those of prefect.yaml: switched off, with the file's times, and
    without what was added in the UI.
    """

    def __init__(self, earlier: Mapping[str, list[DeploymentSchedule]]) -> None:
        self._earlier = earlier

    @classmethod
    async def read(cls) -> Self:
        """Return the schedules as they are now; none where there are no deployments yet."""
        async with get_client() as client:
            return cls({each.name: each.schedules for each in await read_our_deployments(client)})

    async def restore(self, first_on: Collection[str] = ()) -> None:
        """Put every schedule back; those of new deployments in *first_on* are switched on."""
        async with get_client() as client:
            for deployment in await read_our_deployments(client):
                is_new = deployment.name not in self._earlier
                is_on = is_new and deployment.name in first_on
                await self._restore(client, deployment, is_first_on=is_on)

    async def _restore(
        self, client: PrefectClient, deployment: DeploymentResponse, *, is_first_on: bool
    ) -> None:
        earlier = self._earlier.get(deployment.name, [])
        known = {schedule.slug for schedule in earlier}
        new = [schedule for schedule in deployment.schedules if schedule.slug not in known]
        wanted = [
            *(_as_it_is(each) for each in earlier),
            *(_as_it_is(each, active=each.active or is_first_on) for each in new),
        ]
        if wanted == [_as_it_is(each) for each in deployment.schedules]:
            return
        # One by one: an update of the deployment refuses schedules without a slug, and those that
        # people add in the UI have none.
        for each in deployment.schedules:
            await client.delete_deployment_schedule(deployment.id, each.id)
        await client.create_deployment_schedules(deployment.id, wanted)


def _as_it_is(
    schedule: DeploymentSchedule, *, active: bool | None = None
) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(
        schedule=schedule.schedule,
        active=schedule.active if active is None else active,
        max_scheduled_runs=schedule.max_scheduled_runs,
        parameters=schedule.parameters,
        slug=schedule.slug,
    )
