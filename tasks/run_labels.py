"""How a run is found in the Prefect UI: by its tags, and by a name that says what it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prefect import get_client, tags
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

NAME_WIDTH = 120


@asynccontextmanager
async def labelled(connection: str, labels: Sequence[str]) -> AsyncIterator[None]:
    """Tag the running flow run, and every run started inside, with connection and *labels*.

    A flow that starts others gives no labels: kind and direction are theirs to say. The call to
    the server runs beside the work.
    """
    carried = (f"connection:{connection}", *labels)
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        yield
        return
    wanted = {*run.tags, *carried}
    telling = asyncio.create_task(_tag(wanted)) if wanted != set(run.tags) else None
    try:
        with tags(*carried):
            yield
    finally:
        if telling is not None:
            await telling


async def _tag(wanted: set[str]) -> None:
    async with get_client() as client:
        await client.update_flow_run(flow_run_id=flow_run.id, tags=sorted(wanted))


async def name_run(connection: str, told: str) -> None:
    """Name the running flow run after its connection and what it did, such as `acme: 3 written`."""
    if flow_run.id is None:
        return
    name = f"{connection}: {told}"
    if len(name) > NAME_WIDTH:
        name = name[: NAME_WIDTH - 1] + "…"
    async with get_client() as client:
        await client.update_flow_run(flow_run_id=flow_run.id, name=name)
