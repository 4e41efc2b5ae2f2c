"""Which run and task did something: the way from a ledger entry to the run in the Prefect UI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunIds:
    """Ids of a flow run and of a task run in it; "" outside of one."""

    flow_run_id: str = ""
    task_run_id: str = ""
