"""`ml-connector automations`: what operators are told, installed on the Prefect server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json
from ml_connector.cli.output import DONE, Result, run_command


def automations(
    notify: Annotated[
        str | None,
        typer.Option(
            help="Where messages go: TYPE/NAME of a Block, such as slack-webhook/operations;"
            ' "" for nowhere.'
        ),
    ] = None,
    parked_above: Annotated[
        int | None, typer.Option(min=0, help="Tell when more records than this are parked; 10.")
    ] = None,
    quiet_minutes: Annotated[
        float | None, typer.Option(min=0, help="Tell the same thing once in so many minutes; 60.")
    ] = None,
    renewal_hours: Annotated[
        float | None,
        typer.Option(min=0.01, help="Tell when subscriptions were not renewed for so long; 24."),
    ] = None,
    dark_minutes: Annotated[
        float | None,
        typer.Option(min=0.5, help="Tell when nothing was heard from a connection so long; 130."),
    ] = None,
    stranded_seconds: Annotated[
        float | None,
        typer.Option(min=40, help="Close a run without a heartbeat for so long; 180."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Install the automations on the Prefect server, or bring them up to date.

    Options that are not given stay as they were. Automations of others, and switches set by hand,
    stay as they are.
    """
    given = {
        "notify": notify,
        "parked_above": parked_above,
        "quiet_seconds": None if quiet_minutes is None else quiet_minutes * 60,
        "renewal_seconds": None if renewal_hours is None else renewal_hours * 3600,
        "dark_seconds": None if dark_minutes is None else dark_minutes * 60,
        "stranded_seconds": stranded_seconds,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    run_command(lambda: install(changes), as_json=as_json)


async def install(changes: dict[str, Any]) -> Result:
    """Install the automations with these settings changed."""
    from deployments.automations import install_automations

    done = await install_automations(**changes)

    def say(console: Console) -> None:
        for word in ("created", "updated", "unchanged", "removed"):
            for name in getattr(done, word):
                console.print(f"{word:<10} {name}", markup=False, highlight=False)
        to = done.settings.notify or "nobody; the event feed of the Prefect UI shows them"
        console.print(f"Messages go to {to}.", markup=False, highlight=False)

    return Result(asdict(done), DONE, say)
