"""The operations team at work in the Prefect UI, in a real browser, on real programs.

The tests go on from one another, as a person's day does; each looks at one thing.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from ml_connector.cli.local_stack import first_json_line
from ml_connector.cli.prefect_programs import start_sandbox
from tests.browser.conftest import (
    START_SECONDS,
    Stage,
    eventually,
    sandbox_admin,
    writes_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COUNT_GREEN = """async picture => {
    const image = new Image();
    image.src = "data:image/png;base64," + picture;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const dots = context.getImageData(0, 0, image.width, image.height).data;
    let found = 0;
    for (let at = 0; at < dots.length; at += 4) {
        const [red, green, blue] = dots.slice(at, at + 3);
        if (green > 110 && green > 1.8 * red && green > 1.5 * blue) found += 1;
    }
    return found;
}"""
"""Counts the dots of a picture that have the colour of a completed run."""

FAULT = {"id": "away", "method": "POST", "path": "salesOrders", "status": 503, "times": None}


def open_form(page: Page, stage: Stage, deployment: str) -> None:
    """Go from the list of deployments to the form that starts a run."""
    page.goto(stage.address("deployments"))
    page.get_by_placeholder("Search deployments").fill(deployment)
    page.get_by_role("link", name=deployment, exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    expect(page.get_by_label("connection")).to_be_visible()


def submit(page: Page) -> str:
    """Start the run and follow the notice to it; return its id."""
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="View run").click()
    page.wait_for_url("**/runs/flow-run/**")
    return page.url.split("/flow-run/")[1].split("?")[0]


def open_run(page: Page, stage: Stage, run_id: str, tab: str) -> None:
    """Open one tab of a run's page, with its graph drawn."""
    page.goto(stage.address(f"runs/flow-run/{run_id}"))
    page.get_by_role("tab", name=tab).click()
    expect(page.locator("canvas").first).to_be_visible()
    eventually(lambda: bars_of_graph(page), "the graph")


def bars_of_graph(page: Page) -> bool:
    """Tell whether the graph shows the green bars of runs that ended well."""
    picture = base64.b64encode(page.locator("canvas").first.screenshot()).decode("ascii")
    return int(page.evaluate(COUNT_GREEN, picture)) > 200


def open_artifact(page: Page, stage: Stage, run_id: str, key: str) -> None:
    """From a run to an artifact's history, and on to its newest version."""
    open_run(page, stage, run_id, "Artifacts")
    page.get_by_text(key, exact=True).first.click()
    page.wait_for_url(f"**/artifacts/key/{key}")
    page.locator('a[href*="/artifacts/artifact/"]').first.click()
    page.wait_for_url("**/artifacts/artifact/**")
    page.wait_for_load_state("networkidle")


def graph_labels(stage: Stage, run_id: str) -> list[str]:
    """Return what the nodes of a run's graph are called, from what the UI draws it from."""
    graph = stage.ask(f"/flow_runs/{run_id}/graph-v2")
    return [node["label"] for _, node in graph["nodes"]]


def order_posts(admin: httpx.Client, since: int = 0) -> list[str]:
    """Return the references of the sales orders that were created, in turn."""
    return [
        str(write["fields"]["externalDocumentNumber"])
        for write in writes_of(admin, "business-central", since)
        if (write["operation"], write["entity"]) == ("create", "salesOrders")
    ]


def last_write(stage: Stage) -> int:
    """Return the sequence number of BC's newest write."""
    return max(
        (int(write["sequence"]) for write in writes_of(stage.admin, "business-central")), default=0
    )


def closed_orders(admin: httpx.Client) -> list[str]:
    """Return the numbers of the Orders that are to become sales orders."""
    rows = admin.get("/salesforce/records/Order").raise_for_status().json()
    return sorted(str(row["OrderNumber"]) for row in rows if row["StatusCode"] == "Activated")


@pytest.fixture(scope="module")
def failed_run(stage: Stage, browser_page: Page) -> str:
    """The first sync, started in the UI while BC refuses one order; returns its id."""
    refused = closed_orders(stage.admin)[-1]
    rule = {**FAULT, "body": refused}
    stage.admin.post("/business-central/faults", json=rule).raise_for_status()
    open_form(browser_page, stage, "sync")
    run_id = submit(browser_page)
    run = stage.ended(run_id)
    assert run["state_type"] == "FAILED", run["state"]
    return run_id


