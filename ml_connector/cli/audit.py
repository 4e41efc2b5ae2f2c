"""`ml-connector audit NAME RECORD`: everything that happened to one record, or in one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, STUCK, Result, run_command
from ml_connector.cli.record_tables import records_table
from ml_connector.errors import ConfigurationError, RecordNotFound

if TYPE_CHECKING:
    from ml_connector.exchange.systems import Systems

RecordText = Annotated[
    str, typer.Argument(metavar="[RECORD]", help="Id or number of the record in either system.")
]
RunText = Annotated[
    str, typer.Option("--run", metavar="ID", help="What the flow run with this id did instead.")
]
Verify = Annotated[bool, typer.Option("--verify", help="Check that no entry was changed or cut.")]
Erase = Annotated[
    str,
    typer.Option("--erase", metavar="RECORD", help="Erase what is known about RECORD for good."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Confirm --erase.")]


def audit(
    name: Name,
    record: RecordText = "",
    run: RunText = "",
    verify: Verify = False,
    erase: Erase = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show what was decided and written about RECORD, when, by which rule and in which run.

    With --verify exit code 1 says that the audit was tampered with.
    """
    if sum(map(bool, (record, run, verify, erase))) != 1:
        error = ConfigurationError(
            "Say what to show: a record, --run, --verify or --erase.",
            code="usage",
            remedy="See `ml-connector audit --help`.",
        )
        run_command(lambda: _refused(error), as_json=as_json)
    if erase and not yes:
        error = ConfigurationError(
            f"What is known about {erase!r} would be gone for good.",
            code="not_confirmed",
            remedy="Add --yes to erase it.",
        )
        run_command(lambda: _refused(error), as_json=as_json)
    if verify:
        run_command(lambda: verification_of(name), as_json=as_json)
    if erase:
        run_command(lambda: erasure_of(name, erase), as_json=as_json)
    if run:
        run_command(lambda: audit_of_run(name, run), as_json=as_json)
    run_command(lambda: audit_of_record(name, record), as_json=as_json)


async def _refused(error: ConfigurationError) -> Result:
    raise error


async def _read(name: str, work: Callable[[Systems], dict[str, Any] | None]) -> Any:
    """Return what *work* finds in the ledger of the connection *name*; no vendor is called."""
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.systems import Systems

    settings = await load_connection(name)

    def read() -> dict[str, Any] | None:
        with Systems.open(settings) as systems:
            return work(systems)

    return await asyncio.to_thread(read)


def _unknown(name: str, text: str) -> RecordNotFound:
    return RecordNotFound(
        f"The connection {name!r} has never seen a record {text!r}.",
        code="unknown_record",
        remedy="Give the id or number the record has in Salesforce or Business Central.",
    )


async def audit_of_record(name: str, text: str) -> Result:
    """Return the audit trail of the record that *text* names.

    Raises: RecordNotFound when the connection has never seen it.
    """
    from ml_connector.exchange.audit_report import audit_of

    document = await _read(name, lambda systems: audit_of(systems, text))
    if document is None:
        raise _unknown(name, text)
    return Result(document, DONE, lambda console: say_audit(console, document))


async def audit_of_run(name: str, flow_run_id: str) -> Result:
    """Return what the flow run *flow_run_id* decided and wrote.

    Raises: RecordNotFound when the ledger has nothing of it.
    """
    from ml_connector.exchange import audit_report

    document = await _read(name, lambda systems: audit_report.audit_of_run(systems, flow_run_id))
    if document is None:
        raise RecordNotFound(
            f"The ledger of {name!r} has nothing of a flow run {flow_run_id!r}.",
            code="unknown_run",
            remedy="Give the id of a run as the Prefect UI shows it; subflows have their own.",
        )

    def say(console: Console) -> None:
        if document["records"]:
            console.print(records_table(document["records"]))
        console.print(entries_table(document["entries"]))

    return Result(document, DONE, say)


async def verification_of(name: str) -> Result:
    """Return whether the audit chain of the connection *name* is whole."""
    from ml_connector.exchange.audit_report import verification

    document = await _read(name, verification)

    def say(console: Console) -> None:
        verdict = (
            "the audit is whole"
            if document["ok"]
            else f"the audit was tampered with, first at entry {document['first_bad_sequence']}"
        )
        told = f"{verdict}: {document['entries']} entries, {document['erased']} erased"
        console.print(f"{told}, head {document['head']}", highlight=False)

    return Result(document, DONE if document["ok"] else STUCK, say)


async def erasure_of(name: str, text: str) -> Result:
    """Erase what the ledger says about the record that *text* names.

    Raises: RecordNotFound when the connection has never seen it.
    """
    from ml_connector.exchange import audit_report

    document = await _read(name, lambda systems: audit_report.erase(systems, text))
    if document is None:
        raise _unknown(name, text)

    def say(console: Console) -> None:
        for each in document["erased"]:
            console.print(f"erased {each['kind']} {each['key']}", highlight=False)
        for each in document["mentions"]:
            console.print(f"blanked in {each['kind']} {each['key']}", highlight=False)

    return Result(document, DONE, say)


def say_audit(console: Console, document: dict[str, Any]) -> None:
    """Print the record and its entries, oldest first."""
    console.print(records_table([document["record"]]))
    console.print(entries_table(document["entries"]))
    if document["others"]:
        console.print("It also names:", style="dim")
        console.print(records_table(document["others"]))


_ARROWS = {
    "to_business_central": "→ Business Central",
    "to_salesforce": "→ Salesforce",
    "decision": "decided",
}


def entries_table(entries: list[dict[str, Any]]) -> Table:
    """Return entries with what they changed; the flow run links to the Prefect UI."""
    table = Table(box=None, pad_edge=False)
    table.add_column("at", no_wrap=True)
    table.add_column("what, what it changed, in which flow run", overflow="fold")
    for entry in entries:
        text = Text(f"{_ARROWS[entry['direction']]}: {entry['action']} ({entry['outcome']})")
        if entry["rule"]:
            text.append(f" by {entry['rule']}")
        changed = changed_text(entry)
        if changed:
            text.append(f"\n{changed}", style="dim")
        if entry["flow_run_id"]:
            text.append("\nrun ").append_text(run_link(str(entry["flow_run_id"])))
        if entry["request_id"]:
            text.append(f", request {entry['request_id']}")
        table.add_row(Text(f"{str(entry['at'])[:19]}Z"), text)
    return table


def changed_text(entry: dict[str, Any]) -> str:
    """Return what an entry changed, field by field: `Status: Draft → Released`."""
    before, after = entry["before"], entry["after"]
    if before is None or after is None:
        return "erased"
    parts = []
    for name in dict.fromkeys((*before, *after)):
        old, now = before.get(name), after.get(name)
        if isinstance(old, list | dict) or isinstance(now, list | dict):
            parts.append(f"{name}: …")
        elif old != now:
            parts.append(f"{name}: {'' if old is None else old} → {'' if now is None else now}")
    return "; ".join(parts)


def run_link(flow_run_id: str) -> Text:
    """Return a flow run's id as a link into the Prefect UI, where its address is known."""
    from prefect.utilities.urls import url_for

    address = url_for("flow-run", obj_id=flow_run_id) if flow_run_id else None
    return Text(flow_run_id, style=f"link {address}" if address else "")
