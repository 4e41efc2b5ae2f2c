"""`ml-connector check NAME`: what both systems and Prefect lack, with the remedy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DID_NOT_RUN, DONE, STUCK, Result, run_command

if TYPE_CHECKING:
    from ml_connector.exchange.checks import CheckLine

_STYLES = {"ok": "green", "notice": "cyan", "warning": "yellow", "blocking": "bold red"}


def check(name: Name, as_json: Json = False) -> None:
    """Ask both systems and Prefect for everything the connector needs; writes nothing.

    Exit code 1 on a warning, 2 on a blocking line.
    """
    run_command(lambda: check_connection(name), as_json=as_json)


async def check_connection(name: str) -> Result:
    """Return the preflight list of the connection *name*.

    Effect: emits an event per system that refuses the connection's credentials.
    """
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.checks import check_lines
    from tasks.connector_events import tell_refusals
    from tasks.prefect_checks import prefect_lines

    settings = await load_connection(name)
    lines = [*await asyncio.to_thread(check_lines, settings), *await prefect_lines()]
    tell_refusals(name, lines)
    return Result(
        {"lines": [line.to_json() for line in lines]},
        exit_code_of(lines),
        lambda console: say_lines(console, lines),
    )


def exit_code_of(lines: list[CheckLine]) -> int:
    """Return 2 when a line is blocking, 1 when one is a warning, else 0."""
    levels = {str(line.level) for line in lines}
    if "blocking" in levels:
        return DID_NOT_RUN
    return STUCK if "warning" in levels else DONE


def say_lines(console: Console, lines: list[CheckLine]) -> None:
    """Print the lines as a table, remedies below their findings."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        level = str(line.level)
        table.add_row(Text(level, style=_STYLES[level]), Text(line.message))
        if line.remedy:
            table.add_row("", Text(line.remedy, style="dim"))
        if line.page:
            table.add_row("", Text(f"where: {line.page}", style="dim"))
    console.print(table)
