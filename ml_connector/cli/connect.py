"""`ml-connector connect FILE`: check a connection file and save it as Prefect Blocks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json
from ml_connector.cli.output import DONE, Result, run_command
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.errors import ConfigurationError

if TYPE_CHECKING:
    from blocks import Connection

File = Annotated[Path, typer.Argument(metavar="FILE", help="The connection file (TOML).")]


def connect(file: File, as_json: Json = False) -> None:
    """Check FILE, sign in to both systems and save the connection under its name.

    Run it again after changing the file or rotating a secret. Nothing is saved unless both systems
    accept the credentials.
    """
    run_command(lambda: connect_file(file), as_json=as_json)


async def connect_file(file: Path) -> Result:
    """Check and save the connection in *file*.

    Raises: ConfigurationError for a bad file, refused credentials, a wrong company, an unreachable
        host, or a Salesforce org that another connection serves.
    """
    from blocks.connected_systems import save_connection

    loaded = await asyncio.to_thread(load_connection_file, file)
    settings = loaded.settings
    found = await asyncio.to_thread(_ping, settings)
    await _require_free_organization(settings.name, found["organization_id"])
    await save_connection(settings, found["organization_id"])
    document = {"connection": settings.name, **found, "warnings": list(loaded.warnings)}

    def say(console: Console) -> None:
        for warning in loaded.warnings:
            console.print(f"warning: {warning}", markup=False, style="yellow")
        console.print(
            f"Connected {settings.name}: Salesforce organization {found['organization_id']} and"
            f" Business Central company {found['company']['name']}.",
            markup=False,
            highlight=False,
        )
        console.print(f"Next: ml-connector check {settings.name}", markup=False, highlight=False)

    return Result(document, DONE, say)


def _ping(settings: ConnectionSettings) -> dict[str, Any]:
    """Sign in to both systems and open the ledger; returns what the connection leads to."""
    from ml_connector.exchange.systems import Systems

    with Systems.open(settings) as systems:
        organization = systems.salesforce.organization_id
        company = systems.business_central.company()
        return {
            "organization_id": organization,
            "company": {"id": company.id, "name": company.display_name or company.name},
        }


async def _require_free_organization(name: str, organization_id: str) -> None:
    """Raise ConfigurationError when another connection serves the same Salesforce org."""
    for other, connection in await saved_connections():
        if other != name and connection.organization_id == organization_id:
            raise ConfigurationError(
                f"The connection {other!r} serves this Salesforce org ({organization_id}) already.",
                code="organization_taken",
                remedy=f"Use the name {other!r} in the file, or delete that one's Blocks first.",
            )


async def saved_connections() -> list[tuple[str, Connection]]:
    """Return every saved connection with its name."""
    from prefect import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    from blocks import Connection

    slug = str(Connection._block_type_slug)  # noqa: SLF001  # Prefect keeps the slug there
    async with get_client() as client:
        try:
            documents = await client.read_block_documents_by_type(slug)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:  # no connection was ever saved
                raise
            return []
    names = [document.name for document in documents if document.name]
    return [(name, await Connection.aload(name)) for name in names]
