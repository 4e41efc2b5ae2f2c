"""What `check` tells about the Prefect server: secrets, history, heartbeats, automations."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prefect import get_client
from prefect.client.orchestration import PrefectClient

from ml_connector.exchange.check_line import CheckLine, Level

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_SETTINGS_FILE = "deployments/prefect-server.env"

_RECORDING: Mapping[tuple[str, str], float] = {
    ("task_run_recorder", "batch_size"): 100,
    ("task_run_recorder", "read_batch_size"): 100,
    ("event_persister", "batch_size"): 100,
    ("event_persister", "read_batch_size"): 100,
}
"""The least that keeps up with a burst; what is shipped is above it."""

_FLUSH_SECONDS = 2.0
"""The longest the recorder may hold a task run back, before a subflow waits for it."""

_HEARTBEAT_SECONDS = 60
"""The longest pause between heartbeats with which a stranded run is told from a living one."""

_OURS = "ml-connector: "


async def prefect_lines() -> list[CheckLine]:
    """Tell whether the Prefect server keeps secrets and task history as it should.

    Lacks are warnings; on a server that only this computer reaches they are notices.
    """
    async with get_client() as client:
        address = str(client.api_url)
        near = (
            any(f"//{host}" in address for host in _LOOPBACK) or client.server_type == "ephemeral"
        )
        level = Level.NOTICE if near else Level.WARNING
        answer = await client._client.get("/admin/settings")  # noqa: SLF001  # no public call for it
        if answer.status_code in (403, 404):
            lines = [_unseen(level)]
        else:
            answer.raise_for_status()
            lines = list(_settings_lines(answer.json(), level, is_near=near))
        lines.append(heartbeat_line(os.environ, level))
        lines.append(await _automations_line(client, level))
    return lines


def _unseen(level: Level) -> CheckLine:
    return CheckLine(
        "prefect_settings",
        level,
        "The Prefect server does not show its settings.",
        f"Compare them by hand with {_SETTINGS_FILE}, and see that it asks for a login.",
    )


def _settings_lines(
    settings: Mapping[str, Any], level: Level, *, is_near: bool
) -> Iterator[CheckLine]:
    server = settings.get("server") or {}
    database = Path(str(settings.get("home") or "")) / "prefect.db"
    yield key_line(os.environ, database if is_near else None, level)
    yield login_line(server, level)
    yield history_line(server, level)


def login_line(server: Mapping[str, Any], level: Level) -> CheckLine:
    """Tell whether the API asks for a login."""
    if (server.get("api") or {}).get("auth_string"):
        return CheckLine("prefect_login", Level.OK, "Prefect's API asks for a login.")
    return CheckLine(
        "prefect_login",
        level,
        "Prefect's API asks for no login; whoever reaches it can read the secrets.",
        "Set PREFECT_SERVER_API_AUTH_STRING there, PREFECT_API_AUTH_STRING on clients.",
    )


def history_line(server: Mapping[str, Any], level: Level) -> CheckLine:
    """Tell whether the server keeps the history of task runs complete in a burst."""
    code = "prefect_task_history"
    services = server.get("services") or {}
    low = [
        f"{service}.{name}"
        for (service, name), least in _RECORDING.items()
        if float((services.get(service) or {}).get(name) or 0) < least
    ]
    recorder = services.get("task_run_recorder") or {}
    if float(recorder.get("flush_interval") or 5) > _FLUSH_SECONDS:
        low.append("task_run_recorder.flush_interval")
    if not low:
        return CheckLine(code, Level.OK, "Prefect records task runs and events in batches.")
    return CheckLine(
        code,
        level,
        "Prefect records task runs almost one by one, and may lose some of a burst:"
        f" {', '.join(low)}.",
        f"Start the server with the settings in {_SETTINGS_FILE}.",
    )


def heartbeat_line(environ: Mapping[str, str], level: Level) -> CheckLine:
    """Tell whether this process's runs send heartbeats often enough to tell a stranded one."""
    code = "prefect_heartbeat"
    if float(environ.get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY") or 180) <= _HEARTBEAT_SECONDS:
        return CheckLine(code, Level.OK, "Runs send heartbeats, so that a stranded one is seen.")
    return CheckLine(
        code,
        level,
        "Runs send a heartbeat so seldom that a stranded one would be taken for living.",
        "Set PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 where workers and listeners are started.",
    )


async def _automations_line(client: PrefectClient, level: Level) -> CheckLine:
    code = "prefect_automations"
    ours = [each for each in await client.read_automations() if each.name.startswith(_OURS)]
    if not ours:
        return CheckLine(
            code,
            Level.NOTICE,
            "No automation tells of failed runs, parked records and silent feeds.",
            "Run `ml-connector automations --notify TYPE/NAME`.",
        )
    off = [each.name for each in ours if not each.enabled]
    if off:
        return CheckLine(
            code,
            level,
            f"Switched off: {', '.join(off)}.",
            "Switch them on in the Prefect UI under Automations.",
        )
    return CheckLine(code, Level.OK, f"{len(ours)} automations watch over the connector.")


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
