"""A running sandbox for the tests of its systems."""

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

START_ATTEMPT_SECONDS = 60


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox process, what it said of itself, and clients that trust its authority."""

    process: subprocess.Popen[bytes]
    line: dict[str, Any]
    salesforce: httpx.Client
    business_central: httpx.Client
    admin: httpx.Client

    @property
    def trust(self) -> ssl.SSLContext:
        """A context that trusts the sandbox's authority alone."""
        return ssl.create_default_context(cafile=self.line["ca_file"])


def start_sandbox(directory: Path, *arguments: str) -> RunningSandbox:
    """Start the command as a user does and wait for its line."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ml_connector.sandbox", "--watch-stdin"),
            *("--dir", str(directory), *arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, f"the sandbox did not start: exit code {process.wait(START_ATTEMPT_SECONDS)}"
    line = json.loads(text)
    trust = ssl.create_default_context(cafile=line["ca_file"])
    return RunningSandbox(
        process=process,
        line=line,
        salesforce=httpx.Client(base_url=line["salesforce"]["url"], verify=trust, trust_env=False),
        business_central=httpx.Client(
            base_url=line["business_central"]["url"], verify=trust, trust_env=False
        ),
        admin=httpx.Client(base_url=line["admin_url"], trust_env=False, timeout=60),
    )


def stop_sandbox(sandbox: RunningSandbox) -> int:
    """End it politely and return its exit code."""
    for client in (sandbox.salesforce, sandbox.business_central, sandbox.admin):
        client.close()
    sandbox.process.terminate()
    return sandbox.process.wait(20)


@pytest.fixture
def new_sandbox(tmp_path: Path) -> Iterator[Callable[..., RunningSandbox]]:
    """Starts sandboxes of a test's own; they end with the test."""
    started: list[RunningSandbox] = []

    def start(*arguments: str) -> RunningSandbox:
        sandbox = start_sandbox(tmp_path / f"sandbox{len(started)}", *arguments)
        started.append(sandbox)
        return sandbox

    yield start
    for sandbox in started:
        if sandbox.process.poll() is None:
            stop_sandbox(sandbox)


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """One seeded sandbox for the session, with a snapshot of its first state."""
    sandbox = start_sandbox(tmp_path_factory.mktemp("shared"), "--proxy")
    sandbox.admin.post("/snapshot", json={"name": "fresh"}).raise_for_status()
    yield sandbox
    stop_sandbox(sandbox)


@pytest.fixture
def running_sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    """The session's sandbox, set back to its first state."""
    shared_sandbox.admin.post("/restore", json={"name": "fresh"}).raise_for_status()
    return shared_sandbox
