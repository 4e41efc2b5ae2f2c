"""Bringing a database to the schema this version of the connector works with."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from ml_connector.errors import ConfigurationError
from ml_connector.ledger.engine import writing

HEAD = "0002"
"""The newest file in migrations/versions; a test holds both together."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6D6C_6C65_6467_6572
"""Number of the PostgreSQL lock that makes two opening processes migrate one after the other."""


def bring_up_to_date(engine: Engine) -> None:
    """Migrate the database when it is older, under a lock; do nothing when it is up to date.

    Raises: ConfigurationError (`ledger_newer`) when a newer version of the connector migrated it.
    """
    with engine.connect() as connection, connection.begin():
        version = stored_version(connection)
    if version == HEAD:
        return
    with engine.connect() as connection, writing(connection).begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        version = stored_version(connection)
        if version != HEAD:
            _refuse_newer(version)
            migrate(connection, HEAD)


def prove_writable(engine: Engine) -> None:
    """Write a row and take it back, so that a read-only database is noticed at once."""
    with engine.connect() as connection, writing(connection).begin() as transaction:
        connection.execute(
            text("INSERT INTO remembered (connection, name, value) VALUES ('', '', 'null')")
        )
        transaction.rollback()


def stored_version(connection: Connection) -> str | None:
    """Return the schema version of the database; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(connection: Connection, revision: str) -> None:
    """Bring the schema to *revision*, forward or back ("base" for an empty database)."""
    from alembic import command  # noqa: PLC0415  # loaded only when there is something to migrate
    from alembic.config import Config  # noqa: PLC0415

    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    present = stored_version(connection)
    if revision != "base" and (present is None or present <= revision):
        command.upgrade(configuration, revision)
    else:
        command.downgrade(configuration, revision)


def _refuse_newer(version: str | None) -> None:
    known = {path.name.split("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")}
    if version is None or version in known:
        return
    raise ConfigurationError(
        f"The ledger has schema version {version}, this connector knows versions up to {HEAD}.",
        system="ledger",
        code="ledger_newer",
        remedy="Install the newer version of the connector that migrated the ledger.",
    )
