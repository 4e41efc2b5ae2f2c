"""The commands as a user runs them: from a clerk's act to the Order, by notification."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMAND = (sys.executable, "-m", "ml_connector.cli.main")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class User:
    """Somebody at a shell with an embedded Prefect server of their own."""

    def __init__(self, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        self.environment = {**kept, "PREFECT_HOME": str(folder / "prefect")}
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> tuple[int, Any]:
        """Run a command to its end; returns its exit code and its document."""
        done = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, json.loads(done.stdout or "null")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.started.append(process)
        return process


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user whose commands end with the test."""
    found = User(tmp_path)
    yield found
    for process in found.started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_a_clerks_act_shows_on_the_order(user: User, new_sandbox: Callable[..., Any]) -> None:
    """Receiver first, then subscriptions; an invoice shows without any schedule."""
    port = free_port()
    url = f"https://127.0.0.1:{port}/bc"
    sandbox = new_sandbox("--plain", "--orders", "5", "--notification-url", url)
    assert user.run("connect", sandbox.line["connection_file"])[0] == 0
    assert user.run("sync", "sandbox")[0] == 0
    code, document = user.run("renew", "sandbox")
    assert (code, document["created"]) == (1, [])
    assert "salesOrders" in document["refused"]

    files = ("--certificate", "certificate_file", "--key", "key_file")
    chosen = [sandbox.line.get(word, word) for word in files]
    receiver = user.start("receive", "sandbox", "--port", str(port), *chosen, "--json")
    assert receiver.stdout is not None
    assert json.loads(receiver.stdout.readline())["notification_url"] == url
    code, document = user.run("renew", "sandbox")
    assert (code, document["refused"]) == (0, [])
    assert "salesOrders" in document["created"]

    user.start("listen", "sandbox")
    sandbox.admin.post("/business-central/switches", json={"webhook_scale": 0})
    order = next(
        row
        for row in sandbox.admin.get("/salesforce/records/Order").json()
        if row["BC_Order_Number__c"]
    )
    act = {"act": "ship_and_invoice", "order": order["BC_Order_Number__c"]}
    assert sandbox.admin.post("/business-central/act", json=act).status_code == 200

    deadline = time.monotonic() + 120
    while _status(sandbox, order) != "Invoiced":
        assert time.monotonic() < deadline, "the invoice does not show on the Order"
        time.sleep(0.5)
    receiver.send_signal(signal.SIGTERM)
    assert receiver.wait(60) == 0


def _status(sandbox: Any, order: dict[str, Any]) -> str:
    rows = sandbox.admin.get("/salesforce/records/Order", params={"Id": order["Id"]}).json()
    return str(rows[0]["BC_Order_Status__c"])
