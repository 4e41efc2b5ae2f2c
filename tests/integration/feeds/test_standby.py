"""When the process that owns the streams dies, another one that stood by takes them over."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.conftest import wait_for

PROGRAM = Path(__file__).with_name("standby_process.py")
ROOT = Path(__file__).parents[3]
OBJECTS = 5
MOST_SECONDS = 45


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
                env={"PYTHONPATH": str(ROOT)},
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
    connected: Connected, processes: Any
) -> None:
    """The owner dies without a word; every stream is open again in time, by the other process."""
    owner = processes()
    wait_for(lambda: open_streams(connected) == OBJECTS)
    standby = processes()
    time.sleep(6)
    assert standby.poll() is None
    assert open_streams(connected) == OBJECTS, "only one of them listens"
    owner.kill()
    owner.wait(10)
    died = time.monotonic()
    wait_for(lambda: open_streams(connected) < OBJECTS)
    wait_for(lambda: open_streams(connected) == OBJECTS, MOST_SECONDS + 15)

    assert time.monotonic() - died <= MOST_SECONDS
    assert standby.poll() is None
