"""What runs left on the test's Prefect server, whole: a page holds at most 200 of anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from prefect import get_client
from prefect.client.schemas.sorting import ArtifactCollectionSort

_PAGE = 200


async def latest_artifacts() -> dict[str, str]:
    """Return the newest artifact of every key, as text."""
    async with get_client() as client:
        found = await _all(client.read_latest_artifacts, sort=ArtifactCollectionSort.KEY_ASC)
    return {str(each.key): str(each.data) for each in found}


async def everything() -> str:
    """Return all artifacts, runs and logs of the server as one text."""
    async with get_client() as client:
        reads = (
            client.read_artifacts,
            client.read_flow_runs,
            client.read_task_runs,
            client.read_logs,
        )
        found = [each for read in reads for each in await _all(read)]
    return "\n".join(each.model_dump_json() for each in found)


async def _all(read: Callable[..., Awaitable[list[Any]]], **asked: object) -> list[Any]:
    found: list[Any] = []
    while page := await read(limit=_PAGE, offset=len(found), **asked):
        found += page
    return found
