"""Listen to Salesforce, and act on each change within seconds."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.change_hand_over import hand_over_changes
from flows.connection_name import ConnectionName
from ml_connector.changes.hand_over import Due
from ml_connector.errors import TransientError
from tasks.batches import PhaseResult, Scope
from tasks.changes import capturing
from tasks.open_systems import open_systems

Minutes = Annotated[float, Field(gt=0, le=1440, title="Minutes")]


@flow(name="capture-changes", flow_run_name="{connection}")
async def capture_changes(connection: ConnectionName, minutes: Minutes = 55) -> int:
    """Take Salesforce's change events in as they come and hand them to the other flows.

    Each response is stored with its position before more is asked for, so a run that dies loses
    nothing; what streams miss is polled. Only one run owns the streams of a connection; one that
    finds an owner stands by for five minutes, takes over when the owner is gone, or completes. A
    run ends after its time and starts its successor before that. Returns the number of rounds.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        minutes: How long to listen before the next run takes over.
    """
    async with open_systems(connection) as systems, capturing(Scope(systems), minutes) as capture:
        rounds = 0
        async for work in capture.rounds():
            capture.dealt_with(await _handed_over(connection, work))
            rounds += 1
        return rounds


async def _handed_over(connection: str, work: Due) -> list[PhaseResult]:
    """Hand *work* over; what stayed away between the phases is a fault of the round, no end."""
    try:
        return await hand_over_changes(connection, work)
    except TransientError as fault:
        return [PhaseResult(faults=[fault])]
