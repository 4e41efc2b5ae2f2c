"""`ml-connector drain` and `resume`: let workers finish before they are restarted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json
from ml_connector.cli.output import DONE, STUCK, Result, run_command

Seconds = Annotated[
    float, typer.Option("--timeout", min=0, help="How many seconds to wait for the runs.")
]


def drain(timeout_seconds: Seconds = 600, as_json: Json = False) -> None:
    """Let nothing new begin, and wait until the runs of the work pool have ended.

    Run it before restarting workers, `ml-connector resume` afterwards. Exit code 1 when runs are
    left after the time-out.
    """
    run_command(lambda: _drain(timeout_seconds), as_json=as_json)


def resume(as_json: Json = False) -> None:
    """Let the workers begin runs again after a drain; what became due meanwhile begins now."""
    run_command(_resume, as_json=as_json)


async def _drain(seconds: float) -> Result:
    from deployments.drain import drain as drain_pool

    drained = await drain_pool(seconds)

    def say(console: Console) -> None:
        for name in drained.waited_for:
            state = "still going" if name in drained.left else "ended"
            console.print(f"{state:<12} {name}", markup=False, highlight=False)
        if drained.left:
            console.print(
                f"{len(drained.left)} runs are left. Wait with `ml-connector drain` again, or"
                " cancel them in the Prefect UI."
            )
        else:
            console.print("Nothing runs; the workers can be restarted. Then: ml-connector resume")

    return Result(asdict(drained), STUCK if drained.left else DONE, say)


async def _resume() -> Result:
    from deployments.drain import resume as resume_pool

    await resume_pool()
    return Result({"resumed": True}, DONE, lambda console: console.print("Runs begin again."))
