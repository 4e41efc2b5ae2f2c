"""Opening the database: address, durability settings, and faults in the connector's own terms."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ml_connector.errors import ConfigurationError, ConnectorError, StaleClaim, TransientError

BUSY_SECONDS = 30
"""How long a write waits for another process's write; ours last milliseconds."""

CONNECT_SECONDS = 10

_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg"}
_SQLITE = {"sqlite", "sqlite+pysqlite"}
_WRITES = "ledger_writes"

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_UNUSABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_IOERR,
}
_SQLITE_TAKEN = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
_POSTGRESQL_BUSY = ("40", "55P03")
_POSTGRESQL_GONE = ("08", "57P", "53")
_POSTGRESQL_UNIQUE = "23505"
_POSTGRESQL_UNWRITABLE = ("25006", "42501", "3F000", "53100")

UNREACHABLE = "ledger_unreachable"
_REMEDY = (
    "Check [ledger] url in the connection file: the database has to exist, be reachable from here "
    "and let its user create and change tables."
)


def parse_url(url: str) -> URL:
    """Return *url* with the driver the connector uses.

    Raises: ConfigurationError (`ledger_url`), without repeating the address, which may hold a
    password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername not in _POSTGRESQL | _SQLITE:
        raise ConfigurationError(
            "The ledger's url is no sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
            system="ledger",
            code="ledger_url",
            remedy="Correct [ledger] url in the connection file.",
        ) from None
    if parsed.drivername in _POSTGRESQL:
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError(
            "The ledger's url names no file; a ledger has to outlast the process.",
            system="ledger",
            code="ledger_url",
            remedy="Write [ledger] url as sqlite:///ledger.db, or with another file name.",
        )
    return parsed


def describe(url: URL) -> str:
    """Return which database *url* means, for a message: no user, no password."""
    if url.get_backend_name() == "sqlite":
        return f"the SQLite file {url.database}"
    server = url.host or url.query.get("host") or "the local socket"
    port = f":{url.port}" if url.port else ""
    return f"the PostgreSQL database {url.database or ''} at {server}{port}"


def make_engine(url: URL, pool_size: int, *, durable: bool = True) -> Engine:
    """Return an engine whose transactions are durable when they are committed.

    Not *durable*, a SQLite file does not wait for the disk: for copies that nobody will miss.
    """
    arguments: dict[str, Any] = (
        {"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256}
        if url.get_backend_name() == "sqlite"
        else {"connect_timeout": CONNECT_SECONDS, "application_name": "ml-connector"}
    )
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    engine = create_engine(
        url,
        connect_args=arguments,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=url.get_backend_name() != "sqlite",
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite if durable else _prepare_copy)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing(connection: Connection) -> Connection:
    """Return *connection* so that its next transaction takes SQLite's write lock at once."""
    return connection.execution_options(**{_WRITES: True})


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set what SQLite forgets with each connection; transactions are begun by us."""
    connection.isolation_level = None
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")


def _prepare_copy(connection: sqlite3.Connection, record: object) -> None:
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA synchronous = OFF")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def opening(url: URL) -> Iterator[None]:
    """Turn every database fault inside into a ConfigurationError that shows no password."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise ConfigurationError(
            f"The ledger cannot be used: {describe(url)}: {_reason(error, url)}",
            system="ledger",
            code=UNREACHABLE,
            remedy=_REMEDY,
        ) from None


def _reason(error: Exception, url: URL) -> str:
    """Return what the database said, in one line and without a password."""
    said = str(error.orig if isinstance(error, DBAPIError) else error)
    reason = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    if url.get_backend_name() == "sqlite" and url.database:
        directory = Path(url.database).parent
        if not directory.is_dir():
            reason = f"the directory {directory} does not exist"
    secrets = [url.password, url.query.get("password")]
    for secret in secrets:
        if isinstance(secret, str) and secret:
            reason = reason.replace(secret, "***")
    return reason.rstrip(".") + "."


@contextmanager
def translated() -> Iterator[None]:
    """Turn database faults inside into the connector's errors; values never reach the message."""
    try:
        yield
    except PoolTimeout as error:
        raise _busy() from error
    except DBAPIError as error:
        raise _fault(error) from error


def _busy() -> TransientError:
    return TransientError(
        "The ledger is busy: another process kept it locked for too long.",
        system="ledger",
        code="ledger_busy",
    )


def _unusable() -> ConfigurationError:
    return ConfigurationError(
        "The ledger's database does not take writes: read-only, full or damaged.",
        system="ledger",
        code=UNREACHABLE,
        remedy=_REMEDY,
    )


def _fault(error: DBAPIError) -> ConnectorError:
    """Return our error for a driver's, by its code and never by its text."""
    extended = getattr(error.orig, "sqlite_errorcode", None)
    primary = extended & 0xFF if isinstance(extended, int) else None
    state = getattr(error.orig, "sqlstate", None) or ""
    if primary in _SQLITE_BUSY or state.startswith(_POSTGRESQL_BUSY):
        return _busy()
    if primary in _SQLITE_UNUSABLE or state.startswith(_POSTGRESQL_UNWRITABLE):
        return _unusable()
    if extended in _SQLITE_TAKEN or state == _POSTGRESQL_UNIQUE:
        return _taken()
    silent = primary is None and not state and isinstance(error.orig, _connection_faults())
    if error.connection_invalidated or silent or state.startswith(_POSTGRESQL_GONE):
        return _gone()
    return ConnectorError(
        f"The ledger refused a statement ({state or primary or type(error.orig).__name__}).",
        system="ledger",
        code="ledger_refused",
    )


def _taken() -> StaleClaim:
    return StaleClaim("Another worker stored the same first; this one stores nothing.")


def _gone() -> TransientError:
    return TransientError(
        "The connection to the ledger's database was lost.", system="ledger", code=UNREACHABLE
    )


def _connection_faults() -> type[Exception]:
    """Return psycopg's class of faults without a code: the server did not answer."""
    from psycopg import OperationalError  # noqa: PLC0415  # loaded only where PostgreSQL is used

    return OperationalError
