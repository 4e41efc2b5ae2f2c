"""`ml-connector deploy NAME`: every flow on the Prefect server, with its work pool."""

from __future__ import annotations

from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, Result, run_command
from ml_connector.cli.prefect_programs import project_folder


def deploy(name: Name, as_json: Json = False) -> None:
    """Deploy every flow of this checkout; schedules begin switched off, with NAME filled in.

    Run it again after an upgrade, and for each further connection: schedules stay as you set them.
    """
    run_command(lambda: _deploy(name), as_json=as_json)


async def _deploy(name: str) -> Result:
    from blocks.connected_systems import load_connection
    from deployments.deploying import deploy as deploy_flows

    await load_connection(name)
    project = project_folder()
    await deploy_flows(project, name)

    def say(console: Console) -> None:
        console.print(
            f"Every flow is deployed from {project}. Next: ml-connector automations, start a worker"
            " with `prefect worker start --pool ml-connector`, and switch schedules on in the UI.",
            markup=False,
            highlight=False,
        )

    return Result({"connection": name, "project": str(project)}, DONE, say)
