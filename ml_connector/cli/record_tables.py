"""Tables of records and counts, as several commands print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

STATES = ("written", "unchanged", "waiting", "parked", "excluded")

_STYLES = {"waiting": "yellow", "parked": "red", "excluded": "dim", "written": "green"}

ROWS = 200


def counts_table(by_kind: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the counts by kind and state."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for state in STATES:
        table.add_column(state, justify="right")
    for kind, counts in by_kind.items():
        table.add_row(kind, *(str(counts.get(state, 0) or "·") for state in STATES))
    return table


def records_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Return the records with state, reason and remedy; long lists are cut and say so."""
    table = Table(box=None, pad_edge=False, show_header=True)
    for heading in ("record", "state", "why and what to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "state")
    for record in records[:ROWS]:
        number = record["salesforce_number"] or record["bc_number"] or record["salesforce_id"]
        text = Text(f"{record['message']} ")
        if record["remedy"]:
            text.append(f"{record['remedy']} ({record['owner']})", style="dim")
        if record["state"] in ("waiting", "parked"):
            since, tried = str(record["since"])[:16].replace("T", " "), record["attempts"]
            text.append(f" Since {since}, tried {tried} times.", style="dim")
        state = str(record["state"])
        address = record.get("links", {}).get("salesforce", "")
        name = Text(f"{record['kind']} {number}", style=f"link {address}" if address else "")
        table.add_row(name, Text(state, style=_STYLES.get(state, "")), text)
    if len(records) > ROWS:
        table.add_row(Text(f"… {len(records) - ROWS} more"), "", Text("--json lists all"))
    return table
