"""`ml-connector replay NAME`: run parked or chosen records again, in the order of causes."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import Result, run_command
from ml_connector.cli.record_tables import STATES, records_table
from ml_connector.errors import ConfigurationError

Ids = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="X", help="Id or number of a record; can be given repeatedly."),
]
CauseText = Annotated[
    str, typer.Option("--cause", metavar="C", help="Every waiting or parked record of a cause.")
]
Since = Annotated[
    str,
    typer.Option("--since", metavar="T", help="Every record changed or dealt with since then."),
]
Everything = Annotated[bool, typer.Option("--all", help="Every waiting or parked record.")]


def replay(
    name: Name,
    record_ids: Ids = None,
    cause: CauseText = "",
    since: Since = "",
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Decide on records of the connection NAME again, as they are now.

    Exit code 0 when nothing waits or is parked in the connection afterwards, 1 when something does.
    """
    run_command(
        lambda: replay_connection(name, record_ids or [], cause, since, everything=everything),
        as_json=as_json,
    )


async def replay_connection(
    name: str, record_ids: list[str], cause: str, since: str, *, everything: bool
) -> Result:
    """Run the `replay-records` flow for the connection *name*.

    Raises: ConnectorError when the selection makes no sense or a service stayed away.
    """
    from flows.record_replay import replay_records

    document = await replay_records(name, record_ids, cause, instant_of(since), everything)
    return Result(document, document["exit_code"], lambda console: say(console, document))


def instant_of(text: str) -> datetime | None:
    """Return the time that *text* says, None when it is empty.

    Raises: ConfigurationError when it is no ISO-8601 time with its zone.
    """
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ConfigurationError(
            f"{text!r} is no time with its zone.",
            code="usage",
            remedy="Write it as 2026-03-01T08:00:00Z.",
        )
    return at


def say(console: Console, document: dict[str, Any]) -> None:
    """Print how many records were run again, and those that still need someone."""
    records = document["records"]
    counts = Counter(record["state"] for record in records)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    console.print(f"{len(records)} replayed: {told or 'nothing'}", highlight=False)
    stuck = [record for record in records if record["state"] in ("waiting", "parked")]
    if stuck:
        console.print(records_table(stuck))
    console.print(f"flow run {document['flow_run_id']}", style="dim", highlight=False)
