"""`ml-connector reconcile NAME`: do both sides agree, count and money?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, STUCK, Result, run_command

if TYPE_CHECKING:
    from ml_connector.exchange.findings import Finding, Reconciliation

ROWS = 200

_STYLES = {"ours": "cyan", "theirs": "red", "excluded": "dim"}

NoHeal = Annotated[
    bool, typer.Option("--no-heal", help="Write nothing: report what would be healed.")
]


def reconcile(name: Name, no_heal: NoHeal = False, as_json: Json = False) -> None:
    """Compare both sides of the connection NAME as they are now; heal what is the connector's.

    Exit code 0 when they agree, 1 on any difference but those a rule leaves out.
    """
    run_command(lambda: reconcile_connection(name, heal=not no_heal), as_json=as_json)


async def reconcile_connection(name: str, *, heal: bool = True) -> Result:
    """Run the `reconcile` flow for the connection *name* and return what it found."""
    from flows.reconciliation import reconcile as reconcile_flow

    found = await reconcile_flow(name, heal)
    return Result(
        found.to_json(), DONE if found.agree else STUCK, lambda console: say(console, found)
    )


def say(console: Console, report: Reconciliation) -> None:
    """Print the verdict, the money by currency, and every difference."""
    counts = report.counts()
    verdict = "both sides agree" if report.agree else "the two sides differ"
    console.print(
        f"{verdict}: {report.pairs} orders compared, {counts['ours']} differences ours"
        f" ({counts['healed']} healed), {counts['theirs']} theirs, {counts['excluded']} left out",
        highlight=False,
    )
    money = Table(box=None, pad_edge=False)
    for heading in ("state", "currency", "orders", "Salesforce", "Business Central", "difference"):
        money.add_column(heading, justify="left" if heading in ("state", "currency") else "right")
    summary = report.summary()
    for row in summary["states"]:
        money.add_row(row["state"], row["currency"], str(row["orders"]), *_amounts(row))
    for row in summary["money"]:
        money.add_row("all", row["currency"], "", *_amounts(row))
    console.print(money)
    if report.findings:
        console.print(differences_table(report.findings))


def _amounts(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["salesforce"], row["business_central"], row["difference"]


def differences_table(findings: Sequence[Finding]) -> Table:
    """Return the differences with class and remedy; long lists are cut and say so."""
    table = Table(box=None, pad_edge=False)
    for heading in ("class", "where", "what and what to do"):
        table.add_column(heading, overflow="fold")
    for each in findings[:ROWS]:
        text = Text(f"{each.message} ")
        text.append("healed" if each.healed else f"{each.remedy} ({each.owner})", style="dim")
        table.add_row(Text(str(each.side), style=_STYLES[each.side]), Text(each.where), text)
    if len(findings) > ROWS:
        table.add_row("", Text(f"… {len(findings) - ROWS} more"), Text("--json lists all"))
    return table
