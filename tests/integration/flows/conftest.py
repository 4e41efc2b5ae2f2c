"""A throw-away Prefect server for the flow tests, and a connection to the running sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.settings import Settings, temporary_settings
from prefect.settings.legacy import _get_settings_fields
from prefect.testing.utilities import prefect_test_harness

from ml_connector.cli.connect import connect_file
from ml_connector.cli.prefect_environment import shipped_settings

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One server for the session, set up like the ones the connector starts."""
    fields = _get_settings_fields(Settings)
    shipped: dict[Any, Any] = {fields[name]: value for name, value in shipped_settings().items()}
    with temporary_settings(shipped), prefect_test_harness(180):
        yield


@pytest.fixture
def connection_file(running_sandbox: RunningSandbox, tmp_path: Path) -> Path:
    """The sandbox's connection file under a name and with a ledger of the test's own."""
    source = Path(running_sandbox.line["connection_file"])
    text = source.read_text(encoding="utf-8")
    for name in ("salesforce.secret", "business_central.secret", "ca.pem"):
        text = text.replace(f'file:{name}"', f'file:{source.parent / name}"')
        text = text.replace(f'"{name}"', f'"{source.parent / name}"')
    file = tmp_path / "connection.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def connection(prefect_server: None, connection_file: Path) -> str:
    """The name of a saved connection to the sandbox in its first state."""
    del prefect_server
    result = asyncio.run(connect_file(connection_file))
    return str(result.document["connection"])
