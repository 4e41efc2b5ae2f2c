"""The Prefect server, worker and deployments of a stack on this computer, and its sandbox.

The demo and `ml-connector up` start the same programs the same way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path

from ml_connector.cli.local_stack import (
    LocalStack,
    Program,
    bare_environment,
    wait_until_healthy,
)
from ml_connector.cli.prefect_environment import CLIENT, server_settings
from ml_connector.errors import ConfigurationError

SERVER, WORKER, SANDBOX = "prefect-server", "prefect-worker", "sandbox"
"""Names of the programs, and of their logs."""


class PrefectPrograms:
    """Prefect as one stack runs it: a server on a port of loopback, with its files in *home*.

    *login* is `user:password`; with it the API and the UI ask for it.
    """

    def __init__(self, stack: LocalStack, home: Path, port: int, login: str = "") -> None:
        self._stack = stack
        self._port = port
        self.ui_url = f"http://127.0.0.1:{port}"
        temporary = stack.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        self.client = {"PREFECT_API_URL": f"{self.ui_url}/api"}
        if login:
            self.client["PREFECT_API_AUTH_STRING"] = login
        self.environment = bare_environment(
            {
                **CLIENT,
                **self.client,
                "PREFECT_HOME": str(home),
                "PREFECT_UI_URL": self.ui_url,
                "PREFECT_WORKER_QUERY_SECONDS": "2",
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": str(temporary),
            }
        )
        self.server_environment = {
            **server_settings(home),
            "PREFECT_SERVER_UI_API_URL": f"{self.ui_url}/api",
            **({"PREFECT_SERVER_API_AUTH_STRING": login} if login else {}),
        }

    def start_server(self) -> Program:
        """Start the server; `wait_for` returns when it answers."""
        return self._stack.start(
            SERVER,
            [
                *(sys.executable, "-m", "prefect", "server", "start"),
                *("--host", "127.0.0.1", "--port", str(self._port)),
            ],
            environment={**self.environment, **self.server_environment},
            cwd=self._stack.folder,
        )

    def wait_for(self, server: Program, seconds: float) -> None:
        """Return when the server answers. Raises: ConfigurationError."""
        wait_until_healthy(f"{self.ui_url}/api/health", server, seconds)

    def become_client(self) -> None:
        """Make this process a client of the server; call it before Prefect is imported."""
        for variable in [each for each in os.environ if each.startswith("PREFECT_")]:
            del os.environ[variable]
        os.environ.update(self.environment)
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "ERROR"

    async def deploy(self, connection: str = "", first_on: Collection[str] = ()) -> None:
        """Make the work pool and every deployment; this process has to be a client by now."""
        from deployments.deploying import deploy

        await deploy(project_folder(), connection, first_on)

    def start_worker(self, name: str) -> Program:
        """Start a worker of the pool, in a folder of its own.

        Deployments must not depend on where their worker stands.
        """
        from deployments.work_pool import POOL

        folder = self._stack.folder / WORKER
        folder.mkdir(exist_ok=True)
        return self._stack.start(
            WORKER,
            [
                *(sys.executable, "-m", "prefect", "worker", "start"),
                *("--pool", POOL, "--name", name),
            ],
            environment=self.environment,
            cwd=folder,
        )


def start_sandbox(stack: LocalStack, environment: dict[str, str], *arguments: str) -> Program:
    """Start both systems of the sandbox; the first line of its output tells when it is ready."""
    return stack.start(
        SANDBOX,
        [
            *(sys.executable, "-m", "ml_connector.sandbox"),
            *("--dir", str(stack.folder / SANDBOX), *arguments),
        ],
        environment=environment,
        cwd=stack.folder,
        pipe=True,
    )


def project_folder() -> Path:
    """Return the folder of prefect.yaml: the checkout this code runs from.

    Raises: ConfigurationError when there is none.
    """
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (folder / "prefect.yaml").is_file():
            return folder
    raise ConfigurationError(
        "prefect.yaml is not here.",
        code="no_project",
        remedy="Run the command in a checkout of the project.",
    )
