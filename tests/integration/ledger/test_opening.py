"""Opening a ledger: made and migrated by itself, refused clearly, never showing a password."""

from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine, inspect, text

from ml_connector.errors import ConfigurationError
from ml_connector.ledger import schema
from ml_connector.ledger.engine import make_engine, parse_url, writing
from ml_connector.ledger.ledger import Ledger
from ml_connector.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "top-Secret7"


def refused(url: str) -> ConfigurationError:
    """Open a ledger that cannot be opened; neither text nor traceback may show the password."""
    with pytest.raises(ConfigurationError) as raised:
        Ledger.open(url)
    shown = "".join(traceback.format_exception(raised.value)) + raised.value.remedy
    assert SECRET not in shown
    return raised.value


def test_an_empty_database_is_made_and_opened_again(ledger_url: str) -> None:
    """The second opening finds the schema and migrates nothing."""
    for _ in range(2):
        with Ledger.open(ledger_url) as store:
            store.ping()
            assert store.connection("acme").counts() == {}


def test_the_migrations_make_exactly_the_tables_of_the_code(ledger_url: str) -> None:
    """Nothing to migrate is left after the newest migration, and HEAD names it."""
    Ledger.open(ledger_url).close()
    engine = make_engine(parse_url(ledger_url), 1)
    with engine.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert differences == []
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert scripts.get_heads() == [schema.HEAD]


def test_migrations_go_back_and_forth(ledger_url: str) -> None:
    """Down to an empty database, and up again to one that opens."""
    Ledger.open(ledger_url).close()
    engine = make_engine(parse_url(ledger_url), 1)
    with engine.connect() as db, writing(db).begin():
        schema.migrate(db, "base")
        assert set(inspect(db).get_table_names()) == {"alembic_version"}
    with engine.connect() as db, writing(db).begin():
        schema.migrate(db, schema.HEAD)
    engine.dispose()

    with Ledger.open(ledger_url) as store:
        store.ping()


def test_a_ledger_of_a_newer_version_is_refused(ledger_url: str) -> None:
    """Nothing is changed in it, and the message says what to install."""
    Ledger.open(ledger_url).close()
    engine = create_engine(ledger_url)
    with engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    error = refused(ledger_url)

    assert (error.code, "9999" in error.message) == ("ledger_newer", True)
    with engine.connect() as db:
        assert db.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        f"postgresql://u:{SECRET}@host:port/x",
        f"mysql://u:{SECRET}@host/x",
        f"postgresql+psycopg2://u:{SECRET}@host/x",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_an_unusable_address_is_refused(url: str) -> None:
    """Other databases, typing errors, and databases that would not outlast the process."""
    assert refused(url).code == "ledger_url"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/ledger",
        f"postgresql://u@127.0.0.1:1/ledger?password={SECRET}",
        f"postgresql+psycopg://u:{SECRET}@nowhere.invalid/ledger",
        f"postgresql+psycopg://u:{SECRET}@127.0.0.1/ledger?{SECRET}=1",
    ],
)
def test_an_unreachable_server_is_reported(url: str) -> None:
    """With the database and host, without user and password."""
    error = refused(url)

    assert error.code == "ledger_unreachable"
    assert "ledger at" in error.message


@pytest.mark.postgres
def test_a_missing_database_is_reported(postgres_server: object) -> None:
    """The server answers, but has no such database."""
    url: Callable[[str], str] = postgres_server.url  # type: ignore[attr-defined]  # of the fixture

    assert refused(url("missing")).code == "ledger_unreachable"


@pytest.mark.postgres
@pytest.mark.parametrize("migrated", [False, True])
def test_a_database_without_write_permission_is_reported(
    postgres_server: object, migrated: bool
) -> None:
    """At opening, whether the schema has to be made first or not."""
    server: object = postgres_server
    name = server.new_database()  # type: ignore[attr-defined]  # of the fixture
    url = server.url(name)  # type: ignore[attr-defined]  # of the fixture
    if migrated:
        Ledger.open(url).close()
    read_only = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
    server.execute(read_only.format(sql.Identifier(name)))  # type: ignore[attr-defined]  # of the fixture

    assert refused(url).code == "ledger_unreachable"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """The most usual mistake with SQLite gets its own words."""
    error = refused(f"sqlite:///{tmp_path / 'none' / 'ledger.db'}")

    assert error.code == "ledger_unreachable"
    assert f"{tmp_path / 'none'} does not exist" in error.message


def test_a_file_that_is_no_ledger_is_reported(tmp_path: Path) -> None:
    """A directory, a text file, and a database that is read-only."""
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one" * 30)

    for name in ("", "text.db"):
        assert refused(f"sqlite:///{tmp_path / name}").code in {"ledger_unreachable", "ledger_url"}


def test_a_read_only_file_is_reported(tmp_path: Path) -> None:
    """A ledger that can be read, but not written."""
    path = tmp_path / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()

    assert refused(f"sqlite:///file:{path}?mode=ro&uri=true").code == "ledger_unreachable"


def test_sqlite_commits_are_durable(tmp_path: Path) -> None:
    """Write-ahead log, and every commit is on the disk before it returns."""
    path = tmp_path / "ledger.db"
    engine = make_engine(parse_url(f"sqlite:///{path}"), 1)
    with engine.connect() as db:
        read = {
            name: db.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()

    assert read == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30000,
    }
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
