"""`ml-connector renew NAME`: keep the subscriptions to notifications as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, STUCK, Result, run_command

if TYPE_CHECKING:
    from ml_connector.changes.subscription_keeping import Report


def renew(name: Name, as_json: Json = False) -> None:
    """Create, renew and tidy the notification subscriptions of the connection NAME.

    The receiver has to run first: Business Central asks it for a handshake each time. Exit code 1
    when a subscription could not be made or renewed.
    """
    run_command(lambda: renew_connection(name), as_json=as_json)


async def renew_connection(name: str) -> Result:
    """Run `renew-subscriptions` once for the connection *name*."""
    from flows.subscription_renewal import renew_subscriptions
    from ml_connector.changes.subscription_keeping import report_json

    report = await renew_subscriptions(name)
    document = {"connection": name, **report_json(report)}
    code = DONE if report.is_complete else STUCK
    return Result(document, code, lambda console: say_report(console, report))


def say_report(console: Console, report: Report) -> None:
    """Print what was done for each set."""
    for done in report.done:
        console.print(f"{done.ending} {done.entity_set}", highlight=False, markup=False)
        if done.message:
            console.print(f"  {done.message}", highlight=False, markup=False, style="red")
        if done.gap_since is not None and not done.message:
            console.print(f"  read again from {done.gap_since:%Y-%m-%d %H:%M} UTC on")
    if report.plan.polled:
        console.print(f"polled only: {', '.join(report.plan.polled)}", highlight=False)
    if not report.is_complete:
        console.print("Is the receiver running, and reachable at the notification_url?")
