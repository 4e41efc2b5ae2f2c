"""Databases for the integration tests: SQLite files, and a PostgreSQL server of the test run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ml_connector.business_central import pacing

START_SECONDS = 60
PR_SET_PDEATHSIG = 1


def find_program(name: str) -> str:
    """Return the newest installed PostgreSQL program of that name, or fail with what to do."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or (str(installed[0]) if installed else "")
    if not found:
        pytest.fail(
            f"PostgreSQL's server program {name} is not installed. Install the package "
            "`postgresql` (Debian: apt-get install postgresql), or leave these tests out with "
            "`-m 'not postgres'`.",
            pytrace=False,
        )
    return found


def unprivileged_user() -> str | None:
    """Return whom the server runs as: PostgreSQL refuses to run as root; None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.fail("Running as root, and there is neither a user postgres nor nobody to run as.")


def stop_with_parent() -> None:
    """Ask the kernel to stop the server when the test run dies before it could."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def as_user(user: str | None) -> dict[str, object]:
    """Return the arguments that make subprocess run a program as *user*."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class PostgresServer:
    """A PostgreSQL server of this test run, reached by a socket file only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def url(self, database: str) -> str:
        """Return the ledger url of one of its databases."""
        return f"postgresql+psycopg://ledger@/{database}?host={self.directory}"

    def new_prefect_database(self) -> str:
        """Make an empty database and return its url as a Prefect server wants it."""
        return f"postgresql+asyncpg://ledger@/{self.new_database()}?host={self.directory}"

    def execute(self, statement: sql.SQL | sql.Composed, database: str = "postgres") -> None:
        """Run one statement as the server's administrator."""
        with psycopg.connect(
            host=str(self.directory), user="ledger", dbname=database, autocommit=True
        ) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"ledger_{uuid.uuid4().hex}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name


@pytest.fixture(autouse=True)
def unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lift the client's own share of 6,000 requests in five minutes.

    One test process stands for hundreds of runs of one app; keeping to its allowance would make
    the tests wait for minutes. The pace itself has unit tests.
    """
    monkeypatch.setattr(pacing, "REQUESTS_PER_WINDOW", 1_000_000_000)


@pytest.fixture
def running_sandbox(shared_sandbox: Any) -> Any:
    """The session's sandbox in its first state, with Business Central's rate limit lifted.

    Its clock is real, so that hundreds of runs within five minutes would be refused.
    """
    shared_sandbox.admin.post("/restore", json={"name": "fresh"}).raise_for_status()
    shared_sandbox.admin.post(
        "/business-central/switches", json={"rate_scale": 0}
    ).raise_for_status()
    return shared_sandbox


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server from the installed programs, for the whole test run."""
    initdb, postgres = find_program("initdb"), find_program("postgres")
    user = unprivileged_user()
    directory = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir="/tmp"))  # a socket's path is short
    if user is not None:
        shutil.chown(directory, user, pwd.getpwnam(user).pw_gid)
    data, log = directory / "data", directory / "log"
    made = subprocess.run(
        [initdb, "-D", data, "-U", "ledger", "-A", "trust", "-E", "UTF8", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        **as_user(user),  # type: ignore[call-overload]  # keywords of subprocess, by platform
    )
    assert made.returncode == 0, made.stderr
    with log.open("w") as output:
        server = subprocess.Popen(
            [postgres, "-D", data, "-k", directory, "-h", "", "-c", "fsync=off"],
            stdout=output,
            stderr=output,
            cwd=directory,
            preexec_fn=stop_with_parent,  # noqa: PLW1509  # one system call, no Python lock taken
            **as_user(user),  # type: ignore[call-overload]  # keywords of subprocess, by platform
        )
    try:
        found = PostgresServer(directory)
        wait_until_ready(found, server, log)
        yield found
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)


def wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server takes connections; fail with its log when it ends instead."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}", pytrace=False)
            time.sleep(0.05)
        else:
            return


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Url of an empty ledger database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.new_database())
