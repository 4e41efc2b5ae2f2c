"""The preflight: real, read-only calls to both systems and to Prefect's own settings."""

from __future__ import annotations

import asyncio

from prefect import task

from ml_connector.exchange.checks import CheckLine, check_lines, ping_lines
from tasks.batches import Scope
from tasks.open_systems import in_this_task
from tasks.prefect_checks import prefect_lines
from tasks.retry_policy import EFFECT


@task(name="check-systems", task_run_name="ask both systems", **EFFECT)
async def check_systems(scope: Scope) -> list[CheckLine]:
    """Return the preflight lines of both systems."""
    return await asyncio.to_thread(check_lines, in_this_task(scope.systems).settings)


@task(name="sign-in", task_run_name="sign in to both systems", **EFFECT)
async def sign_in(scope: Scope) -> list[CheckLine]:
    """Return the few lines without which no run can begin."""
    return await scope.run(ping_lines)


@task(name="check-prefect", task_run_name="ask the Prefect server", **EFFECT)
async def check_prefect(scope: Scope) -> list[CheckLine]:
    """Return the preflight lines of the Prefect server: key, sign-in, recording of task runs."""
    del scope
    return await prefect_lines()
