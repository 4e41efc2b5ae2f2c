"""Everything an operator has, as real programs: Prefect with its UI, a worker, both systems."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from ml_connector.cli.local_stack import LocalStack, first_json_line, free_port
from ml_connector.cli.prefect_programs import PrefectPrograms, start_sandbox
from tests.integration.conftest import PostgresServer, postgres_server

__all__ = ["postgres_server"]  # a fixture, found here by its name

Value = TypeVar("Value")

SCREENSHOTS = Path(__file__).resolve().parents[2] / "ci-output" / "screenshots"
START_SECONDS = 240.0
RUN_SECONDS = 240.0
PATIENCE_MS = 60_000
"""How long the browser waits for something to show; the machine may be busy."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(slots=True)
class Stage:
    """A stack that is up for all tests of a module, seen through its APIs."""

    stack: LocalStack
    folder: Path
    programs: PrefectPrograms
    sandbox_line: dict[str, Any]
    admin: httpx.Client
    prefect: httpx.Client
    shots: int = 0

    def address(self, path: str) -> str:
        """Return the address of a page of the UI."""
        return f"{self.programs.ui_url}/v2/{path}"

    def command(self, *words: str, **environment: str) -> None:
        """Run a command of `ml-connector` against the stack; it has to succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "ml_connector.cli.main", *words],
            env={**self.programs.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, path: str, body: Any = None) -> Any:
        """Return what Prefect's API answers; a database that is busy is asked again."""

        def look() -> httpx.Response | None:
            if body is not None:
                answer = self.prefect.post(path, json=body)
            else:
                try:
                    answer = self.prefect.get(path)
                except httpx.TimeoutException:
                    return None
            return None if answer.status_code == 503 else answer

        return eventually(look, path).raise_for_status().json()

    def deployment(self, flow: str) -> dict[str, Any]:
        """Return a deployment as Prefect's API shows it."""
        return dict(self.ask(f"/deployments/name/{flow}/{flow}"))

    def begin(self, flow: str, parameters: dict[str, Any]) -> str:
        """Start a deployment by the API and return the id of its run."""
        path = f"/deployments/{self.deployment(flow)['id']}/create_flow_run"
        return str(self.ask(path, {"parameters": parameters})["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a flow run as Prefect's API shows it."""
        return dict(self.ask(f"/flow_runs/{run_id}"))

    def ended(self, run_id: str, *, times: int = 1) -> dict[str, Any]:
        """Wait until a flow run has ended for the *times*-th time, and return it."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state_type"] in FINAL and run["run_count"] >= times else None

        return eventually(look, f"run {run_id} to end")

    def start(self, flow: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start a deployment by the API, wait for its end, and return the run."""
        return self.ended(self.begin(flow, parameters))

    def child(self, run_id: str, flow: str) -> str:
        """Return the id of a run's first subflow run of *flow*."""
        criteria = {
            "flow_runs": {"parent_flow_run_id": {"any_": [run_id]}},
            "flows": {"name": {"any_": [flow]}},
            "sort": "START_TIME_ASC",
        }
        return str(self.ask("/flow_runs/filter", criteria)[0]["id"])

    def logs(self, run_id: str) -> list[dict[str, Any]]:
        """Return the log of a flow run and of its subflows, oldest first."""
        of_run = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
        runs = [run_id, *(each["id"] for each in self.ask("/flow_runs/filter", of_run))]
        criteria = {"logs": {"flow_run_id": {"any_": runs}}, "sort": "TIMESTAMP_ASC"}
        return list(self.ask("/logs/filter", {**criteria, "limit": 200}))

    def shoot(self, page: Page, name: str, *, full: bool = False) -> None:
        """Keep a picture of the page among the output of CI."""
        self.shots += 1
        page.screenshot(path=SCREENSHOTS / f"{self.shots:02}-{name}.png", full_page=full)


def writes_of(admin: httpx.Client, system: str, since: int = 0) -> list[dict[str, Any]]:
    """Return what was written in a system of a sandbox, after a sequence number."""
    answer = admin.get(f"/{system}/writes", params={"since": since})
    return list(answer.raise_for_status().json()["writes"])


def sandbox_admin(line: dict[str, Any]) -> httpx.Client:
    """Return a client of a sandbox's admin surface."""
    return httpx.Client(base_url=line["admin_url"], trust_env=False, timeout=60)


def eventually(look: Callable[[], Value | None], what: str, seconds: float = RUN_SECONDS) -> Value:
    """Return what *look* finds, trying until there is something."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def stage(
    postgres_server: PostgresServer,  # the fixture imported above
) -> Iterator[Stage]:
    """Server, worker and sandbox, with the sandbox connected and every flow deployed.

    The server keeps its data in PostgreSQL, as in production: on SQLite a click may be refused
    while a run is written.
    """
    folder = Path(tempfile.mkdtemp(prefix="ml-connector-browser-"))
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir(parents=True)
    stack = LocalStack(folder)
    try:
        yield _opened(stack, folder, postgres_server)
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _opened(stack: LocalStack, folder: Path, postgres: PostgresServer) -> Stage:
    programs = PrefectPrograms(stack, folder / "prefect", free_port())
    programs.server_environment["PREFECT_API_DATABASE_CONNECTION_URL"] = (
        postgres.new_prefect_database()
    )
    server = programs.start_server()
    sandbox = start_sandbox(stack, programs.environment, "--plain", "--orders", "12")
    line = first_json_line(sandbox, START_SECONDS)
    programs.wait_for(server, START_SECONDS)
    opened = Stage(
        stack=stack,
        folder=folder,
        programs=programs,
        sandbox_line=line,
        admin=sandbox_admin(line),
        prefect=httpx.Client(base_url=f"{programs.ui_url}/api", trust_env=False, timeout=60),
    )
    opened.command("connect", line["connection_file"])
    opened.command("deploy", "sandbox")
    programs.start_worker("first")
    return opened


@pytest.fixture(scope="module")
def browser_page(stage: Stage) -> Iterator[Page]:
    """A page of Debian's Chromium with a fresh profile; Playwright's own browsers are not used."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail("No browser is here; run `make browser` (Debian: apt-get install chromium).")
    os.environ["PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD"] = "1"
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            stage.folder / "profile",
            executable_path=program,
            args=FLAGS,
            headless=True,
            viewport={"width": 1360, "height": 900},
            timeout=PATIENCE_MS * 2,
        )
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield context.pages[0]
        context.close()
