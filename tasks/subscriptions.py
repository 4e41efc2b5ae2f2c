"""Our subscriptions in Business Central, and the notifications that came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from ml_connector.changes import notification_feed, subscription_keeping
from ml_connector.changes.notification_feed import Taken
from ml_connector.changes.subscription_keeping import Done, Ending, Plan, Report, Step
from ml_connector.exchange.feed_report import instant_text
from tasks.batches import Scope
from tasks.connector_events import SUBSCRIPTION_RENEWED, tell
from tasks.retry_policy import EFFECT
from tasks.run_artifacts import cell
from tasks.run_labels import name_run


class Keeping:
    """One step for one subscription. A plain object, so that Prefect does not look inside."""

    __slots__ = ("scope", "step")

    def __init__(self, scope: Scope, step: Step) -> None:
        self.scope = scope
        self.step = step

    def __str__(self) -> str:
        return str(self.step)


@task(name="take-notifications", task_run_name="take notifications", **EFFECT)
async def take_notifications(scope: Scope) -> Taken:
    """Turn waiting notifications into orders, products and accounts with news."""
    return await scope.run(notification_feed.take_notifications)


@task(name="compare-subscriptions", task_run_name="compare subscriptions", **EFFECT)
async def compare_subscriptions(scope: Scope) -> Plan:
    """Return what differs between the subscriptions BC has and those we want."""
    return await scope.run(subscription_keeping.plan_subscriptions)


@task(name="keep-subscription", task_run_name="{keeping}", **EFFECT)
async def keep_subscription(keeping: Keeping) -> Done:
    """Create, renew or delete one subscription; a handshake with the receiver is part of it."""
    step = keeping.step
    return await keeping.scope.run(lambda systems: subscription_keeping.take_step(systems, step))


@task(name="confirm-notifications", task_run_name="confirm the feed", **EFFECT)
async def confirm_notifications(scope: Scope, report: Report) -> None:
    """Note that nothing is missing up to now, when every subscription stands."""
    done = list(report.done)
    await scope.run(lambda systems: subscription_keeping.confirm_feed(systems, done))
    standing = [each for each in done if each.ending is not Ending.DELETED]
    if standing and report.is_complete:
        tell_renewed(scope.systems.settings.name, [each.expires_at for each in standing])


def tell_renewed(connection: str, ends: Sequence[datetime | None]) -> None:
    """Tell that every wanted subscription stands, and until when."""
    until = min((end for end in ends if end is not None), default=None)
    tell(
        SUBSCRIPTION_RENEWED,
        connection,
        {"subscriptions": len(ends), "expires_at": instant_text(until)},
    )


async def publish_subscriptions(connection: str, report: Report) -> None:
    """Leave a table of the subscriptions in the run."""
    lines = ["| set | what happened | lives until | |", "|---|---|---|---|"]
    for done in report.done:
        lives = done.expires_at.strftime("%Y-%m-%d %H:%M") if done.expires_at else ""
        note = done.message if done.ending is Ending.REFUSED else ""
        if done.gap_since is not None:
            note = f"read again: was missing since {done.gap_since:%Y-%m-%d %H:%M}"
        lines.append(f"| {done.entity_set} | {done.ending} | {lives} | {cell(note)} |")
    lines += [f"| {each} | polled only | | |" for each in report.plan.polled]
    endings = Counter(str(done.ending) for done in report.done)
    told = ", ".join(f"{count} {ending}" for ending, count in endings.items()) or "polled only"
    await name_run(connection, told)
    await acreate_markdown_artifact(
        "\n".join(lines), key=f"subscriptions-{connection}", description=told
    )
