"""What Prefect is told when a system does not let the connector in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from ml_connector.cli.check import check_connection
from ml_connector.cli.listen import poll_connection
from ml_connector.cli.output import DID_NOT_RUN, Result, failure
from ml_connector.cli.sync import sync_connection
from ml_connector.errors import ConnectorError
from tasks import connector_events as told
from tasks.connector_events import CREDENTIALS_REFUSED

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

pytestmark = pytest.mark.slow

Command = Callable[[str], Awaitable[Result]]


@pytest.mark.parametrize(
    ("command", "switch"),
    [
        (check_connection, {"app_registered": False}),
        (check_connection, {"app_roles": []}),
        (sync_connection, {"app_registered": False}),
        (poll_connection, {"app_registered": False}),
    ],
)
def test_every_command_that_is_not_let_in_tells_so_once(
    connection: str,
    running_sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
    switch: dict[str, Any],
) -> None:
    """One event with system, message and remedy, by whichever command the refusal is met."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(told, "emit_event", lambda **event: events.append(event))
    path = "/business-central/switches"
    running_sandbox.admin.post(path, json=switch).raise_for_status()

    try:
        result = asyncio.run(_result(command, connection))
    finally:
        back = {"app_registered": True, "app_roles": ["API.ReadWrite.All"]}
        running_sandbox.admin.post(path, json=back).raise_for_status()

    assert result.exit_code == DID_NOT_RUN
    (event,) = [each for each in events if each["event"] == CREDENTIALS_REFUSED]
    assert event["resource"]["prefect.resource.id"] == f"ml-connector.connection.{connection}"
    assert event["payload"]["system"] == "business_central"
    assert event["payload"]["message"]
    assert event["payload"]["remedy"]


async def _result(command: Command, connection: str) -> Result:
    try:
        return await command(connection)
    except ConnectorError as error:
        return failure(error)
