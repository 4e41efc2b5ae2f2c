"""`ml-connector package`: build the Salesforce package, or deploy it into a connection's org."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DID_NOT_RUN, DONE, Result, run_command

if TYPE_CHECKING:
    from ml_connector.configuration.settings import ConnectionSettings
    from ml_connector.salesforce.deployment import Deployment

package = typer.Typer(
    help="Build the Salesforce package, or deploy it through the Metadata API.",
    no_args_is_help=True,
)

Source = Annotated[
    Path | None, typer.Option(help="Folder of the package; the repository's own without it.")
]


@package.command()
def build(
    out: Annotated[Path, typer.Option(help="The archive to write.")] = Path("package.zip"),
    source: Source = None,
    api_version: Annotated[str, typer.Option(help="API version of the manifest.")] = "65.0",
    as_json: Json = False,
) -> None:
    """Write the package as the archive that the Metadata API and other tools take."""
    run_command(lambda: build_archive(out, source, api_version), as_json=as_json)


@package.command()
def deploy(
    name: Name,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Let the org examine it; change nothing.")
    ] = False,
    assign: Annotated[
        bool, typer.Option("--assign", help="Assign the permission set to the run-as user.")
    ] = False,
    source: Source = None,
    as_json: Json = False,
) -> None:
    """Deploy fields, permission set and change events into the org of the connection NAME.

    All or nothing; deploying again changes nothing. The run-as user needs the permission to modify
    metadata for it. Exit code 2 when a component is refused.
    """
    run_command(
        lambda: deploy_package(name, source, check_only=check_only, assign=assign),
        as_json=as_json,
    )


async def build_archive(out: Path, source: Path | None, api_version: str) -> Result:
    """Write the archive to *out*."""
    from ml_connector.salesforce.package_archive import package_archive, package_folder

    content = package_archive(source or package_folder(), api_version)
    await asyncio.to_thread(out.write_bytes, content)
    document = {"file": str(out), "bytes": len(content), "api_version": api_version}
    return Result(
        document, DONE, lambda console: console.print(f"{out}: {len(content)} bytes", markup=False)
    )


async def deploy_package(
    name: str, source: Path | None, *, check_only: bool, assign: bool
) -> Result:
    """Deploy the package into the org of the connection *name*."""
    from blocks.connected_systems import load_connection

    settings = await load_connection(name)
    return await asyncio.to_thread(
        deploy_to, settings, source, check_only=check_only, assign=assign
    )


def deploy_to(
    settings: ConnectionSettings, source: Path | None, *, check_only: bool, assign: bool
) -> Result:
    """Deploy the package and, when asked to, assign its permission set; return what happened.

    Raises: ConfigurationError when the user may not deploy or assign.
    """
    from ml_connector.errors import ConnectorError
    from ml_connector.salesforce.client import SalesforceClient
    from ml_connector.salesforce.deployment import (
        assign_permission_set,
        deploy,
        not_permitted,
    )
    from ml_connector.salesforce.package_archive import package_archive, package_folder

    archive = package_archive(source or package_folder(), settings.salesforce.api_version)
    with SalesforceClient(settings.salesforce) as client:
        try:
            deployment = deploy(client, archive, check_only=check_only)
        except ConnectorError as error:
            raise not_permitted(error) from error
        assigned = None
        if assign and deployment.succeeded and not check_only:
            assigned = assign_permission_set(client)
    return _result(settings.name, deployment, assigned)


def _result(connection: str, deployment: Deployment, assigned: bool | None) -> Result:
    document: dict[str, Any] = {
        "connection": connection,
        "deployment_id": deployment.id,
        "check_only": deployment.check_only,
        "succeeded": deployment.succeeded,
        "status": deployment.status,
        "message": deployment.message,
        "components": [each.to_json() for each in deployment.components],
        "assigned": assigned,
    }
    code = DONE if deployment.succeeded else DID_NOT_RUN
    return Result(document, code, lambda console: _say(console, deployment, assigned))


def _say(console: Console, deployment: Deployment, assigned: bool | None) -> None:
    def line(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    for each in deployment.failures:
        place = f", line {each.line}" if each.line else ""
        line(f"{each.kind} {each.name}{place}: {each.problem}")
    states = [each.state for each in deployment.components]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    verb = "examined" if deployment.check_only else "deployed"
    outcome = verb if deployment.succeeded else f"not {verb}; nothing was changed"
    line(f"deployment {deployment.id} {outcome}: {counts or deployment.message or 'nothing'}")
    if assigned is not None:
        line("permission set assigned" if assigned else "permission set was assigned before")
