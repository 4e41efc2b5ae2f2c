"""Make the work pool and every deployment of prefect.yaml, and keep the switches of schedules."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Collection
from pathlib import Path

from deployments.schedules import Switches
from deployments.work_pool import require_work_pool
from ml_connector.errors import ConfigurationError

LAST_LINES = 15


async def deploy(project: Path, connection: str = "", first_on: Collection[str] = ()) -> None:
    """Deploy every flow of the checkout *project* to the Prefect server of the environment.

    *connection* is the name that the schedules fill in. A schedule keeps the position of its
    switch; one that is new is off, unless its deployment is in *first_on*.

    Raises: ConfigurationError when Prefect could not deploy.
    """
    await require_work_pool()
    switches = await Switches.read()
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
    await switches.restore(first_on)
