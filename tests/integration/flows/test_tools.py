"""Reconcile, replay and audit as flows, and that no run leaves a secret anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

from blocks.connected_systems import load_connection
from flows.invoice_posting import post_draft_invoices
from flows.reconciliation import reconcile
from flows.record_audit import audit_record
from flows.record_replay import replay_records
from flows.sync import sync
from ml_connector.cli.audit import verification_of
from ml_connector.cli.connect import connect_file
from ml_connector.errors import ConfigurationError, ConnectorError, RecordNotFound
from tests.integration.exchange.conftest import watch_tokens
from tests.integration.flows.left_on_server import everything, latest_artifacts

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

pytestmark = pytest.mark.slow


def _waiting(sandbox: RunningSandbox) -> dict[str, Any]:
    rows = sandbox.admin.get("/salesforce/records/Order").json()
    found = rows["records"] if isinstance(rows, dict) else rows
    return next(row for row in found if row.get("BC_Sync_Status__c") == "Waiting")


def test_reconcile_lists_what_differs_and_leaves_it_as_an_artifact(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """The verdict, the sums and every difference stand in the Prefect UI."""
    asyncio.run(sync(connection))

    report = asyncio.run(reconcile(connection))

    artifacts = asyncio.run(latest_artifacts())
    text = artifacts[f"reconcile-{connection}"]
    assert not report.agree
    assert "The two sides differ." in text
    assert str(_waiting(running_sandbox)["OrderNumber"]) in text
    assert len(json.loads(json.dumps(report.to_json()))["differences"]) == len(report.findings)


def test_replay_runs_causes_before_effects(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """An order that waited for its item goes through with it."""
    asyncio.run(sync(connection))
    act = {"act": "create_item", "number": "PROTO-0", "displayName": "Prototype"}
    running_sandbox.admin.post("/business-central/act", json=act).raise_for_status()

    document = asyncio.run(replay_records(connection, cause="missing_item"))

    kinds = [record["kind"] for record in document["records"]]
    assert kinds == sorted(kinds, key=["item", "customer", "contact", "order"].index)
    orders = [record for record in document["records"] if record["kind"] == "order"]
    assert orders
    assert {record["state"] for record in orders} == {"written"}


def test_the_main_job_and_a_replay_ship_and_invoice_by_policy(
    prefect_server: None, connection_file: Path, running_sandbox: RunningSandbox
) -> None:
    """Orders that BC refused to post in the main job are posted by the replay of their cause."""
    del prefect_server
    with connection_file.open("a", encoding="utf-8") as file:
        file.write('\n[policy.invoices]\nposting = "ship_and_invoice"\n')
    connection = str(asyncio.run(connect_file(connection_file)).document["connection"])
    rule = {"method": "POST", "path": r"Microsoft\.NAV\.ship", "status": 400, "times": None}
    running_sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()
    report = asyncio.run(sync(connection))
    refused = {each["bc_id"] for each in report.records if each["cause"] == "posting_refused"}
    running_sandbox.admin.delete("/business-central/faults").raise_for_status()
    asyncio.run(post_draft_invoices(connection, only="changed"))  # drafts alone

    document = asyncio.run(replay_records(connection, cause="posting_refused"))

    assert len(refused) > 30
    assert {record["state"] for record in document["records"]} == {"written"}
    assert {record["bc_id"] for record in document["records"]} == refused


def test_replay_refuses_a_selection_that_says_nothing(connection: str) -> None:
    """A run without a choice fails before it touches anything."""
    with pytest.raises(ConfigurationError):
        asyncio.run(replay_records(connection))


def test_the_audit_of_a_record_is_an_artifact_with_its_runs(
    connection: str, running_sandbox: RunningSandbox
) -> None:
    """Each entry names the run that made it; an unknown record is said."""
    report = asyncio.run(sync(connection))
    number = _waiting(running_sandbox)["OrderNumber"]

    document = asyncio.run(audit_record(connection, number))

    artifacts = asyncio.run(latest_artifacts())
    assert document["record"]["salesforce_number"] == number
    assert f"# order {number}" in artifacts[f"audit-record-{connection}"]
    runs = {entry["flow_run_id"] for entry in document["entries"]}
    assert runs
    assert all(run[:8] in artifacts[f"audit-record-{connection}"] for run in runs)
    assert report.flow_run_id
    with pytest.raises(RecordNotFound):
        asyncio.run(audit_record(connection, "nobody"))
    assert asyncio.run(verification_of(connection)).document["ok"]


def _prefect_database() -> list[bytes]:
    """Return the files of the Prefect server's database."""
    url = str(PREFECT_API_DATABASE_CONNECTION_URL.value())
    database = Path(url.partition(":///")[2].partition("?")[0])
    return [path.read_bytes() for path in database.parent.glob(f"{database.name}*")]


async def _failure_of(connection: str) -> str:
    """Run the main job, which fails, and return all that its exception says."""
    with pytest.raises(ConnectorError) as caught:
        await sync(connection)
    error = caught.value
    told = "".join(traceback.format_exception(error))
    return f"{told} {error!r} {vars(error)}"


@pytest.fixture
def tokens_given(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every token the connector is given from the test's first sign-in on, by system."""
    return watch_tokens(monkeypatch)


def test_no_run_leaves_a_secret_anywhere(
    tokens_given: dict[str, set[str]],
    connection: str,
    running_sandbox: RunningSandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ledger, logs, Prefect's database, artifacts and exceptions hold neither secret nor token.

    The tokens are those that the flows and their tasks worked with. A token endpoint that repeats
    the secret in its refusal changes nothing.
    """
    caplog.set_level(logging.DEBUG, "ml_connector")
    asyncio.run(sync(connection))
    asyncio.run(reconcile(connection))
    settings = asyncio.run(load_connection(connection))
    after_runs = {system: len(tokens) for system, tokens in tokens_given.items()}
    assert all(count >= 2 for count in after_runs.values()), after_runs
    said = f"{settings.business_central.client_secret.get_secret_value()} is the wrong secret"
    refusal = {"error": "invalid_client", "error_description": said, "error_codes": [7000215]}
    rule = {"path": "oauth2/v2.0/token", "status": 401, "times": None}
    running_sandbox.admin.post(
        "/business-central/faults", json={**rule, "body_text": json.dumps(refusal)}
    ).raise_for_status()
    failed = asyncio.run(_failure_of(connection))

    left = asyncio.run(everything())

    ledger = Path(settings.ledger_url_text().removeprefix("sqlite:///"))
    files = [path for path in ledger.parent.glob(f"{ledger.name}*") if path.is_file()]
    database = _prefect_database()
    assert files
    assert database
    assert "wrong secret" in failed
    texts = [left.encode(), caplog.text.encode(), failed.encode(), *database]
    texts += [path.read_bytes() for path in files]
    assert len(left) > 1000
    secrets = {
        settings.salesforce.client_secret.get_secret_value(),
        settings.business_central.client_secret.get_secret_value(),
        settings.notification_client_state.get_secret_value(),
        *tokens_given["salesforce"],
        *tokens_given["business_central"],
    }
    for secret in secrets:
        assert len(secret) > 7
        assert not [text for text in texts if secret.encode() in text]
