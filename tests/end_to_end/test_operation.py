"""Operation on PostgreSQL: workers die and are replaced, drains, and what operators are told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ml_connector.cli.local_stack import LocalStack, Program, first_json_line, free_port
from ml_connector.cli.prefect_programs import PrefectPrograms, start_sandbox
from tests.integration.conftest import PostgresServer, postgres_server

__all__ = ["postgres_server"]  # a fixture, found here by its name

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(900)]

PATIENCE_SECONDS = 240
STRANDED_SECONDS = 40
COMMAND = (sys.executable, "-m", "ml_connector.cli.main")

MAKE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
CustomWebhookNotificationBlock(
    name="operations", url=sys.argv[1], json_data={"subject": "{{subject}}", "body": "{{body}}"}
).save("operations")
"""

TELL = """
from tasks.connector_events import BUDGET_LOW, tell
tell(BUDGET_LOW, "sandbox", {"budget": "Salesforce calls", "used": 95, "limit": 100})
lag = {"lag_seconds": 900, "last_confirmed_at": "2026-01-01T00:00:00Z", "message": ""}
label = {"ml-connector.feed": "salesforce/Order/events"}
silent = {"feed": "salesforce/Order/events", "state": "silent", **lag}
tell("ml-connector.feed.silent", "sandbox", silent, label)
"""


class Inbox:
    """Where notifications arrive: a web server of the test."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the base class names it so
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def subjects(self) -> list[str]:
        """Return what was told, in short."""
        return [message["subject"] for message in self.messages]


class Plant:
    """A Prefect server and a ledger on PostgreSQL, a sandbox, and workers that come and go."""

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        self.stack = LocalStack(folder)
        self._folder = folder
        self._ledger = postgres.url(postgres.new_database())
        self.prefect = PrefectPrograms(self.stack, folder / "prefect", free_port())
        self.prefect.server_environment["PREFECT_API_DATABASE_CONNECTION_URL"] = (
            postgres.new_prefect_database()
        )
        self.api = httpx.Client(base_url=f"{self.prefect.ui_url}/api", trust_env=False, timeout=60)
        self.admin = httpx.Client(trust_env=False, timeout=60)
        self.inbox = Inbox()

    def start(self) -> None:
        """Start server and sandbox, connect them, deploy, and install the automations."""
        port = free_port()
        sandbox = start_sandbox(
            self.stack,
            self.prefect.environment,
            *("--customers", "12", "--items", "12", "--orders", "12"),
            *("--notification-url", f"https://127.0.0.1:{port}/notifications"),
        )
        server = self.prefect.start_server()
        ready = first_json_line(sandbox, 180)
        self.admin.base_url = httpx.URL(ready["admin_url"])
        file = Path(ready["connection_file"])
        text = file.read_text(encoding="utf-8").replace("sqlite:///ledger.db", self._ledger)
        assert self._ledger in text
        file.write_text(text, encoding="utf-8")
        self.prefect.wait_for(server, 180)
        assert self.run("connect", str(file))[0] == 0
        assert self.run("deploy", "sandbox")[0] == 0
        self.python(MAKE_BLOCK, self.inbox.url)
        code, document = self.run(
            *("automations", "--notify", "custom-webhook/operations", "--parked-above", "1"),
            *("--quiet-minutes", "0", "--renewal-hours", "0.01", "--dark-minutes", "0.5"),
            *("--stranded-seconds", str(STRANDED_SECONDS)),
        )
        assert code == 0, document
        files = ("--certificate", ready["certificate_file"], "--key", ready["key_file"])
        self.stack.start(
            "receiver",
            [*COMMAND, "receive", "sandbox", "--port", str(port), *files],
            environment=self.prefect.environment,
            cwd=self._folder,
        )

    def run(self, *words: str) -> tuple[int, Any]:
        """Run a command of the connector; returns its exit code and its document."""
        done = self._process([*COMMAND, *words, "--json"])
        return done.returncode, json.loads(done.stdout or "null")

    def python(self, code: str, *arguments: str) -> None:
        """Run a few lines as a client of the server."""
        done = self._process([sys.executable, "-c", code, *arguments])
        assert done.returncode == 0, done.stderr

    def _process(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.prefect.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def start_worker(self, name: str, *options: str) -> Program:
        """Start a worker in a folder of its own."""
        folder = self._folder / name
        folder.mkdir()
        command = [
            *(sys.executable, "-m", "prefect", "worker", "start"),
            *("--pool", "ml-connector", "--name", name, *options),
        ]
        return self.stack.start(name, command, environment=self.prefect.environment, cwd=folder)

    def start_run(self, name: str, connection: str = "sandbox", **parameters: Any) -> str:
        """Start a deployment; returns the run's id."""
        deployment = self.api.get(f"/deployments/name/{name}/{name}").raise_for_status().json()
        made = self.api.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={"parameters": {"connection": connection, **parameters}},
        )
        return str(made.raise_for_status().json()["id"])

    def state(self, run: str) -> dict[str, Any]:
        """Return a run's state."""
        found = self.api.get(f"/flow_runs/{run}").raise_for_status().json()["state"]
        assert isinstance(found, dict)
        return found

    def is_in(self, run: str, *names: str) -> Callable[[], bool]:
        """Return the question whether a run is in one of the states."""
        return lambda: self.state(run)["name"] in names

    def orders(self) -> list[dict[str, Any]]:
        """Return the Orders as Salesforce has them."""
        return list(self.admin.get("/salesforce/records/Order").raise_for_status().json())

    def close_order(self) -> str:
        """Let a salesperson close one more Order; returns its id."""
        accounts = self._linked("Account", "BC_Customer_Id__c")
        products = self._linked("Product2", "BC_Item_Id__c")
        act = {
            "act": "create_order",
            "account": accounts[0],
            "activate": True,
            "lines": [{"product": products[0], "quantity": 2}],
        }
        before = {order["Id"] for order in self.orders()}
        self.admin.post("/salesforce/act", json=act).raise_for_status()
        (made,) = {order["Id"] for order in self.orders()} - before
        return str(made)

    def _linked(self, sobject: str, field: str) -> list[str]:
        def linked() -> list[str]:
            rows = self.admin.get(f"/salesforce/records/{sobject}").raise_for_status().json()
            return [row["Id"] for row in rows if row.get(field)]

        return list(eventually(linked, f"no {sobject} was linked"))

    def is_handed_over(self, order: str) -> Callable[[], bool]:
        """Return the question whether Salesforce shows the BC number of an Order."""
        return lambda: any(
            row["Id"] == order and row.get("BC_Order_Number__c") for row in self.orders()
        )


