"""`ml-connector listen NAME`: change events in, acted on at once, until it is stopped."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, STUCK, Result, run_command, said_of

Minutes = Annotated[
    float | None,
    typer.Option(help="End after so many minutes; without it, listen until stopped.", min=0.01),
]


def listen(name: Name, minutes: Minutes = None, as_json: Json = False) -> None:
    """Take change events of the connection NAME in and act on each within seconds.

    Runs the capture-changes flow one run after another; stop it with Ctrl-C or SIGTERM. A second
    listener stands by and takes over when the first is gone.
    """
    run_command(lambda: listen_to(name, minutes), as_json=as_json)


async def listen_to(name: str, minutes: float | None) -> Result:
    """Run `capture-changes` for the connection *name*, again and again without *minutes*."""
    from flows.change_capture import capture_changes

    rounds = 0
    while True:
        rounds += await (
            capture_changes(name) if minutes is None else capture_changes(name, minutes)
        )
        if minutes is not None:
            break

    def say(console: Console) -> None:
        console.print(f"{rounds} rounds of changes were handed over")

    return Result({"connection": name, "rounds": rounds}, DONE, say)


def poll(name: Name, as_json: Json = False) -> None:
    """Read what events missed in the connection NAME, on both sides, and act on it."""
    run_command(lambda: poll_connection(name), as_json=as_json)


async def poll_connection(name: str) -> Result:
    """Run `poll-changes` once for the connection *name*.

    Raises: ConnectorError when the run could not begin or was ended by a fault that no record has.
    """
    from flows.change_poll import poll_changes
    from tasks.batches import BatchesFailed

    try:
        outcome = await poll_changes(name)
    except BatchesFailed as fault:
        message = fault.message
        document = {"connection": name, "fault": said_of(fault)}
        return Result(document, STUCK, lambda console: console.print(message))
    counts = {str(each): number for each, number in outcome.in_all().items()}
    stuck = counts.get("waiting", 0) or counts.get("parked", 0)
    return Result(
        {"connection": name, "counts": counts},
        STUCK if stuck else DONE,
        lambda console: console.print(str(outcome)),
    )