def test_the_list_shows_every_deployment(stage: Stage, browser_page: Page) -> None:
    """Each flow of the connector stands in the list, ready, with its schedule switched off."""
    browser_page.goto(stage.address("deployments?limit=100"))
    for name in ("sync", "ingest-orders", "write-back-status", "reconcile", "audit-record"):
        expect(browser_page.get_by_role("link", name=name, exact=True).first).to_be_visible()
    stage.shoot(browser_page, "deployments", full=True)

    found = stage.ask("/deployments/filter", {"limit": 100})
    schedules = [schedule for each in found for schedule in each["schedules"]]
    assert schedules
    assert not [schedule for schedule in schedules if schedule["active"]]


def test_a_plan_is_one_switch_in_the_form_and_writes_nothing(
    stage: Stage, browser_page: Page
) -> None:
    """The form of `sync` explains its fields and fills in defaults; a plan writes nowhere."""
    page = browser_page
    open_form(page, stage, "sync")
    expect(page.get_by_label("connection")).to_have_value("sandbox")
    expect(page.get_by_text("Name of the connection, as saved by")).to_be_visible()
    expect(page.get_by_text("Write nothing; only show what a run would")).to_be_visible()
    switch = page.get_by_role("switch", name="plan")
    expect(switch).not_to_be_checked()
    switch.click()
    expect(switch).to_be_checked()
    stage.shoot(page, "form-of-sync", full=True)

    run = stage.ended(submit(page))

    assert run["state_type"] == "COMPLETED", run["state"]
    assert run["name"].startswith("sandbox: plan: ")
    assert writes_of(stage.admin, "business-central") == []
    assert writes_of(stage.admin, "salesforce") == []
    open_artifact(page, stage, run["id"], "plan-sandbox")
    expect(page.get_by_text("Nothing was written.").first).to_be_visible()
    stage.shoot(page, "plan")


def test_a_failed_run_says_what_failed_and_does_the_rest(
    stage: Stage, browser_page: Page, failed_run: str
) -> None:
    """One order that cannot be written fails the run; all others are through and shown."""
    orders = closed_orders(stage.admin)

    assert sorted(order_posts(stage.admin)) == orders[:-1]
    open_run(browser_page, stage, failed_run, "Logs")
    stage.shoot(browser_page, "failed-run", full=True)
    messages = [line["message"] for line in stage.logs(failed_run)]
    assert any("Not everything could be done" in message for message in messages)
    assert any(f"order {orders[-1]}: trying again soon" in message for message in messages)


def test_retry_writes_only_what_is_missing(
    stage: Stage, browser_page: Page, failed_run: str
) -> None:
    """Retry in the UI ends green with one sales order more, and no other document."""
    stage.admin.delete("/business-central/faults").raise_for_status()
    before = last_write(stage)
    open_run(browser_page, stage, failed_run, "Details")
    browser_page.get_by_role("button", name="Open menu").first.click()
    browser_page.get_by_role("menuitem", name="Retry").click()
    browser_page.get_by_role("alertdialog").get_by_role("button", name="Retry").click()

    run = stage.ended(failed_run, times=2)

    orders = closed_orders(stage.admin)
    assert run["state_type"] == "COMPLETED", run["state"]
    assert order_posts(stage.admin, before) == [orders[-1]]
    created = [
        each for each in writes_of(stage.admin, "business-central", before) if "create" in str(each)
    ]
    assert {each["entity"] for each in created} <= {"salesOrders", "salesOrderLines"}
    assert sorted(order_posts(stage.admin)) == orders


