"""Where Prefect keeps its key, as `check` tells it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ml_connector.exchange.checks import Level
from tasks.connection_checks import key_line


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
