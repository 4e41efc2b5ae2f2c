"""The whole sandbox as a user starts it."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest


def test_the_line_and_the_connection_file_agree(running_sandbox: Any) -> None:
    """The connection file is complete, its secrets are private files, and it fits the line."""
    line = running_sandbox.line
    path = Path(line["connection_file"])
    settings = tomllib.loads(path.read_text())
    salesforce, central = settings["salesforce"], settings["business_central"]
    assert salesforce["my_domain_url"] == line["salesforce"]["url"]
    assert central["company_id"] == line["business_central"]["company_id"]
    assert central["settle_seconds"] == 5
    assert settings["ledger"]["url"] == "sqlite:///ledger.db"
    for section, secret in ((salesforce, line["salesforce"]), (central, line["business_central"])):
        kind, _, name = section["client_secret"].partition(":")
        assert kind == "file"
        file = path.parent / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text() == secret["client_secret"]
        assert secret["client_secret"] not in path.read_text()


def test_both_systems_hold_the_seeded_records(running_sandbox: Any) -> None:
    """The default seed's Accounts, Orders and items are there."""
    counts = {}
    for system, entity in (
        ("salesforce", "Account"),
        ("salesforce", "Order"),
        ("business-central", "items"),
    ):
        counts[entity] = len(running_sandbox.admin.get(f"/{system}/records/{entity}").json())
    assert counts == {"Account": 60, "Order": 60, "items": 40}


def test_the_vendors_paths_do_not_serve_the_admin_surface(running_sandbox: Any) -> None:
    """No admin verb can be reached where the vendors' clients come in."""
    for client in (running_sandbox.salesforce, running_sandbox.business_central):
        assert client.get("/traffic").status_code >= 400
        assert client.post("/snapshot", json={}).status_code >= 400


def test_both_clocks_stop_at_one_instant(running_sandbox: Any) -> None:
    """A freeze of both systems leaves them at the same time."""
    clocks = running_sandbox.admin.post("/clock", json={"freeze": True}).json()
    assert len({clock["now"] for clock in clocks.values()}) == 1


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_command(
    new_sandbox: Callable[..., Any], signal_number: signal.Signals
) -> None:
    """Both systems end with the command, whatever ends it."""
    sandbox = new_sandbox("--empty")
    children = psutil.Process(sandbox.process.pid).children(recursive=True)
    assert len(children) == 2
    os.kill(sandbox.process.pid, signal_number)
    code = sandbox.process.wait(15)
    assert code == (0 if signal_number is not signal.SIGKILL else -signal.SIGKILL)
    ends = time.monotonic() + 5
    while any(map(_lives, children)) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not any(map(_lives, children))


def test_a_system_that_ends_ends_the_sandbox(new_sandbox: Callable[..., Any]) -> None:
    """When one system is gone the command ends with exit code 2 and takes the other along."""
    sandbox = new_sandbox("--empty", "--currency-mode", "single")
    children = psutil.Process(sandbox.process.pid).children(recursive=True)
    children[0].kill()
    assert sandbox.process.wait(15) == 2
    assert not any(map(_lives, children))


@pytest.mark.parametrize("package", ["nowhere", "", "."])
def test_a_wrong_package_is_one_clear_failure(tmp_path: Path, package: str) -> None:
    """A sandbox that cannot start says so with exit code 2 and leaves nothing behind."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ml_connector.sandbox", "--empty"),
            *("--dir", str(tmp_path), "--package", package),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f'sandbox: --package "{package}": ')
    assert len(done.stderr.splitlines()) == 1


def test_start_up_is_quick(new_sandbox: Callable[..., Any]) -> None:
    """The default seed is up within a few seconds, also on a busy computer."""
    began = time.monotonic()
    new_sandbox()
    assert time.monotonic() - began < 10


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
