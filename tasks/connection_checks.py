"""The preflight: real, read-only calls to both systems and to Prefect's own settings."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from prefect import get_client, task

from ml_connector.exchange.checks import CheckLine, Level, check_lines, ping_lines
from tasks.batches import Scope
from tasks.open_systems import in_this_task
from tasks.retry_policy import EFFECT

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


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


async def prefect_lines() -> list[CheckLine]:
    """Tell whether the Prefect server keeps secrets and task history as it should.

    Lacks are warnings; on a server that only this computer reaches they are notices.
    """
    async with get_client() as client:
        address = str(client.api_url)
        answer = await client._client.get("/admin/settings")  # noqa: SLF001  # no public call for it
        answer.raise_for_status()
        settings = answer.json()
    server = settings.get("server", {})
    near = any(f"//{host}" in address for host in _LOOPBACK)
    level = Level.NOTICE if near else Level.WARNING
    database = Path(str(settings.get("home") or "")) / "prefect.db"
    lines = [key_line(os.environ, database if near else None, level)]
    if not (server.get("api") or {}).get("auth_string"):
        lines.append(
            CheckLine(
                "prefect_login",
                level,
                "Prefect's API asks for no login; whoever reaches it can read the secrets.",
                "Set PREFECT_SERVER_API_AUTH_STRING there, PREFECT_API_AUTH_STRING on clients.",
            )
        )
    recorder = (server.get("services") or {}).get("task_run_recorder") or {}
    if int(recorder.get("batch_size") or 1) < 100:
        lines.append(
            CheckLine(
                "prefect_task_history",
                level,
                "Prefect records task runs one by one and may lose some of a burst.",
                "Set PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE=200 on the server.",
            )
        )
    return lines


def key_line(environ: Mapping[str, str], database: Path | None, level: Level) -> CheckLine:
    """Tell where Prefect keeps the key of its secrets.

    The API does not say it. A key in this process's environment is the server's when the server
    runs in it; else a SQLite *database* on this computer is looked into, which holds the key when
    the server was given none.
    """
    code = "prefect_encryption_key"
    if environ.get("PREFECT_SERVER_ENCRYPTION_KEY"):
        return CheckLine(code, Level.OK, "Prefect's key lies outside its database.")
    remedy = "Set PREFECT_SERVER_ENCRYPTION_KEY to a Fernet key before the server's first start."
    if database is None or not database.is_file():
        return CheckLine(
            code,
            Level.NOTICE,
            "Whether Prefect's key lies outside its database cannot be seen from here.",
            remedy,
        )
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT 1 FROM configuration WHERE key = 'ENCRYPTION_KEY'")
        if rows.fetchone() is None:
            return CheckLine(code, Level.OK, "Prefect's database does not hold its own key.")
    return CheckLine(
        code,
        level,
        "Prefect keeps the key of its secrets in the same database as the secrets.",
        remedy,
    )
