"""Faults of the database while running, in the connector's own terms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import create_engine, text

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import ConnectorError, TransientError
from ml_connector.ledger.ledger import ConnectionLedger, Ledger, Record


@pytest.mark.postgres
def test_a_lost_connection_is_transient_and_heals(
    postgres_server: object, make_record: Callable[..., Record]
) -> None:
    """Closed by the server inside a transaction: nothing is stored, the next one works."""
    name = postgres_server.new_database()  # type: ignore[attr-defined]  # of the fixture
    kill = sql.SQL(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = {} AND application_name = 'ml-connector'"
    ).format(sql.Literal(name))
    with Ledger.open(postgres_server.url(name)) as store:  # type: ignore[attr-defined]  # of the fixture
        ledger, record = store.connection("acme"), make_record(1)
        with pytest.raises(TransientError) as raised, ledger.transaction() as tx:
            tx.save(make_record(2))
            postgres_server.execute(kill)  # type: ignore[attr-defined]  # of the fixture
            tx.save(record)

        assert raised.value.code == "ledger_unreachable"
        assert ledger.counts() == {}
        with ledger.transaction() as tx:
            tx.save(record)
        assert ledger.counts() == {"order": {"waiting": 1}}


@pytest.mark.postgres
def test_a_database_that_is_gone_is_transient(postgres_server: object) -> None:
    """A server that refuses new connections while running: the next run tries again."""
    name = postgres_server.new_database()  # type: ignore[attr-defined]  # of the fixture
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    with Ledger.open(postgres_server.url(name)) as store:  # type: ignore[attr-defined]  # of the fixture
        postgres_server.execute(drop)  # type: ignore[attr-defined]  # of the fixture

        with pytest.raises(TransientError) as raised:
            store.ping()

    assert raised.value.code == "ledger_unreachable"


def test_a_locked_file_is_transient(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    """Another process that never lets go makes us give up, not lose anything."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger.open(url + "?timeout=0.2") as store:
        ledger = store.connection("acme")
        other = create_engine(url)
        with other.connect() as blocker:
            blocker.exec_driver_sql("BEGIN IMMEDIATE")
            with pytest.raises(TransientError) as raised, ledger.transaction() as tx:
                tx.save(make_record(1))
            blocker.rollback()
        other.dispose()

    assert raised.value.code == "ledger_busy"


def test_a_damaged_schema_is_reported_without_values(
    ledger: ConnectionLedger, ledger_url: str, make_record: Callable[..., Record]
) -> None:
    """What was being stored never reaches the message."""
    engine = create_engine(ledger_url)
    with engine.begin() as db:
        db.execute(text("DROP TABLE records"))
    engine.dispose()

    with pytest.raises(ConnectorError) as raised, ledger.transaction() as tx:
        tx.save(make_record(1, message="Ada Lovelace"))

    assert raised.value.code == "ledger_refused"
    assert "Ada" not in str(raised.value) + str(raised.value.__cause__)


def test_a_time_without_zone_is_refused(ledger: ConnectionLedger, now: datetime) -> None:
    """A naive time would mean another instant on another computer."""
    naive = Record.first_seen(Kind.ORDER, "a", now=now.replace(tzinfo=None))

    with pytest.raises(Exception, match="needs a zone"), ledger.transaction() as tx:
        tx.save(naive)


def test_a_thread_stores_for_one_connection_at_a_time(store: Ledger) -> None:
    """Two connections in one transaction would be one commit for two orgs."""
    first, second = store.connection("a").transaction(), store.connection("b").transaction()

    with first, pytest.raises(RuntimeError), second:
        pass
