"""Make the work pool and every deployment of prefect.yaml, and keep people's schedules."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from prefect import get_client
from prefect.exceptions import ObjectNotFound

from deployments.schedules import KnownSchedules
from deployments.work_pool import require_work_pool
from ml_connector.errors import ConfigurationError

FILE = "prefect.yaml"
MAIN_JOB = "sync/sync"
LAST_LINES = 15


async def deploy(project: Path, connection: str = "", first_on: Collection[str] = ()) -> None:
    """Deploy every flow of the checkout *project* to the Prefect server of the environment.

    *connection* is the name that forms and schedules fill in. The first connection's deployments
    have the names of prefect.yaml; a further one gets a set of its own, such as `sync-NAME`. A
    schedule stays as people have set it, added ones too; one that is new is off, unless its
    deployment is new too and in *first_on*.

    Raises: ConfigurationError when Prefect could not deploy.
    """
    await require_work_pool()
    config = yaml.safe_load((project / FILE).read_text(encoding="utf-8"))
    suffix = f"-{connection}" if await _is_taken_from(connection) else ""
    schedules = await KnownSchedules.read()
    with tempfile.TemporaryDirectory(prefix="ml-connector-deploy-") as folder:
        file = Path(folder) / FILE
        file.write_text(yaml.safe_dump(deployed(config, connection, suffix)), encoding="utf-8")
        await _run_prefect(project, file, connection)
    await schedules.restore([f"{name}{suffix}" for name in first_on])


async def _is_taken_from(connection: str) -> bool:
    """Tell whether the deployments of prefect.yaml's names belong to another connection."""
    async with get_client() as client:
        try:
            owner = (await client.read_deployment_by_name(MAIN_JOB)).parameters.get("connection")
        except ObjectNotFound:
            return False
    return bool(connection) and bool(owner) and owner != connection


def deployed(config: dict[str, Any], connection: str, suffix: str) -> dict[str, Any]:
    """Return prefect.yaml's content as it is deployed for *connection*.

    A set with a *suffix* has no triggers: those of the first one serve every connection.
    """
    made = []
    for each in config["deployments"]:
        deployment = {**each, "name": f"{each['name']}{suffix}"}
        if connection:
            deployment["tags"] = [*each["tags"], f"connection:{connection}"]
        else:
            deployment.pop("parameters", None)
        if suffix:
            deployment.pop("triggers", None)
        made.append(deployment)
    return {**config, "deployments": made}


async def _run_prefect(project: Path, file: Path, connection: str) -> None:
    environment = {**os.environ, "PWD": str(project)}
    if connection:
        environment["ML_CONNECTOR_CONNECTION"] = connection
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"),
        *("--prefect-file", str(file)),
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
