"""Where Prefect keeps its key, as `check` tells it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ml_connector.exchange.checks import Level
from tasks.prefect_checks import heartbeat_line, history_line, key_line, login_line


def _database(folder: Path, *keys: str) -> Path:
    path = folder / "prefect.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE configuration (key TEXT)")
        connection.executemany("INSERT INTO configuration VALUES (?)", [(key,) for key in keys])
    return path


def test_a_key_in_the_environment_is_fine(tmp_path: Path) -> None:
    """An embedded server takes its key from there."""
    database = _database(tmp_path, "ENCRYPTION_KEY")

    line = key_line({"PREFECT_SERVER_ENCRYPTION_KEY": "k"}, database, Level.WARNING)

    assert line.level is Level.OK


def test_a_key_in_the_database_is_told(tmp_path: Path) -> None:
    """Whoever copies the database has the secrets then."""
    line = key_line({}, _database(tmp_path, "ENCRYPTION_KEY"), Level.NOTICE)

    assert line.level is Level.NOTICE
    assert "same database" in line.message
    assert "PREFECT_SERVER_ENCRYPTION_KEY" in line.remedy


def test_a_database_without_a_key_is_fine(tmp_path: Path) -> None:
    """The server was given its key from outside."""
    assert key_line({}, _database(tmp_path), Level.WARNING).level is Level.OK


def test_a_server_elsewhere_is_no_guess() -> None:
    """What cannot be seen is said to be unseen, and needs nobody."""
    line = key_line({}, None, Level.WARNING)

    assert line.level is Level.NOTICE
    assert "cannot be seen" in line.message


def _server(**changes: int) -> dict[str, Any]:
    recorder = {"batch_size": 200, "read_batch_size": 200, "flush_interval": 1}
    persister = {"batch_size": 500, "read_batch_size": 200}
    return {
        "services": {"task_run_recorder": recorder | changes, "event_persister": persister},
        "api": {"auth_string": None},
    }


def test_the_shipped_settings_keep_the_history() -> None:
    """What we ship is what we ask for."""
    assert history_line(_server(), Level.WARNING).level is Level.OK


@pytest.mark.parametrize(
    "change", [{"batch_size": 1}, {"read_batch_size": 1}, {"flush_interval": 5}], ids=str
)
def test_a_server_as_delivered_loses_history(change: dict[str, int]) -> None:
    """Each of the settings alone is told, by its name."""
    line = history_line(_server(**change), Level.WARNING)

    assert line.level is Level.WARNING
    assert next(iter(change)) in line.message
    assert "prefect-server.env" in line.remedy


def test_an_api_without_login_is_told() -> None:
    """Near it is a notice, elsewhere a warning; the level is the caller's."""
    line = login_line(_server(), Level.NOTICE)

    assert line.level is Level.NOTICE
    assert "PREFECT_SERVER_API_AUTH_STRING" in line.remedy
    assert login_line({"api": {"auth_string": "********"}}, Level.WARNING).level is Level.OK


def test_seldom_heartbeats_are_told() -> None:
    """As delivered a run is silent for three minutes while it lives."""
    assert heartbeat_line({}, Level.WARNING).level is Level.WARNING
    often = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    assert heartbeat_line(often, Level.WARNING).level is Level.OK
