"""`ml-connector status NAME`: what stands in a connection, and what needs someone."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, STUCK, Result, run_command
from ml_connector.cli.record_tables import STATES, records_table


def status(name: Name, as_json: Json = False) -> None:
    """List what waits, is parked or left out in the connection NAME, and its feeds."""
    run_command(lambda: status_of(name), as_json=as_json)


async def status_of(name: str) -> Result:
    """Return what the ledger says about the connection *name*; no vendor is called."""
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.report import connection_status
    from ml_connector.exchange.systems import Systems

    settings = await load_connection(name)

    def read() -> dict[str, Any]:
        with Systems.open(settings) as systems:
            return connection_status(systems)

    document = await asyncio.to_thread(read)
    counts = document["counts"]
    stuck = counts.get("waiting", 0) + counts.get("parked", 0)
    return Result(document, STUCK if stuck else DONE, lambda console: say_status(console, document))


def say_status(console: Console, document: dict[str, Any]) -> None:
    """Print counts, what has to be cured and how much waits for it, the records, the feeds."""
    counts = document["counts"]
    console.print(", ".join(f"{counts.get(state, 0)} {state}" for state in STATES), highlight=False)
    for group in document["groups"]:
        console.print(f"{group['sentence']} ({group['owner']})", highlight=False, markup=False)
    if document["records"]:
        console.print(records_table(document["records"]))
    for feed in document["feeds"]:
        told = "newest change" if feed["last_confirmed_at"] else "never up since it was tried"
        console.print(
            f"feed {feed['name']}: {feed['state']}, {told} {feed['lag_seconds']} s ago",
            highlight=False,
            markup=False,
        )
    for budget in document["budgets"]:
        console.print(
            f"budget {budget['name']}: {budget['state']}, {budget['used']} of {budget['limit']} "
            f"used, {budget['forecast']} expected, {budget['reserved']} kept for orders",
            highlight=False,
            markup=False,
        )
    last = document["last_sync"]
    if last:
        console.print(
            f"last sync {last['started_at']}, flow run {last['flow_run_id']}", highlight=False
        )
