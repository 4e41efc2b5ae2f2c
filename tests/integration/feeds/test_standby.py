"""When the process that owns the streams dies, another one that stood by takes them over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_connector.ledger.ledger import Ledger
from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.conftest import wait_for

PROGRAM = Path(__file__).with_name("standby_process.py")
ROOT = Path(__file__).parents[3]
OBJECTS = 5
MOST_SECONDS = 45
START_SECONDS = 90


@pytest.fixture
def processes(connected: Connected, tmp_path: Path) -> Iterator[Any]:
    """Starts captures of one connection; they end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        file = connected.sandbox.line["connection_file"]
        with (tmp_path / "capture.log").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), file, str(tmp_path / "ledger.db")],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=said,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def open_streams(connected: Connected) -> int:
    """Return how many streams the org serves."""
    return len(connected.act("salesforce", "pubsub_streams")["streams"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_standby_takes_over_within_45_seconds_of_the_owners_death(
    connected: Connected, processes: Any, tmp_path: Path
) -> None:
    """The owner dies without a word; what happens from then on is taken in by the other process."""
    owner = processes()
    wait_for(lambda: open_streams(connected) == OBJECTS, START_SECONDS)
    standby = processes()
    wait_for(
        lambda: tmp_path.joinpath("capture.log").read_text().count("standing by"), START_SECONDS
    )
    assert standby.poll() is None
    assert open_streams(connected) == OBJECTS, "only one of them listens"
    account = connected.salesforce("Account")[0]["Id"]
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as store:
        ledger = store.connection(connected.settings.name)
        wait_for(lambda: ledger.changes_of(account), START_SECONDS)
        known = len(ledger.changes_of(account))
        owner.kill()
        owner.wait(10)
        died = time.monotonic()
        fields = {"Phone": "+1 555 0800"}
        connected.act("salesforce", "edit", sobject="Account", record=account, fields=fields)
        wait_for(lambda: len(ledger.changes_of(account)) > known, MOST_SECONDS + 15)

        assert time.monotonic() - died <= MOST_SECONDS
    assert standby.poll() is None
