"""Make the work pool and every deployment of prefect.yaml; schedules stay as they were set."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Collection
from pathlib import Path

from deployments.schedules import KnownSchedules
from deployments.work_pool import require_work_pool
from ml_connector.errors import ConfigurationError

LAST_LINES = 15


async def deploy(project: Path, connection: str = "", first_on: Collection[str] = ()) -> None:
    """Deploy every flow of the checkout *project* to the Prefect server of the environment.

    *connection* is the name that the shipped schedules fill in. Cadence and switch of each, and
    schedules that somebody added, stay; one that is new is off, unless its deployment is new too
    and in *first_on*.

    Raises: ConfigurationError when Prefect could not deploy.
    """
    await require_work_pool()
    schedules = await KnownSchedules.read()
    environment = {**os.environ, "PWD": str(project)}
    if connection:
        environment["ML_CONNECTOR_CONNECTION"] = connection
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"),
        env=environment,
        cwd=project,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        last = output.decode(errors="replace").splitlines()[-LAST_LINES:]
        raise ConfigurationError(
            f"prefect deploy ended with code {process.returncode}: {' '.join(last)}",
            system="prefect",
            code="deploy_failed",
            remedy="Correct what it names in prefect.yaml, or the server's address and login.",
        )
    await schedules.restore(first_on)