def test_the_graph_speaks_of_the_business(
    stage: Stage, browser_page: Page, failed_run: str
) -> None:
    """The graph of the run tells each phase with its counts, that of a phase each order."""
    open_run(browser_page, stage, failed_run, "Subflow Runs")
    stage.shoot(browser_page, "retried-run")
    labels = graph_labels(stage, failed_run)

    assert "guard against too many changes" in labels
    assert [label for label in labels if label.startswith("ingest-customers / sandbox: customers")]
    assert [
        label
        for label in labels
        if label.endswith("orders 10 written; not everything could be done")
    ]
    orders_run = stage.child(failed_run, "ingest-orders")
    numbers = [f"order {number}" for number in closed_orders(stage.admin)]
    found = eventually(
        lambda: [name for name in graph_labels(stage, orders_run) if name in numbers], "the orders"
    )
    assert sorted(found) == numbers
    open_run(browser_page, stage, orders_run, "Task Runs")
    stage.shoot(browser_page, "orders-of-the-run")


def test_a_task_tells_its_decision_in_plain_words(
    stage: Stage, browser_page: Page, failed_run: str
) -> None:
    """From the list of tasks to one order and its line in the log."""
    page, number = browser_page, closed_orders(stage.admin)[0]
    open_run(page, stage, stage.child(failed_run, "ingest-orders"), "Task Runs")
    page.get_by_role("link", name=f"order {number}", exact=True).first.click()
    page.get_by_role("tab", name="Logs").click()

    expect(page.get_by_text(f"order {number}: written as")).to_be_visible()
    stage.shoot(page, "log-of-an-order")


def test_the_log_of_a_first_sync_holds_no_noise(stage: Stage, failed_run: str) -> None:
    """Each line is the connector's or Prefect's own, and warnings are about records."""
    lines = stage.logs(failed_run)

    assert {line["name"].split(".")[0] for line in lines} <= {"ml_connector", "prefect"}
    warnings = [line for line in lines if line["level"] == 30]
    assert not [line for line in warnings if line["name"] != "ml_connector"]
    assert [line for line in lines if line["name"] == "ml_connector" and line["level"] == 20]


def test_the_summary_leads_to_records_and_to_the_audit(
    stage: Stage, browser_page: Page, failed_run: str
) -> None:
    """Counts, money and links; the audit's link and a submit show the life of an order."""
    page = browser_page
    open_artifact(page, stage, stage.child(failed_run, "ingest-orders"), "ingest-orders-sandbox")
    stage.shoot(page, "summary")
    found = stage.ask("/artifacts/filter", {"sort": "CREATED_DESC"})
    text = next(each["data"] for each in found if each["key"] == "ingest-orders-sandbox")
    assert "Worth of what was written" in text
    assert f"[open]({stage.sandbox_line['salesforce']['url']}/801" in text
    audit = text.split("[audit](")[1].split(")")[0]

    page.goto(audit)
    expect(page.get_by_label("connection")).to_have_value("sandbox")
    expect(page.get_by_label("record").first).to_be_visible()
    run = stage.ended(submit(page))

    assert run["state_type"] == "COMPLETED", run["state"]
    stage.shoot(page, "audit")


def test_a_record_is_found_by_its_number(stage: Stage, browser_page: Page, failed_run: str) -> None:
    """The search of the Runs page finds every task that dealt with an order."""
    page, number = browser_page, closed_orders(stage.admin)[0]
    page.goto(stage.address("runs?tab=task-runs"))
    page.get_by_placeholder("Search by task run name").fill(number)

    expect(page.get_by_role("link", name=f"order {number}").first).to_be_visible()
    expect(page.get_by_role("link", name="publish summary")).to_have_count(0)
    stage.shoot(page, "found-by-number")
    tags = stage.run(stage.child(failed_run, "ingest-orders"))["tags"]
    assert {"connection:sandbox", "kind:order", "to-business-central"} <= set(tags)


def test_the_health_of_the_connection_has_a_history(
    stage: Stage, browser_page: Page, failed_run: str
) -> None:
    """Each sync leaves a page with records, feeds and budgets under one key."""
    page = browser_page
    page.goto(stage.address("artifacts/key/health-sandbox"))
    expect(page.get_by_text("Created health-sandbox")).to_be_visible()
    versions = page.locator('a[href*="/artifacts/artifact/"]')
    expect(versions.nth(1)).to_be_visible()
    open_artifact(page, stage, failed_run, "health-sandbox")
    expect(page.get_by_role("heading", name="Feeds")).to_be_visible()
    expect(page.get_by_role("heading", name="Budgets")).to_be_visible()
    stage.shoot(page, "health", full=True)