def eventually(holds: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """Return what *holds* gives once it is true; fails after a while with *what* is amiss."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.3)


def kill_host(worker: Program) -> None:
    """Lose the worker and its runs at one blow, as when their computer is gone."""
    parent = psutil.Process(worker.process.pid)
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()
    worker.process.wait(30)


@pytest.fixture(scope="module")
def plant(
    postgres_server: PostgresServer,  # the fixture imported above
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Plant]:
    """A plant without workers; everything it started ends with it."""
    found = Plant(tmp_path_factory.mktemp("plant"), postgres_server)
    try:
        found.start()
        yield found
    finally:
        found.stack.stop()


def test_the_other_worker_takes_over_and_a_drain_lets_it_finish(plant: Plant) -> None:
    """No order is lost or doubled, no run stays Running for ever, and nothing is cut off."""
    one = plant.start_worker("one", "--limit", "1")
    owner = plant.start_run("capture-changes", minutes=60)
    first = plant.close_order()
    eventually(plant.is_handed_over(first), "the owner of the streams hands nothing over")

    plant.start_worker("two")
    standby = plant.start_run("capture-changes", minutes=60)
    eventually(plant.is_in(standby, "Running"), "no second candidate")
    kill_host(one)

    second = plant.close_order()
    eventually(plant.is_handed_over(second), "nobody took the streams over")
    eventually(plant.is_in(owner, "Crashed"), "the stranded run still says Running")
    assert "closed by the automation" in plant.state(owner)["message"]
    assert plant.state(standby)["name"] == "Running"

    sync = plant.start_run("sync")
    eventually(plant.is_in(sync, "Running"), "the sync did not begin")
    code, document = plant.run("drain", "--timeout", "0")
    assert (code, sorted(document["left"])) == (1, ["capture-changes sandbox", "sync sandbox"])
    code, document = plant.run("drain", "--timeout", "240")
    assert (code, document["left"]) == (0, []), document
    assert plant.state(sync)["name"] == "Completed"
    assert plant.state(standby)["name"] == "Completed"
    later = plant.start_run("check-connections", depth="sign-in")
    numbers = Counter(
        row["externalDocumentNumber"]
        for row in plant.admin.get("/business-central/records/salesOrders").json()
        if row["externalDocumentNumber"]
    )
    assert numbers
    assert max(numbers.values()) == 1
    assert plant.state(later)["type"] == "SCHEDULED"

    assert plant.run("resume") == (0, {"resumed": True})
    eventually(plant.is_in(later, "Completed"), "runs do not begin again")


def test_every_automation_tells_its_operator(plant: Plant) -> None:
    """Each is fired by what it is for, and its message arrives at the chosen Block."""
    code, document = plant.run("automations", "--notify", "custom-webhook/nobody")
    assert (code, document["error"]["code"]) == (2, "no_notification_block")

    pending = plant.start_run("sync", "never")
    unbegun = {"state": {"type": "PENDING"}, "force": True}
    plant.api.post(f"/flow_runs/{pending}/set_state", json=unbegun).raise_for_status()
    failing = plant.start_run("sync", "nobody")
    code, document = plant.run("renew", "sandbox")
    assert code == 0, document
    plant.python(TELL)
    assert plant.run("poll", "sandbox")[0] in (0, 1)
    code, document = plant.run("sync", "sandbox")
    assert (code, "error" in document) == (1, False), document
    switch = "/business-central/switches"
    plant.admin.post(switch, json={"app_registered": False}).raise_for_status()
    code, document = plant.run("sync", "sandbox")
    assert (code, "error" in document) == (2, True), document
    plant.admin.post(switch, json={"app_registered": True}).raise_for_status()

    parked = document_of(plant, "status")["counts"]["parked"]
    expected = {
        "ml-connector: capture-changes sandbox crashed",
        "ml-connector: sync nobody failed",
        f"ml-connector: {parked} records parked in sandbox",
        "ml-connector: salesforce/Order/events of sandbox is silent",
        "ml-connector: nothing heard from sandbox",
        "ml-connector: credentials of sandbox refused",
        "ml-connector: subscriptions of sandbox not renewed",
        "ml-connector: budget of sandbox nearly used",
    }
    eventually(
        lambda: expected <= set(plant.inbox.subjects()),
        lambda: f"not told: {expected - set(plant.inbox.subjects())}",
    )
    assert plant.state(failing)["name"] == "Failed"
    eventually(plant.is_in(pending, "Crashed"), "a run that never began")
    bodies = {message["subject"]: message["body"] for message in plant.inbox.messages}
    budget = bodies["ml-connector: budget of sandbox nearly used"]
    assert "Salesforce calls: 95 of 100 used" in budget
    assert "possible_duplicate: 1" in bodies[f"ml-connector: {parked} records parked in sandbox"]
    assert "business_central: " in bodies["ml-connector: credentials of sandbox refused"]
    assert not [body for body in bodies.values() if "{{" in body or "Failed to render" in body]


def document_of(plant: Plant, command: str) -> dict[str, Any]:
    """Return the document of a command about the sandbox."""
    document = plant.run(command, "sandbox")[1]
    assert isinstance(document, dict)
    return document


def test_schedules_make_runs_and_stay_as_they_were_set(plant: Plant) -> None:
    """A schedule that is switched on makes runs; cadence, switch and an added one stay."""
    found = plant.api.get("/deployments/name/reconcile/reconcile").raise_for_status().json()
    path = f"/deployments/{found['id']}/schedules"
    (shipped,) = found["schedules"]
    cadence = {"cron": "5 4 * * *", "timezone": "Europe/Berlin", "day_or": True}
    plant.api.patch(
        f"{path}/{shipped['id']}", json={"active": True, "schedule": cadence}
    ).raise_for_status()
    added = {
        "active": False,
        "schedule": {"interval": 3600},
        "parameters": {"connection": "another"},
    }
    plant.api.post(path, json=[added]).raise_for_status()

    code, document = plant.run("deploy", "sandbox")

    assert code == 0, document
    schedules = {each["slug"]: each for each in plant.api.get(path).raise_for_status().json()}
    assert set(schedules) == {"daily", None}
    assert schedules["daily"]["active"]
    assert schedules["daily"]["schedule"]["cron"] == cadence["cron"]
    assert schedules["daily"]["parameters"] == shipped["parameters"]
    assert schedules[None]["parameters"] == {"connection": "another"}
    scheduled = {"deployments": {"id": {"any_": [found["id"]]}}}
    runs = eventually(
        lambda: plant.api.post("/flow_runs/filter", json=scheduled).raise_for_status().json(),
        "the schedule makes no run",
    )
    assert [run for run in runs if run["parameters"] == {"connection": "sandbox"}] == runs
