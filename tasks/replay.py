"""Records to run again: choose them, open their stored changes, say where they stand."""

from __future__ import annotations

from prefect import task

from ml_connector.exchange import replay
from ml_connector.exchange.replay import Chosen, Selection
from tasks.batches import Scope
from tasks.retry_policy import EFFECT


class Choice:
    """What was chosen. A plain object, so that Prefect does not look inside."""

    __slots__ = ("chosen", "selection")

    def __init__(self, selection: Selection, chosen: Chosen) -> None:
        self.selection = selection
        self.chosen = chosen


@task(name="choose-records", task_run_name="choose records", **EFFECT)
async def choose_records(scope: Scope, selection: Selection) -> Choice:
    """Return the records the selection means, with those they wait for."""
    return Choice(selection, await scope.run(lambda systems: replay.choose(systems, selection)))


@task(name="release-records", task_run_name="open stored changes", **EFFECT)
async def release_records(scope: Scope, choice: Choice) -> None:
    """Open the stored changes again, and say in the audit who asked for it."""
    await scope.run(lambda systems: replay.release(systems, choice.chosen, choice.selection))


@task(name="derive-replayed-status", task_run_name="derive status", **EFFECT)
async def derive_status(scope: Scope, choice: Choice) -> None:
    """Derive what the replayed orders should show in Salesforce."""
    await scope.run(lambda systems: replay.derive_status(systems, choice.chosen))
