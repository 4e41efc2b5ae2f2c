"""The open systems of a flow run: shared by its subflows, closed when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from prefect.runtime import flow_run, task_run
from prefect.settings import get_current_settings

from blocks.connected_systems import load_connection
from ml_connector.errors import AuthenticationError
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.run_ids import RunIds
from tasks.connector_events import ParkedWatch, tell_refused
from tasks.run_labels import labelled

log = logging.getLogger("ml_connector")

_current: ContextVar[Systems | None] = ContextVar("open_systems", default=None)


@asynccontextmanager
async def open_systems(connection: str, *labels: str) -> AsyncIterator[Systems]:
    """Give the systems of *connection* under this flow run's id.

    A subflow of a run that has them open already works on the same sessions: a sign-in and a
    description of the org per run, not per subflow. The run and everything started inside carry
    the connection and *labels* as tags, and what the core logs reaches the run's log. At its end
    the outermost run tells of refused credentials and parked records.
    """
    _let_the_core_speak()
    run = RunIds(flow_run_id=str(flow_run.id or ""))
    outer = _current.get()
    async with labelled(connection, labels):
        if outer is not None and outer.settings.name == connection:
            yield outer.with_run(run)
            return
        settings = await load_connection(connection)
        try:
            systems = await asyncio.to_thread(Systems.open, settings, run)
            token = _current.set(systems)
            try:
                yield systems
            finally:
                _current.reset(token)
                await asyncio.to_thread(_leave, systems)
        except AuthenticationError as refused:
            tell_refused(connection, refused)
            raise


def _leave(systems: Systems) -> None:
    try:
        ParkedWatch(systems).look()
    finally:
        systems.close()


def _let_the_core_speak() -> None:
    """Give the core's logger Prefect's level; without one of its own it would only warn."""
    if log.level == logging.NOTSET:
        log.setLevel(get_current_settings().logging.level)


def in_this_task(systems: Systems) -> Systems:
    """Return the same connections under the id of the running task."""
    run = RunIds(flow_run_id=systems.run.flow_run_id, task_run_id=str(task_run.id or ""))
    return systems.with_run(run)