def test_a_rotated_secret_needs_no_new_deployment(stage: Stage) -> None:
    """The vendor's old secret is refused; after `connect` the same deployment signs in again."""
    asked = {"connection": "sandbox", "depth": "sign-in"}
    deployed = stage.deployment("check-connections")["updated"]
    act = stage.admin.post("/salesforce/act", json={"act": "rotate_client_secret"})
    secret = act.raise_for_status().json()["client_secret"]
    refused = stage.start("check-connections", asked)
    file = Path(stage.sandbox_line["connection_file"])
    (file.parent / "salesforce.secret").write_text(secret, encoding="utf-8")

    stage.command("connect", str(file))
    accepted = stage.start("check-connections", asked)

    assert refused["state_type"] in ("FAILED", "CRASHED")
    assert accepted["state_type"] == "COMPLETED", accepted["state"]
    assert stage.deployment("check-connections")["updated"] == deployed


def test_the_blocks_explain_their_fields(stage: Stage, browser_page: Page) -> None:
    """Each field of a saved block tells what belongs into it; secrets are not shown."""
    page = browser_page
    found = stage.ask("/block_documents/filter", {})
    block = next(each for each in found if each["block_type"]["slug"] == "salesforce-credentials")
    page.goto(stage.address(f"blocks/block/{block['id']}/edit"))

    expect(page.get_by_text("Address of the org's My Domain")).to_be_visible()
    expect(page.get_by_text("Consumer secret of the connected app.")).to_be_visible()
    stage.shoot(page, "block", full=True)
    assert set(block["data"]["client_secret"]) == {"*"}


def test_schedules_are_the_operators(stage: Stage, browser_page: Page) -> None:
    """A schedule begins switched off; one click in the UI and it starts runs of the connection."""
    page = browser_page
    page.goto(stage.address(f"deployments/deployment/{stage.deployment('reconcile')['id']}"))
    switch = page.get_by_role("switch").first
    expect(switch).not_to_be_checked()
    switch.click()
    expect(switch).to_be_checked()
    eventually(lambda: stage.deployment("reconcile")["schedules"][0]["active"], "the switch")
    stage.shoot(page, "schedule")

    coming = eventually(lambda: _scheduled(stage, "reconcile"), "a scheduled run")
    assert {run["parameters"]["connection"] for run in coming} == {"sandbox"}
    switch.click()
    expect(switch).not_to_be_checked()


def test_two_connections_run_side_by_side(stage: Stage) -> None:
    """Two orgs synced at the same time by one worker: each gets its own records and no others."""
    second = first_json_line(
        start_sandbox(
            stage.stack,
            stage.programs.environment,
            *("--dir", str(stage.folder / "second"), "--plain"),
            *("--name", "second", "--orders", "6", "--seed", "7"),
        ),
        START_SECONDS,
    )
    stage.command("connect", second["connection_file"])
    settled = stage.start("sync", {"connection": "sandbox"})
    assert settled["state_type"] == "COMPLETED", settled["state"]
    systems = ("salesforce", "business-central")
    before = {system: writes_of(stage.admin, system) for system in systems}

    runs = [stage.begin("sync", {"connection": name}) for name in ("sandbox", "second")]
    ended = [stage.ended(run) for run in runs]

    assert [run["state_type"] for run in ended] == ["COMPLETED", "COMPLETED"]
    assert "connection:second" in ended[1]["tags"]
    assert {system: writes_of(stage.admin, system) for system in systems} == before
    with sandbox_admin(second) as admin:
        assert closed_orders(admin)
        assert sorted(order_posts(admin)) == closed_orders(admin)


def _scheduled(stage: Stage, flow: str) -> list[dict[str, Any]]:
    """Return the runs that the schedules of a deployment have planned."""
    criteria = {
        "deployments": {"id": {"any_": [stage.deployment(flow)["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    return list(stage.ask("/flow_runs/filter", criteria))
