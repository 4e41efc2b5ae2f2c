"""A Prefect server and a worker of our own, with the project's deployments."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from ml_connector.cli.local_stack import (
    LocalStack,
    Program,
    bare_environment,
    free_port,
    wait_until_healthy,
)
from ml_connector.cli.prefect_environment import CLIENT, server_settings

PROJECT = Path(__file__).resolve().parents[2]
POOL = "ml-connector"
START_SECONDS = 180.0
RUN_SECONDS = 240.0
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
POLL_SECONDS = "1"
REPORT_SECONDS = 5.0
API_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class FlowRun:
    """A flow run as the server tells of it."""

    id: str
    state: str
    message: str


class PrefectStack:
    """Server, deployments and a worker that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._stack = LocalStack(folder)
        self._folder = folder
        port = free_port()
        home = folder / "prefect"
        api = f"http://127.0.0.1:{port}/api"
        self.environment = bare_environment(
            {
                **CLIENT,
                **server_settings(home),
                "PREFECT_HOME": str(home),
                "PREFECT_API_URL": api,
                "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS,
                "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
                "PYTHONUNBUFFERED": "1",
            }
        )
        server = self._stack.start(
            "prefect-server",
            [*_prefect(), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            environment=self.environment,
            cwd=folder,
        )
        self._http = httpx.Client(base_url=api, trust_env=False, timeout=180)
        wait_until_healthy(f"{api}/health", server, START_SECONDS)
        self._worker: Program | None = None

    def command(self, *arguments: str, cwd: Path | None = None) -> None:
        """Run a command against the server; raises with its output when it fails."""
        done = subprocess.run(  # our own programs, no shell
            arguments,
            env={**self.environment, "PWD": str(cwd or self._folder)},
            cwd=cwd or self._folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{arguments}: {done.stdout} {done.stderr}")

    def deploy(self, connection: str) -> None:
        """Make the work pool and deploy every flow of the project for *connection*."""
        self.command(
            sys.executable, "-m", "ml_connector.cli.main", "deploy", connection, cwd=PROJECT
        )

    def connect(self, connection_file: Path) -> None:
        """Save the connection's Blocks, as a person does."""
        self.command(
            sys.executable, "-m", "ml_connector.cli.main", "connect", str(connection_file),
            cwd=PROJECT,
        )  # fmt: skip

    # the worker

    def start_worker(self) -> None:
        """Start a worker in a folder of its own.

        Without `--limit`: Prefect 3.8's worker ends with an error when a run is retried while it
        still counts that run's last process.
        """
        folder = self._folder / "worker"
        folder.mkdir(exist_ok=True)
        self._worker = self._stack.start(
            "prefect-worker",
            [*_prefect(), "worker", "start", "--pool", POOL],
            environment=self.environment,
            cwd=folder,
        )

    def kill_worker(self) -> None:
        """SIGKILL the worker and every flow run it started."""
        if self._worker is None:
            return
        for process in [*self.flow_processes(), self._worker.process]:
            process.kill()
        self._worker.process.wait(10)
        self._stack.programs.remove(self._worker)
        self._worker = None

    def flow_processes(self) -> list[psutil.Process]:
        """Return the processes of the flow runs that are under way."""
        if self._worker is None or self._worker.process.poll() is not None:
            return []
        return psutil.Process(self._worker.process.pid).children(recursive=True)

    def kill_flow(self) -> bool:
        """SIGKILL the flow runs under way, not the worker; tells whether there was one."""
        killed = False
        for process in self.flow_processes():
            try:
                process.send_signal(signal.SIGKILL)
                killed = True
            except psutil.NoSuchProcess:
                continue
        return killed

    def end_flows(self) -> int:
        """SIGKILL what still runs and wait for its end; returns how many processes that were.

        A killed run's state can be overwritten by the worker's late report, so that a retry counts
        as ended while its process goes on.
        """
        left = self.flow_processes()
        for process in left:
            process.kill()
        psutil.wait_procs(left, 10)
        return len(left)

    # flow runs

    def start_run(self, deployment: str, connection: str) -> str:
        """Start a deployment as the UI does; returns the flow run's id."""
        found = self._get(f"/deployments/name/{deployment}/{deployment}")
        body = {
            "parameters": {"connection": connection},
            "state": {"type": "SCHEDULED"},
            "idempotency_key": str(uuid4()),
        }
        return str(self._post(f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def retry(self, run_id: str) -> None:
        """Do what *Retry* in the UI does: schedule the same run again.

        Not in the first seconds: the worker reports a killed process twice, and its second report
        would overwrite the retry.
        """
        time.sleep(REPORT_SECONDS)
        self.set_state(run_id, "SCHEDULED", "AwaitingRetry")

    def set_state(self, run_id: str, kind: str, name: str) -> None:
        """Set a run's state by force."""
        state = {"type": kind, "name": name, "message": "set by the examination"}
        self._post(f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})

    def run(self, run_id: str) -> FlowRun:
        """Return how a run stands."""
        found = self._get(f"/flow_runs/{run_id}")
        state = found.get("state") or {}
        return FlowRun(run_id, str(state.get("type", "")), str(state.get("message") or ""))

    def wait(
        self,
        run_id: str,
        meanwhile: Callable[[], None] = lambda: None,
        seconds: float = RUN_SECONDS,
    ) -> FlowRun:
        """Wait for a run's end, calling *meanwhile* now and then."""
        deadline = time.monotonic() + seconds
        while (found := self.run(run_id)).state not in FINAL:
            if time.monotonic() > deadline:
                return found
            meanwhile()
            time.sleep(0.1)
        return found

    def wait_until_running(self, run_id: str) -> None:
        """Return once the run's process has begun; the run may be over by then."""
        deadline = time.monotonic() + RUN_SECONDS
        while self.run(run_id).state in ("SCHEDULED", "PENDING"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"flow run {run_id} does not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """End everything that was started."""
        self._http.close()
        self._stack.stop()

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API; a busy server on SQLite answers 503, as Prefect's own client expects."""
        for pause in (*API_PAUSES, None):
            try:
                answer = self._http.request(method, path, json=body)
            except httpx.TransportError:
                if pause is None:
                    raise
            else:
                if answer.status_code != 503 or pause is None:
                    break
            time.sleep(pause)
        answer.raise_for_status()
        return answer.json()


def _prefect() -> list[str]:
    return [sys.executable, "-m", "prefect"]
