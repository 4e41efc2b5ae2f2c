"""A small sandbox for the examinations, and what runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import start_sandbox, stop_sandbox
from tests.examination.examination import (
    SANDBOX_ARGUMENTS,
    Examination,
    keep_start,
    settings_for,
)
from tests.examination.workers import warm_up
from tests.examination.world import World
from tests.integration.conftest import PostgresServer, postgres_server

__all__ = ["postgres_server"]


@pytest.fixture(scope="session")
def examined_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """The examinations' own sandbox and its connection file."""
    sandbox = start_sandbox(tmp_path_factory.mktemp("examined"), *SANDBOX_ARGUMENTS)
    world = World(sandbox.line["admin_url"])
    keep_start(world)
    file = sandbox.line["connection_file"]
    ledger = tmp_path_factory.mktemp("warm-up") / "ledger.db"
    warm_up(settings_for(file, f"sqlite:///{ledger}"))
    yield world, file
    world.close()
    stop_sandbox(sandbox)


@pytest.fixture
def examination(examined_world: tuple[World, str], tmp_path: Path) -> Examination:
    """Runs examinations; each sets the sandbox back to its first state."""
    world, connection_file = examined_world
    return Examination(world, connection_file, tmp_path)


@pytest.fixture
def postgres_ledger(postgres_server: PostgresServer) -> str:
    """Url of an empty ledger on PostgreSQL."""
    return postgres_server.url(postgres_server.new_database())
