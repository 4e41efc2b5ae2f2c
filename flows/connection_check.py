"""Check both systems with real, read-only calls before anything else depends on them."""

from __future__ import annotations

from typing import Literal

from prefect import flow

from flows.connection_name import ConnectionName
from ml_connector.errors import ConfigurationError
from ml_connector.exchange.checks import CheckLine
from tasks.batches import Scope
from tasks.connection_checks import check_prefect, check_systems, sign_in
from tasks.connector_events import tell_refusals
from tasks.health import publish_health
from tasks.open_systems import open_systems
from tasks.run_artifacts import publish_checks


@flow(name="check-connections", flow_run_name="{connection}")
async def check_connections(
    connection: ConnectionName, depth: Literal["full", "sign-in"] = "full"
) -> list[CheckLine]:
    """Ping Salesforce and Business Central and list what is missing, with the remedy.

    Started by a person, and daily. Writes nothing to either system. Fails when a line is blocking,
    since no other flow could do its work then.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
        depth: The full list, or only what every run needs to begin.
    """
    async with open_systems(connection, "read-only") as systems:
        scope = Scope(systems)
        if depth == "full":
            lines = [*await check_systems(scope), *await check_prefect(scope)]
            await publish_checks(connection, lines)
            await publish_health(scope)
        else:
            lines = await sign_in(scope)
        tell_refusals(connection, lines)
        require_no_blocking(lines)
        return lines


def require_no_blocking(lines: list[CheckLine]) -> None:
    """Stop the run when a line is blocking.

    Raises: ConfigurationError with the first blocking line's code, message and remedy.
    """
    for line in lines:
        if line.level == "blocking":
            raise ConfigurationError(line.message, code=line.code, remedy=line.remedy)
