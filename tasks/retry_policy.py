"""The only place with retry counts, delays and the test which fault is worth a retry."""

from __future__ import annotations

import logging
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from ml_connector.errors import TransientError

log = logging.getLogger("ml_connector")

RETRIES = 3
"""About 14 seconds in all: longer faults are the next run's business, which loses nothing."""

FIRST_DELAY_SECONDS = 2

JITTER = 0.5
"""Spreads the second attempts of batches that one hiccup failed together."""


async def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Tell whether the attempt failed by a fault that may pass; nothing else is retried."""
    del task
    fault = await state.aresult(raise_on_failure=False)
    if not isinstance(fault, TransientError):
        return False
    log.info("%s: trying again soon: %s", task_run.name, fault.message)
    return True


EFFECT: dict[str, Any] = {
    "cache_policy": NO_CACHE,  # the ledger remembers what was done, not a cache
    "persist_result": False,
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=FIRST_DELAY_SECONDS),
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": is_transient,
}
"""Settings of every task that reads from or writes to a system."""
