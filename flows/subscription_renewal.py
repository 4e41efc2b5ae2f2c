"""Keep Business Central telling us of changes, before its three days are over."""

from __future__ import annotations

from prefect import flow

from flows.change_hand_over import hand_over_changes
from flows.connection_name import ConnectionName
from ml_connector.changes.subscription_keeping import Report
from ml_connector.errors import TransientError
from tasks.batches import Scope
from tasks.changes import find_due
from tasks.open_systems import open_systems
from tasks.subscriptions import (
    Keeping,
    compare_subscriptions,
    confirm_notifications,
    keep_subscription,
    publish_subscriptions,
)


@flow(name="renew-subscriptions", flow_run_name="{connection}")
async def renew_subscriptions(connection: ConnectionName) -> Report:
    """Compare the notification subscriptions Business Central has with those we want.

    Creates what is missing, renews what is there for another three days, removes what is ours and
    not wanted any more, and never touches others'. What vanished is made anew, and what it may have
    missed is read again at once. The receiver has to be up: Business Central asks it in each step.
    Without a notification_url in the connection everything is polled. A step without an answer
    fails the run at its end, when all others are done.

    Args:
        connection: Name of the connection, as saved by ml-connector connect.
    """
    async with open_systems(connection, "to-salesforce") as systems:
        scope = Scope(systems)
        report = Report(await compare_subscriptions(scope))
        for step in report.plan.steps:
            try:
                report.done.append(await keep_subscription(Keeping(scope, step)))
            except TransientError as error:
                report.lose(step, error)
        await confirm_notifications(scope, report)
        await publish_subscriptions(connection, report)
        if report.has_gaps:
            await hand_over_changes(connection, await find_due(scope))
        report.raise_lost()
        return report
