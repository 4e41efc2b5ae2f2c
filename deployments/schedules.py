"""Schedules keep the position of their switch when the deployments are made anew."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse

from deployments.work_pool import read_our_deployments


class Switches:
    """Which schedules are on, by deployment and slug."""

    def __init__(self, positions: dict[tuple[str, str], bool]) -> None:
        self._positions = positions

    @classmethod
    async def read(cls) -> Self:
        """Return the positions as they are now; none where there are no deployments yet."""
        async with get_client() as client:
            return cls(
                {
                    (deployment.name, schedule.slug or ""): schedule.active
                    for deployment in await read_our_deployments(client)
                    for schedule in deployment.schedules
                }
            )

    async def restore(self, first_on: Collection[str] = ()) -> None:
        """Put every switch back; a schedule that is new is on for the deployments in *first_on*."""
        async with get_client() as client:
            for deployment in await read_our_deployments(client):
                await self._restore(client, deployment, is_first_on=deployment.name in first_on)

    async def _restore(
        self, client: PrefectClient, deployment: DeploymentResponse, *, is_first_on: bool
    ) -> None:
        for schedule in deployment.schedules:
            active = self._positions.get((deployment.name, schedule.slug or ""), is_first_on)
            if active != schedule.active:
                await client.update_deployment_schedule(deployment.id, schedule.id, active=active)
