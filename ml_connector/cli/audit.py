"""`ml-connector audit NAME RECORD`: everything that happened to one record."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, Result, run_command
from ml_connector.cli.record_tables import records_table
from ml_connector.errors import RecordNotFound

RecordText = Annotated[
    str, typer.Argument(metavar="RECORD", help="Id or number of the record in either system.")
]


def audit(name: Name, record: RecordText, as_json: Json = False) -> None:
    """Show what was decided and written about RECORD, when, by which rule and in which run."""
    run_command(lambda: audit_of_record(name, record), as_json=as_json)


async def audit_of_record(name: str, text: str) -> Result:
    """Return the audit trail of the record that *text* names.

    Raises: RecordNotFound when the connection has never seen it.
    """
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.report import audit_of
    from ml_connector.exchange.systems import Systems

    settings = await load_connection(name)

    def read() -> dict[str, Any] | None:
        with Systems.open(settings) as systems:
            return audit_of(systems, text)

    document = await asyncio.to_thread(read)
    if document is None:
        raise RecordNotFound(
            f"The connection {name!r} has never seen a record {text!r}.",
            code="unknown_record",
            remedy="Give the id or number the record has in Salesforce or Business Central.",
        )
    found = document
    return Result(found, DONE, lambda console: say_audit(console, found))


def say_audit(console: Console, document: dict[str, Any]) -> None:
    """Print the record and its entries, oldest first."""
    console.print(records_table([document["record"]]))
    table = Table(box=None, pad_edge=False)
    for heading in ("at", "direction", "action", "outcome", "rule", "flow run"):
        table.add_column(heading, overflow="fold")
    for entry in document["entries"]:
        cells = (entry["at"], entry["direction"], entry["action"], entry["outcome"], entry["rule"])
        table.add_row(*(Text(str(cell or "")) for cell in (*cells, entry["flow_run_id"])))
    console.print(table)
