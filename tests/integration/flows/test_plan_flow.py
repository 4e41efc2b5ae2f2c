"""The sync flow as a plan: the form's switch, the artifact, and nothing written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.sync import sync
from ml_connector.cli.sync import Asked, sync_connection
from ml_connector.errors import ConfigurationError, GuardTripped
from tests.integration.flows.left_on_server import latest_artifacts

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

pytestmark = pytest.mark.slow


def _writes(sandbox: RunningSandbox) -> int:
    systems = ("salesforce", "business-central")
    return sum(len(sandbox.admin.get(f"/{system}/writes").json()["writes"]) for system in systems)


def test_a_plan_is_an_artifact_and_writes_nothing(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """With the switch on, the run leaves counts, money and every change in the UI."""
    before = _writes(running_sandbox)

    plan = asyncio.run(sync(connection, plan=True))

    artifacts = asyncio.run(latest_artifacts())
    assert plan.actions["create"] > 100
    assert "Nothing was written." in artifacts[f"plan-{connection}"]
    assert "salesOrderLines" in artifacts[f"plan-{connection}-changes"]
    assert _writes(running_sandbox) == before


def test_a_saved_plan_is_applied_once(
    connection: str, running_sandbox: RunningSandbox, tmp_path: Path
) -> None:
    """Plan, look, apply: the sync does it; the same plan is stale afterwards."""
    file = tmp_path / "plan.json"
    planned = asyncio.run(sync_connection(connection, Asked(plan=True, out=file)))

    applied = asyncio.run(sync_connection(connection, Asked(apply=file)))
    with pytest.raises(GuardTripped) as caught:
        asyncio.run(sync_connection(connection, Asked(apply=file)))

    assert (planned.exit_code, applied.exit_code) == (0, 1)
    assert planned.document["plan"] is True
    assert planned.document["counts"] == applied.document["counts"]
    assert caught.value.code == "stale_plan"
    assert _writes(running_sandbox) > 0


def test_a_plan_is_applied_by_the_id_it_names(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """From the form: the plan's artifact names the id; applied once it is stale."""
    plan = asyncio.run(sync(connection, plan=True))
    plan_id = plan.report.flow_run_id[:8]
    assert f"apply_plan = `{plan_id}`" in asyncio.run(latest_artifacts())[f"plan-{connection}"]

    report = asyncio.run(sync(connection, apply_plan=plan_id))

    assert report.counts == plan.report.counts
    written = _writes(running_sandbox)
    with pytest.raises(GuardTripped) as stale:
        asyncio.run(sync(connection, apply_plan=plan_id))
    assert stale.value.code == "stale_plan"
    with pytest.raises(ConfigurationError) as unknown:
        asyncio.run(sync_connection(connection, Asked(apply=Path("00000000"))))
    assert unknown.value.code == "unknown_plan"
    with pytest.raises(ConfigurationError) as both:
        asyncio.run(sync(connection, plan=True, apply_plan=plan_id))
    assert both.value.code == "options"
    assert _writes(running_sandbox) == written


def test_options_that_exclude_each_other_are_refused() -> None:
    """A plan is not applied in the same breath, and nothing is saved without one."""
    for asked in (Asked(plan=True, apply=Path("x")), Asked(out=Path("x"))):
        with pytest.raises(ConfigurationError) as caught:
            asked.require_sense()
        assert caught.value.code == "options"
